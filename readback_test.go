package attnx_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/flat"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// What attnx exports is read back as the same function, in every profile that holds
// the forward pass: the oracle gives the logits of the checkpoint's graph with the
// weights that the file's numbers stand for, and with 8 bits its products of rounded
// factors. What is left is the rounding of constants to float32, for which there is the
// bound of float32 arithmetic. Files of 16 bits have constants of 16 bits.
func TestExportsAreReadBack(t *testing.T) {
	networks := map[string]nn.Network{
		"gpt2":  arch.GPT2{Vocab: 23, Context: 16, Layers: 2, Heads: 2, Width: 16, Inner: 48, Epsilon: 1e-5},
		"llama": smallLlama(23),
	}
	float32s, float16s := runtime.Numbers{DType: format.Float32}, runtime.Numbers{DType: format.Float16}
	profiles := map[string]struct {
		p       export.Profile
		numbers runtime.Numbers
	}{
		"plain":     {export.Plain{}, float32s},
		"opset 21":  {export.Plain{Opset: 21}, float32s},
		"cache":     {export.Cache{}, float32s},
		"fused":     {export.Cache{Fuse: true}, float32s},
		"last":      {export.Cache{LastLogits: true}, float32s},
		"flat":      {export.Flat{Length: 5}, float32s},
		"8 bits":    {export.Plain{Quantize: precision.Int8}, float32s},
		"4 bits":    {export.Plain{Quantize: precision.Int4}, float32s},
		"16 bits":   {export.Cache{DType: format.Float16}, float16s},
		"fused, 16": {export.Cache{Fuse: true, DType: format.Float16}, float16s},
	}
	for name, n := range networks {
		c, err := model.New(n, 3)
		if err != nil {
			t.Fatal(err)
		}
		ids := format.FromInt64s("input_ids", []int{1, 5}, []int64{3, 1, 4, 1, 5})
		for profile, x := range profiles {
			t.Run(name+" "+profile, func(t *testing.T) {
				m, err := export.Model(c.Graph, c.Weights, x.p)
				if err != nil {
					t.Fatal(err)
				}
				inputs := map[string]format.Tensor{}
				for _, in := range m.Graph.Inputs {
					inputs[in.Name] = firstStep(t, in, ids, c.Context())
				}
				o := read.Options{Shapes: map[string][]int{}}
				for name, x := range inputs {
					o.Shapes[name] = x.Shape
				}
				r, err := read.Model(m, o)
				if err != nil {
					t.Fatal(err)
				}
				got := logitsOf(t, r.Graph, r.Weights, inputs)
				want, bounds := expected(t, c, m, ids, x.numbers)
				want, bounds = want[len(want)-min(len(got), len(want)):], bounds[len(bounds)-min(len(got), len(bounds)):]
				if len(got) != len(want) {
					t.Fatalf("%d logits, expected %d", len(got), len(want))
				}
				for i := range want {
					if !(math.Abs(got[i]-want[i]) <= bounds[i]) {
						t.Fatalf("logit %d is %g, expected %g: off by %.2g, where rounding explains %.2g", i, got[i], want[i], math.Abs(got[i]-want[i]), bounds[i])
					}
				}
			})
		}
	}
}

