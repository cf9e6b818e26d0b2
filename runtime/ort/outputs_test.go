//go:build cgo

package ort

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/attnx/attnx/format"
)

// TestOutputsReuseMemory holds the promise that a repeated shape costs no
// allocation of outputs, by looking where the results lie.
func TestOutputsReuseMemory(t *testing.T) {
	for name, m := range map[string]testModel{
		"declared":   addModel(protoFloat, "N"),
		"undeclared": {nodes: addModel(protoFloat).nodes, inputs: addModel(protoFloat, "N").inputs, outputs: []testValue{{"sum", protoFloat, nil}}},
	} {
		s := session(t, m, Options{})
		run := func(n int) *byte {
			x := format.FromFloat32s("", []int{n}, make([]float32, n))
			out, err := s.Run(tensors{"a": x, "b": x})
			if err != nil {
				t.Fatal(err)
			}
			return &out["sum"].Data[0]
		}
		first := run(4)
		if run(4) != first {
			t.Errorf("%s: the same shape again, and other memory", name)
		}
		if run(5) == first {
			t.Errorf("%s: another shape, and the same memory", name)
		}
	}
}

// TestOutputFitsOtherInputs reuses memory where another input gives the same
// shape of output.
func TestOutputFitsOtherInputs(t *testing.T) {
	s := session(t, testModel{
		nodes:   []testNode{{op: "ReduceSum", in: []string{"x"}, out: []string{"y"}}},
		inputs:  []testValue{{"x", protoFloat, []string{"N"}}},
		outputs: []testValue{{"y", protoFloat, []string{"1"}}},
	}, Options{})
	var first *byte
	for n := 1; n < 4; n++ {
		x := make([]float32, n)
		x[0] = float32(n)
		out, err := s.Run(tensors{"x": format.FromFloat32s("", []int{n}, x)})
		if err != nil {
			t.Fatal(err)
		}
		if got := float32s(t, out["y"]); got[0] != float32(n) {
			t.Errorf("the sum is %v, want %d", got, n)
		}
		if at := &out["y"].Data[0]; first != nil && at != first {
			t.Error("the same shape of output, and other memory")
		} else {
			first = at
		}
	}
}

// TestRunAfterFailure fails a run whose memory had been prepared, in a model
// with an output that ONNX Runtime is never left to allocate, and goes back to
// the shape before.
func TestRunAfterFailure(t *testing.T) {
	m := embedModel()
	m.nodes = append(m.nodes, testNode{op: "Cast", in: []string{"rows"}, out: []string{"half"}, ints: map[string]int64{"to": protoHalf}})
	m.outputs = []testValue{{"half", protoHalf, []string{"B", "T", "2"}}, m.outputs[0]}
	s := session(t, m, Options{})
	run := func(ids ...int64) ([]float32, error) {
		out, err := s.Run(tensors{"ids": format.FromInt64s("", []int{1, len(ids)}, ids)})
		if err != nil {
			return nil, err
		}
		return float32s(t, out["rows"]), nil
	}
	for range 2 {
		if got, err := run(1); err != nil || !slices.Equal(got, []float32{10, 11}) {
			t.Errorf("row 1 is %v, %v", got, err)
		}
		if _, err := run(1, 99); err == nil {
			t.Error("id 99 of 3 was accepted")
		}
	}
}

// TestValueAligned: a tensor that was cut out of a file may start anywhere.
func TestValueAligned(t *testing.T) {
	session(t, embedModel(), Options{}) // the library is loaded
	data := make([]byte, 33)
	for off := range 2 {
		v, err := newValue(format.Float64, []int{4}, data[off:off+32])
		if err != nil {
			t.Fatal(err)
		}
		if at := uintptr(unsafe.Pointer(&v.data[0])); at%8 != 0 {
			t.Errorf("float64s at %x", at)
		}
		v.destroy()
	}
}

func TestScalarOutput(t *testing.T) {
	s := session(t, testModel{
		nodes:   []testNode{{op: "ReduceSum", in: []string{"x"}, out: []string{"loss"}, ints: map[string]int64{"keepdims": 0}}},
		inputs:  []testValue{{"x", protoFloat, []string{"N"}}},
		outputs: []testValue{{"loss", protoFloat, []string{}}},
	}, Options{})
	for n := range 4 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i + 1)
		}
		out, err := s.Run(tensors{"x": format.FromFloat32s("", []int{n}, x)})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := float32s(t, out["loss"]), float32(n*(n+1)/2); len(out["loss"].Shape) != 0 || got[0] != want {
			t.Errorf("1+...+%d = %v %v, want the scalar %v", n, out["loss"].Shape, got, want)
		}
	}
}

// TestShapesUndeclared runs models whose output shapes the file does not tell,
// or declares wrongly.
func TestShapesUndeclared(t *testing.T) {
	in := func(v ...float32) tensors { return tensors{"x": format.FromFloat32s("", []int{len(v)}, v)} }
	x := []testValue{{"x", protoFloat, []string{"N"}}}

	nonzero := testModel{nodes: []testNode{{op: "NonZero", in: []string{"x"}, out: []string{"at"}}}, inputs: x}
	for name, dims := range map[string][]string{"none": nil, "unbound": {"1", "K"}, "wrong": {"1", "N"}, "unnamed": {"1", ""}} {
		m := nonzero
		m.outputs = []testValue{{"at", protoInt64, dims}}
		s := session(t, m, Options{})
		for _, c := range []struct {
			x    []float32
			want []int64
		}{{[]float32{5, 0, 7}, []int64{0, 2}}, {[]float32{5, 6, 7}, []int64{0, 1, 2}}, {[]float32{0, 0, 0}, []int64{}}, {[]float32{0, 1}, []int64{1}}} {
			out, err := s.Run(in(c.x...))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, _ := out["at"].Int64s(); !slices.Equal(got, c.want) || !slices.Equal(out["at"].Shape, []int{1, len(c.want)}) {
				t.Errorf("%s: nonzero of %v is %v %v, want %v", name, c.x, out["at"].Shape, got, c.want)
			}
		}
	}

	sum := session(t, testModel{
		nodes: []testNode{{op: "Concat", in: []string{"past", "x"}, out: []string{"present"}, ints: map[string]int64{"axis": 0}}},
		inputs: []testValue{
			{"past", protoFloat, []string{"past_sequence_length"}}, {"x", protoFloat, []string{"sequence_length"}}},
		outputs: []testValue{{"present", protoFloat, []string{"past_sequence_length + sequence_length"}}},
	}, Options{})
	out, err := sum.Run(tensors{"past": format.FromFloat32s("", []int{0}, nil), "x": format.FromFloat32s("", []int{2}, []float32{1, 2})})
	if err != nil {
		t.Fatal(err)
	}
	if got := float32s(t, out["present"]); !slices.Equal(got, []float32{1, 2}) {
		t.Errorf("nothing joined to 1, 2 is %v", got)
	}
	if sum.distrust {
		t.Error("the sum of two names was not understood")
	}

	scalar := session(t, testModel{
		nodes:   []testNode{{op: "ReduceSum", in: []string{"x"}, out: []string{"y"}, ints: map[string]int64{"keepdims": 0}}},
		inputs:  x,
		outputs: []testValue{{"y", protoFloat, nil}},
	}, Options{})
	if _, err := scalar.Run(in(1)); err == nil || !strings.Contains(err.Error(), "declare its shape as []") {
		t.Errorf("an undeclared scalar: %v", err)
	}
}
