package export_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// byHand is a graph of x, (1,rows), and one weight, (rows,columns).
type byHand struct {
	graph   *graph.Graph
	weights []format.Tensor
}

// product is x·w.
func product(rows, columns int, w ...float32) byHand {
	return applied(func(b *graph.Builder, x, w *graph.Value) *graph.Value { return b.MatMul(x, w) }, rows, columns, w...)
}

// sum is x+w.
func sum(w ...float32) byHand {
	return applied(func(b *graph.Builder, x, w *graph.Value) *graph.Value { return b.Add(x, w) }, 1, len(w), w...)
}

func applied(f func(b *graph.Builder, x, w *graph.Value) *graph.Value, rows, columns int, w ...float32) byHand {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(1), graph.N(rows))
	b.Output("y", b.Name("y", f(b, x, b.Param("w", graph.Init{}, rows, columns))))
	g, err := b.Graph()
	if err != nil {
		panic(err)
	}
	return byHand{g, []format.Tensor{format.FromFloat32s("w", []int{rows, columns}, w)}}
}

// in writes the graph with other numbers.
func (h byHand) in(f precision.Form) (*onnx.Model, precision.Numbers, error) {
	return export.Convert(h.graph, h.weights, export.Plain{DType: f.DType, Quantize: f.Quantize})
}

func stored(t *testing.T, m *onnx.Model, name string) *onnx.Tensor {
	t.Helper()
	i := slices.IndexFunc(m.Graph.Initializers, func(x *onnx.Tensor) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("there is no %q", name)
	}
	return m.Graph.Initializers[i]
}

// Integers worked out by hand. Columns: one large weight (127/127 = 1 a step);
// two large neighbours of one sign, which take the step of their sum; of two
// signs, which do not; zeros.
func TestInt8ByHand(t *testing.T) {
	m := product(3, 4,
		127, 127, 127, 0,
		-0.5, 127, -127, 0,
		1.5, 0, 0, 0)
	before := bytes.Clone(m.weights[0].Data)
	out, n, err := m.in(precision.Form{Quantize: precision.Int8})
	if err != nil {
		t.Fatal(err)
	}
	if err := onnx.Check(out, ""); err != nil {
		t.Fatal(err)
	}
	var got []int8
	for _, b := range stored(t, out, "w.int8").Raw {
		got = append(got, int8(b))
	}
	// -0.5 and 1.5 go to even numbers, 63.5 to 64.
	if want := []int8{127, 64, 127, 0, 0, 64, -127, 0, 2, 0, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("integers %v, want %v", got, want)
	}
	for i, want := range []float32{1, 2, 1, 1} {
		if s := math.Float32frombits(binary.LittleEndian.Uint32(stored(t, out, "w.scale").Raw[4*i:])); s != want {
			t.Errorf("scale %d is %g, want %g", i, s, want)
		}
	}
	// Rounding changed -0.5, 1.5 and, by 1, two of 127.
	if want := math.Sqrt((0.25 + 0.25 + 1 + 1) / (5*127*127 + 0.25 + 2.25)); math.Abs(n.Error-want) > 1e-12 || n.Worst != "w" || n.Weights != 1 {
		t.Errorf("report %+v, want an error of %g", n, want)
	}
	if !bytes.Equal(before, m.weights[0].Data) {
		t.Error("the weights given have changed")
	}
}

// Blocks worked out by hand: the largest weight, 8, takes -8 with a step of -1;
// the lower half of a byte comes first; what is beyond the last input is 0.
func TestInt4ByHand(t *testing.T) {
	out, _, err := product(3, 2,
		8, 0,
		-7, 0,
		1, 0).in(precision.Form{Quantize: precision.Int4})
	if err != nil {
		t.Fatal(err)
	}
	if err := onnx.Check(out, ""); err != nil {
		t.Fatal(err)
	}
	blocks := stored(t, out, "w.blocks")
	want := append([]byte{0xf0, 0x87}, bytes.Repeat([]byte{0x88}, 30)...)
	if !slices.Equal(blocks.Dims, []int64{2, 1, 16}) || !bytes.Equal(blocks.Raw, want) {
		t.Errorf("blocks %v % x, want % x", blocks.Dims, blocks.Raw, want)
	}
	for i, want := range []float32{-1, 1} {
		if s := math.Float32frombits(binary.LittleEndian.Uint32(stored(t, out, "w.scale").Raw[4*i:])); s != want {
			t.Errorf("scale %d is %g, want %g", i, s, want)
		}
	}
}

