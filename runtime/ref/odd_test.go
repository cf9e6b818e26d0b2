package ref_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// oddGraph returns the graph of one case, whose arguments are as given makes
// them: by their place, name, and elements.
func oddGraph(c fixtures.OddCase, given func(b *graph.Builder, t format.Tensor) *graph.Value) (*graph.Graph, error) {
	op, err := graph.ParseOp(strings.TrimSpace(c.Op + " " + c.Attrs))
	if err != nil {
		return nil, err
	}
	b := graph.NewBuilder()
	args := make([]*graph.Value, len(c.Inputs))
	for i, x := range c.Inputs {
		args[i] = given(b, oddTensor(fmt.Sprint("x", i), x))
	}
	for i, v := range b.Apply(op, len(c.Outputs), args...) {
		b.Output(fmt.Sprint("y", i), v)
	}
	return b.Graph()
}

// oddTensor returns an input of a case.
func oddTensor(name string, x fixtures.OddTensor) format.Tensor {
	numbers := x.Numbers()
	switch x.DType {
	case "I64":
		out := make([]int64, len(numbers))
		for i, v := range numbers {
			out[i] = int64(v)
		}
		return format.FromInt64s(name, x.Shape, out)
	case "BOOL":
		out := make([]byte, len(numbers))
		for i, v := range numbers {
			out[i] = byte(v)
		}
		return format.Tensor{Name: name, DType: format.Bool, Shape: x.Shape, Data: out}
	}
	out := make([]float32, len(numbers))
	for i, v := range numbers {
		out[i] = float32(v)
	}
	return format.FromFloat32s(name, x.Shape, out)
}

func asInput(b *graph.Builder, t format.Tensor) *graph.Value {
	return b.Input(t.Name, t.DType, graph.Numbers(t.Shape...)...)
}

// numbersOf returns the elements of any tensor.
func numbersOf(x format.Tensor) []float64 {
	if x.DType == format.Int64 {
		ints, _ := x.Int64s()
		out := make([]float64, len(ints))
		for i, v := range ints {
			out[i] = float64(v)
		}
		return out
	}
	if x.DType == format.Bool {
		out := make([]float64, len(x.Data))
		for i, v := range x.Data {
			out[i] = float64(v)
		}
		return out
	}
	out, _ := x.AsFloat64s()
	return out
}

// near reports whether x is w up to so many parts of it, or neither is a number.
func near(x, w, bound float64) bool {
	if math.IsNaN(x) || math.IsNaN(w) || math.IsInf(w, 0) || math.IsInf(x, 0) {
		return x == w || math.IsNaN(x) && math.IsNaN(w)
	}
	return math.Abs(x-w) <= bound*max(1, math.Abs(w))
}

// oddBound is what separates the oracle from ONNX's reference: both compute in
// float64, but the reference takes a normalization's epsilon, an attention's
// scale and the constants of Gelu, Erf and Swish from float32.
func oddBound(op string) float64 {
	if slices.Contains([]string{"Erf", "LayerNormalization", "RMSNormalization", "Gelu", "Attention", "Swish"}, op) {
		return 1.2e-7
	}
	return 1e-13
}

