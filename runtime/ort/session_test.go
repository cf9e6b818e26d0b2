//go:build cgo

package ort

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime/declared"
	"github.com/attnx/attnx/runtime/ort/library"
)

type tensors = map[string]format.Tensor

// session opens a model with the library of this machine, which is installed
// if need be.
func session(t testing.TB, m testModel, o Options) *Session {
	t.Helper()
	needLibrary(t)
	s, err := OpenBytes(m.bytes(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func needLibrary(t testing.TB) library.Library {
	t.Helper()
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	if err != nil {
		if testing.Short() {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	return lib
}

func float32s(t testing.TB, x format.Tensor) []float32 {
	t.Helper()
	v, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRunTypes(t *testing.T) {
	s := session(t, addModel(protoFloat, "N"), Options{})
	out, err := s.Run(tensors{
		"a": format.FromFloat32s("", []int{3}, []float32{1, 2, 3}),
		"b": format.FromFloat32s("", []int{3}, []float32{10, 20, 30}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := float32s(t, out["sum"]), []float32{11, 22, 33}; !slices.Equal(got, want) {
		t.Errorf("1..3 + 10..30 = %v, want %v", got, want)
	}
	if got := out["sum"]; got.Name != "sum" || !slices.Equal(got.Shape, []int{3}) {
		t.Errorf("output is %q %v, want sum [3]", got.Name, got.Shape)
	}

	d := session(t, addModel(protoDouble, "N"), Options{})
	out, err = d.Run(tensors{
		"a": format.FromFloat64s("", []int{1}, []float64{1}),
		"b": format.FromFloat64s("", []int{1}, []float64{1e-12}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := out["sum"].Float64s(); got[0] != 1+1e-12 { // lost if float32 were anywhere between
		t.Errorf("1 + 1e-12 = %v", got[0])
	}

	i := session(t, addModel(protoInt64, "N"), Options{})
	out, err = i.Run(tensors{
		"a": format.FromInt64s("", []int{1}, []int64{1 << 60}),
		"b": format.FromInt64s("", []int{1}, []int64{-1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := out["sum"].Int64s(); got[0] != 1<<60-1 {
		t.Errorf("2^60 - 1 = %v", got[0])
	}
}

// TestIdentity sends the bytes of every type through, in tensors, scalars,
// empty tensors and at odd addresses.
func TestIdentity(t *testing.T) {
	for number, dtype := range declared.ElementTypes {
		if dtype == format.Invalid {
			continue
		}
		t.Run(dtype.String(), func(t *testing.T) {
			data := make([]byte, 6*dtype.Size())
			for i := range data {
				data[i] = byte(i % 2) // valid bools, and no NaN
			}
			for _, shape := range [][]int{{2, 3}, {6, 1}, {0, 5}, {}} {
				m := testModel{
					nodes:   []testNode{{op: "Identity", in: []string{"x"}, out: []string{"y"}}},
					inputs:  []testValue{{"x", uint64(number), []string{"A", "B"}[:len(shape)]}},
					outputs: []testValue{{"y", uint64(number), []string{"A", "B"}[:len(shape)]}},
				}
				n, _ := format.Elements(shape)
				x := format.Tensor{DType: dtype, Shape: shape, Data: data[:n*dtype.Size()]}
				if dtype.Size() > 1 && n == 6 { // off its boundary
					odd := append([]byte{0}, data...)
					x.Data = odd[1:]
				}
				s := session(t, m, Options{})
				for range 2 { // the second run writes into the memory of the first
					out, err := s.Run(tensors{"x": x})
					if half := dtype == format.Float16 || dtype == format.BFloat16; half && len(shape) == 0 {
						if err == nil || !strings.Contains(err.Error(), "scalar of type") {
							t.Errorf("a half-precision scalar: %v", err)
						}
						continue
					}
					if err != nil {
						t.Fatalf("shape %v: %v", shape, err)
					}
					if y := out["y"]; y.DType != dtype || !slices.Equal(y.Shape, shape) || !slices.Equal(y.Data, x.Data) {
						t.Errorf("shape %v: %v became %v", shape, x, y)
					}
				}
			}
		})
	}
}

func TestShapesVary(t *testing.T) {
	s := session(t, embedModel(), Options{Threads: 1})
	for _, shape := range [][]int{{1, 1}, {2, 3}, {2, 3}, {3, 2}, {1, 4}, {1, 0}, {2, 3}} {
		n, _ := format.Elements(shape)
		ids, want := make([]int64, n), []float32{}
		for i := range ids {
			ids[i] = int64((i + n) % 3)
			want = append(want, float32(10*ids[i]), float32(10*ids[i]+1))
		}
		out, err := s.Run(tensors{"ids": format.FromInt64s("", shape, ids)})
		if err != nil {
			t.Fatal(err)
		}
		rows := out["rows"]
		if got := float32s(t, rows); !slices.Equal(got, want) || !slices.Equal(rows.Shape, append(slices.Clone(shape), 2)) {
			t.Errorf("ids %v %v: got %v %v, want %v", shape, ids, rows.Shape, got, want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	s := session(t, embedModel(), Options{})
	good := format.FromInt64s("", []int{1, 2}, []int64{0, 2})
	pair := session(t, addModel(protoFloat, "N", "2"), Options{})
	two := func(shape ...int) format.Tensor {
		n, _ := format.Elements(shape)
		return format.FromFloat32s("", shape, make([]float32, n))
	}
	for _, c := range []struct {
		s    *Session
		in   tensors
		want string
	}{
		{s, tensors{}, `input "ids" is missing; the model takes ids I64[B,T]`},
		{s, nil, `input "ids" is missing`},
		{s, tensors{"ids": good, "mask": good}, `there is no input "mask"; the model takes ids I64[B,T]`},
		{s, tensors{"ids": two(1, 2)}, `input "ids" is F32, the model takes ids I64[B,T]`},
		{s, tensors{"ids": format.FromInt64s("", []int{2}, []int64{0, 2})}, `input "ids" has shape [2], the model takes`},
		{s, tensors{"ids": {DType: format.Int64, Shape: []int{1, 2}, Data: make([]byte, 15)}}, `tensor "ids": I64[1 2] expects 16 bytes, has 15`},
		{s, tensors{"ids": {DType: format.Int64, Shape: []int{-1, -2}, Data: make([]byte, 16)}}, `shape [-1 -2] is negative`},
		{s, tensors{"ids": format.FromInt64s("", []int{1, 2}, []int64{0, 3})}, `model: ids[0,1] is 3: it must be from 0 to 2`},
		{s, tensors{"ids": format.FromInt64s("", []int{1, 2}, []int64{0, -4})}, `model: ids[0,1] is -4: it must be from 0 to 2`},
		{s, tensors{"ids": format.FromInt64s("", []int{1, 2}, []int64{-1, 0})}, `ids[0,0] is -1: it must be from 0 to 2`},
		{pair, tensors{"a": two(1, 2), "b": two(2, 2)}, `input "b" has shape [2 2]: N is 1 in another input`},
		{pair, tensors{"a": two(1, 3), "b": two(1, 3)}, `input "a" has shape [1 3], the model takes a F32[N,2]`},
	} {
		_, err := c.s.Run(c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
	// A refused run leaves a session that works.
	out, err := s.Run(tensors{"ids": good})
	if err != nil {
		t.Fatal(err)
	}
	if got := float32s(t, out["rows"]); !slices.Equal(got, []float32{0, 1, 20, 21}) {
		t.Errorf("after the refusals: %v", got)
	}

	not := session(t, testModel{
		nodes:   []testNode{{op: "Not", in: []string{"x"}, out: []string{"y"}}},
		inputs:  []testValue{{"x", protoBool, []string{"N"}}},
		outputs: []testValue{{"y", protoBool, []string{"N"}}},
	}, Options{})
	if _, err := not.Run(tensors{"x": {DType: format.Bool, Shape: []int{2}, Data: []byte{1, 2}}}); err == nil || !strings.Contains(err.Error(), "a bool is 0 or 1") {
		t.Errorf("a bool of 2: %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	s := session(t, embedModel(), Options{Threads: 1})
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				id := int64((g + i) % 3)
				ids := format.FromInt64s("", []int{1, 2}, []int64{id, id})
				err := s.RunThen(tensors{"ids": ids}, func(out map[string]format.Tensor) error {
					v, err := out["rows"].Float32s()
					if err == nil && (v[0] != float32(10*id) || v[3] != float32(10*id+1)) {
						err = fmt.Errorf("id %d gave %v", id, v)
					}
					return err
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	s := session(t, embedModel(), Options{})
	ids := tensors{"ids": format.FromInt64s("", []int{1, 1}, []int64{2})}
	out, err := s.Run(ids)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if got := float32s(t, out["rows"]); !slices.Equal(got, []float32{20, 21}) {
		t.Errorf("results after Close: %v", got)
	}
	if _, err := s.Run(ids); err == nil || !strings.Contains(err.Error(), "the session is closed") {
		t.Errorf("Run after Close: %v", err)
	}
	if _, ok := s.Metadata("fingerprint"); ok {
		t.Error("metadata after Close")
	}
}

func TestDescribes(t *testing.T) {
	s := session(t, embedModel(), Options{Optimization: OptimizeNone})
	if got, want := declared.List(s.Inputs()), "ids I64[B,T]"; got != want {
		t.Errorf("inputs %s, want %s", got, want)
	}
	if got, want := declared.List(s.Outputs()), "rows F32[B,T,2]"; got != want {
		t.Errorf("outputs %s, want %s", got, want)
	}
	if v, ok := s.Metadata("fingerprint"); v != "abc" || !ok {
		t.Errorf("fingerprint is %q, %v", v, ok)
	}
	if _, ok := s.Metadata("absent"); ok {
		t.Error("a key that is not there was found")
	}
	if s.Device() != "cpu" || s.NoCUDA() != nil || !strings.HasPrefix(s.Version(), "1.") {
		t.Errorf("device %q, CUDA %v, version %q", s.Device(), s.NoCUDA(), s.Version())
	}
}