// Embedding and head of GPT-2 are one table of integers.
func TestQuantizedTie(t *testing.T) {
	for form, table := range map[string]string{"int8": "wte.weight.int8", "int4": "wte.weight.blocks"} {
		m := numbered(t, config(gpt2, 2), "cache", numberForms[form])
		stored(t, m, table)
		for _, x := range m.Graph.Initializers {
			if x.Name == "wte.weight" || strings.HasPrefix(x.Name, "h.0.mlp.c_fc.weight") && x.DataType == onnx.Float && len(x.Raw) > 1000 {
				t.Errorf("%s: %s is there as floats", form, x.Name)
			}
		}
	}
}

// A mask that must be in float16 keeps to its numbers; another value beyond
// them is refused.
func TestHalfRange(t *testing.T) {
	out, n, err := sum(0, -1e9).in(precision.Form{DType: format.Float16})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := stored(t, out, "w").Raw, []byte{0, 0, 0xff, 0xfb}; !bytes.Equal(got, want) { // -65504
		t.Errorf("mask % x, want % x", got, want)
	}
	if n.Rounding.Overflowed != 0 || n.Rounding.Elements != 2 {
		t.Errorf("rounding %+v", n.Rounding)
	}
	if _, _, err := sum(1, 1e9).in(precision.Form{DType: format.BFloat16}); err != nil {
		t.Error(err)
	}
}

func TestNumbersRefuse(t *testing.T) {
	plain := func(w ...float32) byHand { return product(1, len(w), w...) }
	for _, c := range []struct {
		what, want string
		do         func() error
	}{
		{"NaN", `tensor "w": element 1 is NaN; the training has diverged`, plain(1, float32(math.NaN())).refused(0, precision.Int8)},
		{"infinity", `tensor "w": element 0 is +Inf`, plain(float32(math.Inf(1))).refused(0, precision.Int4)},
		{"NaN in 16 bits", `tensor "w": element 0 is NaN`, plain(float32(math.NaN())).refused(format.Float16, "")},
		{"16 bits of int8", "DynamicQuantizeLinear supports float32 only; take int8 without an element type, or int4 with it", plain(1).refused(format.Float16, precision.Int8)},
		{"no weights", "no product in the model has a matrix of weights", sum(1, 2).refused(0, precision.Int8)},
		{"beyond float16", `tensor "w": 1 of its values are beyond the largest float16, 65504; take bfloat16`, plain(1, 1e5).refused(format.Float16, "")},
		{"a type of integers", "I64 is not a floating-point type of 16 bits", plain(1).refused(format.Int64, "")},
		{"an unknown form", `unknown quantization "int3"`, plain(1).refused(0, "int3")},
	} {
		err := c.do()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", c.what, err, c.want)
		}
		var typed *precision.NumbersError
		if !errors.As(err, &typed) {
			t.Errorf("%s: %T is no NumbersError", c.what, err)
		}
	}
}

func (h byHand) refused(to format.DType, kind precision.Quantize) func() error {
	return func() error {
		_, _, err := h.in(precision.Form{DType: to, Quantize: kind})
		return err
	}
}

// Weights that are 0 as a whole, or nearly, give results and no NaN.
func TestQuantizedZeros(t *testing.T) {
	for _, kind := range []precision.Quantize{precision.Int8, precision.Int4} {
		m, n, err := product(2, 2, 0, 1e-44, 0, 0).in(precision.Form{Quantize: kind})
		if err != nil || math.IsNaN(n.Error) {
			t.Fatalf("%v, error %g", err, n.Error)
		}
		got, err := run(t, open(t, m), map[string]format.Tensor{"x": format.FromFloat32s("x", []int{1, 2}, []float32{3, -4})})["y"].Float32s()
		if err != nil || got[0] != 0 || got[1] != 0 {
			t.Errorf("%s: %v, %v", kind, got, err)
		}
	}
}
