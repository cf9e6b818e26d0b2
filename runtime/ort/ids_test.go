//go:build cgo

package ort

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// lookup is a model that looks ids up in a table of the given number of rows,
// after the given operators.
func lookup(rows int64, elem uint64, before ...testNode) testModel {
	vals := make([]float32, 2*rows)
	for i := range vals {
		vals[i] = float32(i)
	}
	ids := "ids"
	for _, n := range before {
		ids = n.out[0]
	}
	return testModel{
		nodes:   append(before, testNode{op: "Gather", in: []string{"table", ids}, out: []string{"rows"}}),
		inputs:  []testValue{{"ids", elem, []string{"N"}}},
		outputs: []testValue{{"rows", protoFloat, nil}},
		weights: []testWeight{{"table", []int64{rows, 2}, vals}, {"shape", []int64{1}, []float32{0}}},
	}
}

func TestLimits(t *testing.T) {
	node := func(op string, in, out string) testNode {
		return testNode{op: op, in: []string{in}, out: []string{out}}
	}
	axis := func(m testModel, n int64) testModel {
		m.nodes[len(m.nodes)-1].ints = map[string]int64{"axis": n}
		return m
	}
	two := lookup(5, protoInt64)
	two.nodes = append(two.nodes, testNode{op: "Gather", in: []string{"small", "ids"}, out: []string{"others"}})
	two.weights = append(two.weights, testWeight{"small", []int64{3}, make([]float32, 3)})
	cast := lookup(5, protoInt64)
	cast.nodes = append([]testNode{node("Cast", "table", "wide"), node("Identity", "wide", "same")}, cast.nodes...)
	cast.nodes[2].in[0] = "same"
	circle := lookup(5, protoInt64)
	circle.nodes = append([]testNode{node("Identity", "a", "b"), node("Identity", "b", "a")}, circle.nodes...)
	circle.nodes[2].in = []string{"a", "b"}
	given := lookup(5, protoInt64)
	given.weights = given.weights[1:]
	given.inputs = append(given.inputs, testValue{"table", protoFloat, []string{"7", "2"}})
	computed := lookup(5, protoInt64)
	computed.nodes = append([]testNode{node("Relu", "table", "computed")}, computed.nodes...)
	computed.nodes[1].in[0] = "computed"
	real := lookup(5, protoInt64)
	real.nodes = append([]testNode{node("Neg", "ids", "other")}, real.nodes...)
	real.nodes[1].in[1] = "other"
	blocks := lookup(5, protoInt64)
	blocks.nodes[0].op = "GatherBlockQuantized"
	for name, c := range map[string]struct {
		m    testModel
		want int64 // 0 for none
	}{
		"straight":              {lookup(5, protoInt64), 5},
		"int32":                 {lookup(5, protoInt32), 5},
		"axis 1":                {axis(lookup(5, protoInt64), 1), 2},
		"axis -2":               {axis(lookup(5, protoInt64), -2), 5},
		"an axis of no use":     {axis(lookup(5, protoInt64), 9), 0},
		"reshaped and cast":     {lookup(5, protoInt64, node("Unsqueeze", "ids", "a"), node("Reshape", "a", "b"), node("Cast", "b", "c")), 5},
		"two tables":            {two, 3},
		"a table that is cast":  {cast, 5},
		"in circles":            {circle, 0},
		"a table that is given": {given, 7},
		"a computed table":      {computed, 0},
		"computed ids":          {real, 0},
		"blocks":                {blocks, 5},
	} {
		s, err := readDeclared(c.m.bytes())
		if err != nil || s.Limits["ids"] != c.want {
			t.Errorf("%s: limits %v, %v, want %d", name, s.Limits, err, c.want)
		}
	}
}

// TestIDsOutOfRange gives every way to run a model ids that its table does not
// have.
func TestIDsOutOfRange(t *testing.T) {
	refused := func(err error, got int64) {
		t.Helper()
		var bad *format.RangeError
		if !errors.As(err, &bad) || bad.Got != got || bad.Last != 2 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want a RangeError for %d", err, got)
		}
	}
	ids := func(x ...int64) format.Tensor { return format.FromInt64s("ids", []int{1, len(x)}, x) }
	s := session(t, embedModel(), Options{Threads: 1})
	for _, bad := range []int64{-1, -3, 3, 1 << 40} {
		_, err := s.Run(tensors{"ids": ids(0, bad)})
		refused(err, bad)
		refused(s.RunThen(tensors{"ids": ids(0, bad)}, func(tensors) error { return nil }), bad)
	}
	narrow := session(t, lookup(3, protoInt32), Options{Threads: 1})
	minus := binary.LittleEndian.AppendUint32(nil, 1<<32-1)
	_, err := narrow.Run(tensors{"ids": {DType: format.Int32, Shape: []int{1}, Data: minus}})
	refused(err, -1)

	// In a model of another tool they count from the end.
	foreign := session(t, embedModel(), Options{Threads: 1, Foreign: true})
	for _, bad := range []int64{-4, 3, -1 << 40} {
		_, err := foreign.Run(tensors{"ids": ids(0, bad)})
		refused(err, bad)
	}
	got, err := foreign.Run(tensors{"ids": ids(-1, -3)})
	if ok(t, err); !slices.Equal(float32s(t, got["rows"]), []float32{20, 21, 0, 1}) {
		t.Errorf("rows from the end are %v", got["rows"])
	}

	// What is bound may change between runs.
	in, out := ids(0, 1), format.FromFloat32s("rows", []int{1, 2, 2}, make([]float32, 4))
	run, release, err := s.Bind([]format.Tensor{in}, []format.Tensor{out})
	ok(t, err, run())
	defer release()
	binary.LittleEndian.PutUint64(in.Data, 3)
	refused(run(), 3)
	binary.LittleEndian.PutUint64(in.Data, 2)
	ok(t, run())
	if got := float32s(t, out); !slices.Equal(got, []float32{20, 21, 10, 11}) {
		t.Errorf("rows are %v", got)
	}

	d := onDevice(t, embedModel(), Options{Threads: 1})
	m := alloc(t, d, 64)
	ok(t, d.BindInput(0, m, 0, []int{1, 2}), d.BindOutput(0, m, 16, []int{1, 2, 2}))
	ok(t, d.Write(m, 0, ids(1, -1).Data))
	refused(d.Run(0), -1)
	ok(t, d.Write(m, 0, ids(1, 2).Data), d.Run(0))
	if n := testing.AllocsPerRun(20, func() { err = errors.Join(err, d.Run(0)) }); n != 0 || err != nil {
		t.Errorf("%v allocations a run, %v", n, err)
	}
}