// Operators on odd shapes and numbers are what ONNX's reference says: as the
// oracle has them, decomposed, and folded from constants, each rounded to float32
// once.
func TestOddShapes(t *testing.T) {
	cases, err := fixtures.Odd()
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]int{}
	for i, c := range cases {
		name := fmt.Sprintf("case %d: %s %s", i, c.Op, c.Attrs)
		inputs := map[string]format.Tensor{}
		for i, x := range c.Inputs {
			name += fmt.Sprint(" ", x.DType, x.Shape)
			inputs[fmt.Sprint("x", i)] = oddTensor(fmt.Sprint("x", i), x)
		}
		g, err := oddGraph(c, asInput)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tested[c.Op]++
		constant, err := oddGraph(c, (*graph.Builder).Const)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		folded, err := graph.Fold(constant)
		if err != nil {
			t.Errorf("%s: folded: %v", name, err)
			continue
		}
		plain, err := graph.DecomposeAll(g)
		if err != nil {
			t.Errorf("%s: decomposed: %v", name, err)
			continue
		}
		for form, f := range map[string]struct {
			g      *graph.Graph
			inputs map[string]format.Tensor
			bound  float64
		}{"as it is": {g, inputs, oddBound(c.Op)}, "decomposed": {plain, inputs, 2e-7}, "folded": {folded, nil, 2e-7}} {
			got, err := mustOpen(t, f.g).Run(f.inputs)
			if err != nil {
				t.Errorf("%s, %s: %v", name, form, err)
				continue
			}
			for j, want := range c.Outputs {
				y := got[fmt.Sprint("y", j)]
				numbers, wants := numbersOf(y), want.Numbers()
				if !slices.Equal(y.Shape, want.Shape) || y.DType.String() != want.DType {
					t.Errorf("%s, %s: result %d is %s%v, ONNX has %s%v", name, form, j, y.DType, y.Shape, want.DType, want.Shape)
					continue
				}
				for k, w := range wants {
					x := numbers[k]
					if form == "folded" && !math.IsInf(w, 0) && math.Abs(w) > math.MaxFloat32 && math.IsInf(x, 0) {
						continue // beyond float32
					}
					if !near(x, w, f.bound) {
						t.Errorf("%s, %s: element %d of result %d is %g, ONNX has %g", name, form, k, j, x, w)
						break
					}
				}
			}
		}
	}
	for _, op := range graph.Operators() {
		switch op.(type) {
		case graph.Input, graph.Param, graph.Const:
		case graph.Positions, graph.RotaryEmbedding, graph.RelativePositionBias: // ONNX has none with this meaning: fixtures/ops
		case graph.LSTM, graph.GRU: // in one direction, without ONNX's axis for it: fixtures/ops, TestRuntimeSuite
		default:
			if tested[op.Name()] == 0 {
				t.Errorf("%s has no case: add one to fixtures/oracle/odd_golden.py", op.Name())
			}
		}
	}
}

// The gradients of operators on odd shapes are what differences say, by all
// floating-point arguments: the loss is a weighted sum of the results.
func TestOddShapesGradients(t *testing.T) {
	cases, err := fixtures.Odd()
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]int{}
	for i, c := range cases {
		if !smooth(c) {
			continue
		}
		var weights []format.Tensor
		forward, err := oddGraph(c, func(b *graph.Builder, x format.Tensor) *graph.Value {
			if x.DType != format.Float32 {
				return b.Const(x)
			}
			weights = append(weights, x)
			return b.Param(x.Name, graph.Normal(1), x.Shape...)
		})
		if err != nil {
			t.Fatal(err)
		}
		b := graph.Extend(forward)
		loss := b.Scalar(0)
		for j, o := range forward.Outputs {
			n := o.Value.Shape.Elements()
			count, _ := n.Number()
			by := make([]float32, count)
			for k := range by {
				by[k] = float32((7*k+3*j)%11-5) / 4
			}
			flat := b.Mul(b.Reshape(o.Value, n), b.Const(format.FromFloat32s("", []int{count}, by)))
			loss = b.Add(loss, b.ReduceSum(flat, false, 0))
		}
		b.Output("loss", loss)
		g, err := b.Graph()
		if err == nil {
			g, err = graph.Select("loss")(g)
		}
		if err != nil {
			t.Fatal(err)
		}
		kept := slices.DeleteFunc(slices.Clone(weights), func(w format.Tensor) bool { return g.Lookup(w.Name) == nil })
		tested[c.Op]++
		t.Run(fmt.Sprintf("%d %s %s", i, c.Op, c.Attrs), func(t *testing.T) { checkDerivatives(t, g, kept, nil) })
	}
	for _, op := range graph.Operators() {
		_, differentiable := op.(graph.Differentiable)
		_, composite := op.(graph.Composite)
		switch op {
		case graph.Not, graph.Equal, graph.Less, graph.LessOrEqual, graph.Greater, graph.GreaterOrEqual, graph.And, graph.Or, graph.Xor:
			differentiable = false // of truth values
		}
		switch op.(type) {
		case graph.Positions, graph.OneHot: // of integers
		case graph.RotaryEmbedding, graph.RelativePositionBias, graph.LSTM, graph.GRU: // TestGrad
		default:
			if (differentiable || composite) && tested[op.Name()] == 0 {
				t.Errorf("%s has no case: add one to fixtures/oracle/odd_golden.py", op.Name())
			}
		}
	}
}

// smooth reports whether differences of a case mean something: it takes and
// gives numbers, all finite.
func smooth(c fixtures.OddCase) bool {
	given := false
	for _, x := range c.Inputs {
		for _, v := range x.Numbers() {
			if math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) > 8 && x.DType == "F32" {
				return false
			}
		}
		given = given || x.DType == "F32"
	}
	for _, y := range c.Outputs {
		if y.DType != "F64" {
			return false
		}
		for _, v := range y.Numbers() {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		}
	}
	return given
}