// expected returns the logits of a checkpoint's graph with the weights that a file
// has, and their bounds.
func expected(t *testing.T, c *model.Checkpoint, m *onnx.Model, ids format.Tensor, numbers runtime.Numbers) (logits, bounds []float64) {
	t.Helper()
	stored := map[string]*onnx.Tensor{}
	for _, w := range m.Graph.Initializers {
		stored[w.Name] = w
	}
	g, weights := c.Graph, slices.Clone(c.Weights)
	rounded := map[string]bool{} // weights of 8 bits: their products round the other factor
	for i, w := range weights {
		if integers := stored[w.Name+".int8"]; integers != nil {
			weights[i], rounded[w.Name] = fromRows(t, w, integers, stored[w.Name+".scale"]), true
		} else if blocks := stored[w.Name+".blocks"]; blocks != nil {
			weights[i] = fromBlocks(t, w, blocks, stored[w.Name+".scale"])
		} else if s := stored[w.Name]; s != nil && s.DataType == onnx.Float16 {
			half, _, err := w.Convert(format.Float16)
			if err == nil {
				weights[i], _, err = half.Convert(format.Float32)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(rounded) > 0 {
		g = withRoundedFactors(t, g, rounded)
	}
	oracle, err := ref.New(g, weights)
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]format.Tensor{"input_ids": ids}
	got, err := oracle.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	if logits, err = got[role.Logits.Name()].AsFloat64s(); err != nil {
		t.Fatal(err)
	}
	plain, err := ref.New(c.Graph, weights) // the bound is unknown behind rounded factors
	if err != nil {
		t.Fatal(err)
	}
	bounded, err := plain.Bounds(inputs, numbers)
	if err == nil {
		bounds, err = bounded.Bounds[0].Of[role.Logits.Name()].AsFloat64s()
	}
	if err != nil {
		t.Fatal(err)
	}
	return logits, bounds
}

// withRoundedFactors rounds the first factor of each product with a weight of 8 bits.
func withRoundedFactors(t *testing.T, g *graph.Graph, weights map[string]bool) *graph.Graph {
	t.Helper()
	g, err := graph.Rewrite(g, func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		if _, ok := n.Op.(graph.MatMul); !ok {
			return nil
		}
		w := n.Args[1]
		if _, ok := graph.Is[graph.Transpose](w); ok {
			w = w.Args()[0]
		}
		if !weights[w.Name] {
			return nil
		}
		q := b.Apply(graph.DynamicQuantizeLinear{}, 3, args[0])
		return []*graph.Value{b.MatMul(b.Apply(graph.DequantizeLinear{To: format.Float32}, 1, q...)[0], args[1])}
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fromRows returns the weights that int8 with a scale for each row or column stand
// for, each within half a step of w.
func fromRows(t *testing.T, w format.Tensor, integers, scales *onnx.Tensor) format.Tensor {
	t.Helper()
	steps := floatsOf(scales)
	for axis := range 2 {
		if len(steps) == w.Shape[axis] {
			read := func(i int) (v, step float64) {
				step = steps[format.Index(i, w.Shape)[axis]]
				return float64(int8(integers.Raw[i])) * step, step / 2
			}
			if x, ok := within(t, w, read); ok {
				return x
			}
		}
	}
	t.Fatalf("%s: the integers are not w rounded", w.Name)
	return w
}

// fromBlocks returns the weights that 4 or 8 bits in blocks of 32 stand for, (out,in),
// for w (in,out) or (out,in).
func fromBlocks(t *testing.T, w format.Tensor, blocks, scales *onnx.Tensor) format.Tensor {
	t.Helper()
	steps, count, width := floatsOf(scales), int(blocks.Dims[1]), int(blocks.Dims[2])
	bits := width / 4 // 32 numbers in 4 bytes for each bit
	for axis := range 2 {
		if int(blocks.Dims[0]) != w.Shape[axis] {
			continue
		}
		read := func(i int) (v, step float64) {
			at := format.Index(i, w.Shape)
			out, in := at[axis], at[1-axis]
			block := out*count + in/32
			bit := in % 32 * bits
			number := int(blocks.Raw[block*width+bit/8]) >> (bit % 8) & (1<<bits - 1)
			step = math.Abs(steps[block]) / 2
			if number == 1<<bits-1 { // the last one stands for what lies up to a step above too
				step *= 2
			}
			return float64(number-1<<(bits-1)) * steps[block], step
		}
		if x, ok := within(t, w, read); ok {
			return x
		}
	}
	t.Fatalf("%s: the numbers are not w rounded", w.Name)
	return w
}

// within returns the numbers that read gives for each element of w, and whether each
// lies within its distance.
func within(t *testing.T, w format.Tensor, read func(i int) (v, distance float64)) (format.Tensor, bool) {
	t.Helper()
	exact, err := w.AsFloat64s()
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, len(exact))
	for i, v := range exact {
		y, distance := read(i)
		if !(math.Abs(y-v) <= distance*(1+1e-6)) {
			return w, false
		}
		x[i] = y
	}
	return format.FromFloat64s(w.Name, w.Shape, x), true
}

func floatsOf(t *onnx.Tensor) []float64 {
	v := make([]float64, len(t.Raw)/4)
	for i := range v {
		v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:])))
	}
	return v
}

// logitsOf returns the logits of a graph.
func logitsOf(t *testing.T, g *graph.Graph, weights []format.Tensor, inputs map[string]format.Tensor) []float64 {
	t.Helper()
	oracle, err := ref.New(g, weights)
	if err != nil {
		t.Fatal(err)
	}
	got, err := oracle.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := got[role.Logits.Name()].AsFloat64s()
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

// firstStep returns an input of the first step of a text: nothing lies before it.
func firstStep(t *testing.T, in onnx.ValueInfo, ids format.Tensor, context int) format.Tensor {
	t.Helper()
	length := ids.Shape[1]
	counted := func(f func(i int) int64) format.Tensor {
		x := make([]int64, length)
		for i := range x {
			x[i] = f(i)
		}
		return format.FromInt64s(in.Name, []int{1, length}, x)
	}
	if in.Name == flat.OneHotInput {
		numbers, _ := ids.Int64s()
		vocab := int(in.Dims[1].Value)
		rows := make([]float32, length*vocab)
		for i, id := range numbers {
			rows[i*vocab+int(id)] = 1
		}
		return format.FromFloat32s(in.Name, []int{length, vocab}, rows)
	}
	r, _ := role.FromName(in.Name)
	switch r.Kind {
	case role.Tokens:
		return ids
	case role.AttentionMask:
		return counted(func(int) int64 { return 1 })
	case role.Positions:
		return counted(func(i int) int64 { return int64(i) })
	case role.PastKey, role.PastValue:
		before := 0
		if in.Dims[2].Param == "max_sequence_length" {
			before = context // one buffer, of which nothing is used yet
		}
		shape := []int{1, int(in.Dims[1].Value), before, int(in.Dims[3].Value)}
		n, _ := format.Elements(shape)
		return format.FromFloat32s(in.Name, shape, make([]float32, n))
	}
	t.Fatalf("input %q", in.Name)
	return format.Tensor{}
}
