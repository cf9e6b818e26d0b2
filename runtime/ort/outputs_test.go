//go:build cgo

package ort

import (
	"errors"
	"os"
	"path/filepath"
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
		nodes: []testNode{
			{op: "ReduceMax", in: []string{"x"}, out: []string{"most"}, ints: map[string]int64{"keepdims": 0}},
			{op: "Neg", in: []string{"x"}, out: []string{"minus"}},
			{op: "ReduceSum", in: []string{"x"}, out: []string{"sum"}, ints: map[string]int64{"keepdims": 0}},
		},
		inputs:  x,
		outputs: []testValue{{"minus", protoFloat, nil}, {"most", protoFloat, nil}, {"sum", protoFloat, nil}},
	}, Options{})
	for _, x := range [][]float32{{1, 3}, {2, 5}, {4, 1, 3}} {
		out, err := scalar.Run(in(x...))
		if err != nil {
			t.Fatal(err)
		}
		var sum, most float32
		for _, v := range x {
			sum, most = sum+v, max(most, v)
		}
		if len(out["sum"].Shape) > 0 || float32s(t, out["sum"])[0] != sum || float32s(t, out["most"])[0] != most || float32s(t, out["minus"])[1] != -x[1] {
			t.Errorf("scalars without declared shapes: %v of %v", out, x)
		}
	}
}

// TestHalfShapes runs a model whose output of 16 bits has a shape that the file
// does not give, on inputs of several sizes, and on values that change the shape.
func TestHalfShapes(t *testing.T) {
	for _, dims := range [][]string{nil, {"unk__1"}, {""}} {
		s := session(t, testModel{
			nodes:   []testNode{{op: "Neg", in: []string{"x"}, out: []string{"y"}}},
			inputs:  []testValue{{"x", protoHalf, []string{"N"}}},
			outputs: []testValue{{"y", protoHalf, dims}},
		}, Options{})
		for _, x := range [][]float32{{1, 2, 3}, {3, 4, 5}, {6, 7}} {
			half, _, err := format.FromFloat32s("", []int{len(x)}, x).Convert(format.Float16)
			if err != nil {
				t.Fatal(err)
			}
			out, err := s.Run(tensors{"x": half})
			if err != nil {
				t.Fatal(err)
			}
			got, err := out["y"].AsFloat64s()
			if err != nil || len(got) != len(x) || got[len(x)-1] != -float64(x[len(x)-1]) {
				t.Errorf("minus %v is %v, %v", x, got, err)
			}
		}
	}
	changing := session(t, testModel{
		nodes: []testNode{
			{op: "NonZero", in: []string{"x"}, out: []string{"at"}},
			{op: "Cast", in: []string{"at"}, out: []string{"half"}, ints: map[string]int64{"to": protoHalf}},
		},
		inputs:  []testValue{{"x", protoFloat, []string{"N"}}},
		outputs: []testValue{{"half", protoHalf, nil}},
	}, Options{})
	for i, x := range [][]float32{{1, 2, 3}, {0, 4, 5}, {0, 0, 7}} {
		out, err := changing.Run(tensors{"x": format.FromFloat32s("", []int{3}, x)})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := out["half"].AsFloat64s(); len(got) != 3-i || got[len(got)-1] != 2 {
			t.Errorf("nonzero of %v is %v", x, got)
		}
	}
}

// TestWithoutInputs runs a model without inputs, whose weight lies beside it or
// in it. The binding asks for an input.
func TestWithoutInputs(t *testing.T) {
	m := testModel{
		nodes:   []testNode{{op: "Neg", in: []string{"w"}, out: []string{"y"}}},
		outputs: []testValue{{"y", protoFloat, []string{"2"}}},
		weights: []testWeight{{"w", []int64{2}, []float32{3, 4}}},
	}
	dir := t.TempDir()
	outside := text(text(nil, 1, "location"), 2, "w.bin") // StringStringEntryProto
	weight := text(number(number(nil, 1, 2), 2, protoFloat), 8, "w")
	weight = number(message(weight, 13, outside), 14, 1) // external_data, data_location: EXTERNAL
	beside := m
	beside.weights = nil
	raw := format.FromFloat32s("", []int{2}, []float32{5, 6}).Data
	for name, b := range map[string][]byte{"m.onnx": append(beside.bytes(), message(nil, 7, message(nil, 5, weight))...), "w.bin": raw} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := Open(filepath.Join(dir, "m.onnx"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for s, want := range map[*Session][]float32{session(t, m, Options{}): {-3, -4}, file: {-5, -6}} {
		for range 2 {
			out, err := s.Run(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := float32s(t, out["y"]); !slices.Equal(got, want) || len(s.Inputs()) != 0 {
				t.Errorf("got %v, want %v; inputs %v", got, want, s.Inputs())
			}
		}
	}
	y := format.FromFloat32s("y", []int{2}, make([]float32, 2))
	run, release, err := file.Bind(nil, []format.Tensor{y})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	d, err := OpenDeviceBytes(m.bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	memory, err := d.Alloc(8)
	if err == nil {
		err = d.BindOutput(0, memory, 0, []int{2})
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(run(), d.Run(0)); err != nil {
			t.Fatal(err)
		}
		bound := format.Tensor{DType: format.Float32, Shape: []int{2}, Data: memory.Bytes()}
		if got := float32s(t, y); !slices.Equal(got, []float32{-5, -6}) {
			t.Errorf("bound to a session: %v", got)
		}
		if got := float32s(t, bound); !slices.Equal(got, []float32{-3, -4}) {
			t.Errorf("bound to a device: %v", got)
		}
		clear(y.Data)
		clear(memory.Bytes())
	}
}

// TestOutputIsInput returns an input that is an output too: ONNX Runtime 1.30
// does not write the memory that is bound to it, and reports no error. A device
// refuses it.
func TestOutputIsInput(t *testing.T) {
	m := addModel(protoFloat, "N")
	m.outputs = append(m.outputs, m.inputs[0])
	s := session(t, m, Options{})
	for n := 1; n < 4; n++ {
		a := format.FromFloat32s("", []int{n}, []float32{7, 8, 9}[:n])
		out, err := s.Run(tensors{"a": a, "b": a})
		if err != nil {
			t.Fatal(err)
		}
		if got := float32s(t, out["a"]); !slices.Equal(got, []float32{7, 8, 9}[:n]) || float32s(t, out["sum"])[0] != 14 {
			t.Errorf("got %v", out)
		}
	}
	if _, err := OpenDeviceBytes(m.bytes(), Options{}); err == nil || !strings.Contains(err.Error(), `"a" is an input and an output`) {
		t.Errorf("a device: %v", err)
	}
}
