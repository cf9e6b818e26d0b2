package gorgonia

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// The distance from PyTorch's float64, relative to the largest number of a
// gradient: of sums of at most a few dozen terms, rounded once each. A
// decomposition of a float32 operator has its constants in float32, each off by
// up to 2⁻²⁵ of itself.
const (
	opGradientBound    = 1e-13
	decomposedGradient = 1.0 / (1 << 25)
)

// TestGoldenOpGradients compares every operator's gradients with PyTorch's: ties,
// kinks and masks among them, which central differences do not see.
func TestGoldenOpGradients(t *testing.T) {
	cases, err := fixtures.Ops()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, c := range cases {
		if c.GradWeights != nil {
			count++
			t.Run(c.Op+"/"+c.Name, func(t *testing.T) { checkGoldenGradients(t, c) })
		}
	}
	if count < 100 {
		t.Errorf("only %d cases have gradients", count)
	}
}

func checkGoldenGradients(t *testing.T, c fixtures.OpCase) {
	g := goldenOpLoss(t, c)
	bound := opGradientBound
	for _, n := range g.Nodes {
		if _, ok := n.Op.(graph.Composite); ok && !native(n) {
			bound = decomposedGradient
		}
	}
	p, err := compile[float64](g, nil, paramNames(g), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range p.params {
		var i int
		if _, err := fmt.Sscanf(g.name, "x%d", &i); err != nil {
			t.Fatal(err)
		}
		if err := p.set(g, format.FromFloat64s(g.name, g.shape, c.Inputs[i].Data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
	got := map[string][]float64{}
	for i, g := range p.params {
		if s := p.grads[i]; s >= 0 {
			got[g.name] = p.slots[s].f
		}
	}
	for i, want := range c.Gradients {
		if want == nil {
			continue
		}
		scale := 1.0
		for _, w := range want.Data {
			scale = max(scale, math.Abs(w))
		}
		g := got[fmt.Sprint("x", i)]
		for j, w := range want.Data {
			x := 0.0 // of what has no part in the loss
			if g != nil {
				x = g[j]
			}
			if !(math.Abs(x-w) <= bound*scale) {
				t.Errorf("gradient of x%d[%d] = %.17g, PyTorch has %.17g", i, j, x, w)
			}
		}
	}
}

// goldenOpLoss is the sum of the outputs of a case, weighed as in PyTorch. What
// has a gradient there is a parameter, the rest is constant.
func goldenOpLoss(t *testing.T, c fixtures.OpCase) *graph.Graph {
	t.Helper()
	op, err := graph.ParseOp(strings.TrimSpace(c.Op + " " + c.Attrs))
	if err != nil {
		t.Fatal(err)
	}
	b := graph.NewBuilder()
	args := make([]*graph.Value, len(c.Inputs))
	for i, in := range c.Inputs {
		name := fmt.Sprint("x", i)
		if c.Gradients[i] != nil {
			args[i] = b.Param(name, graph.Constant(0), in.Shape...)
		} else {
			args[i] = b.Const(constantOf(t, name, in))
		}
	}
	var loss *graph.Value
	for i, y := range b.Apply(op, len(c.Outputs), args...) {
		w := c.GradWeights[i]
		if w == nil {
			continue
		}
		weights := make([]float32, len(w.Data))
		for j, x := range w.Data {
			if weights[j] = float32(x); float64(weights[j]) != x {
				t.Fatalf("weight %g is not a float32", x)
			}
		}
		part := b.Mul(y, b.Const(format.FromFloat32s(fmt.Sprint("weights", i), w.Shape, weights)))
		if n := len(w.Shape); n > 0 {
			axes := make([]int, n)
			for a := range axes {
				axes[a] = a
			}
			part = b.ReduceSum(part, false, axes...)
		}
		if loss == nil {
			loss = part
		} else {
			loss = b.Add(loss, part)
		}
	}
	b.Output("loss", loss)
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func constantOf(t *testing.T, name string, x fixtures.Tensor) format.Tensor {
	t.Helper()
	switch x.DType {
	case "I64":
		return format.FromInt64s(name, x.Shape, ints(x.Data))
	case "BOOL":
		data := make([]byte, len(x.Data))
		for i, v := range x.Data {
			data[i] = byte(v)
		}
		return format.Tensor{Name: name, DType: format.Bool, Shape: x.Shape, Data: data}
	}
	t.Fatalf("%s has no gradient and is %s", name, x.DType)
	return format.Tensor{}
}

func ints(x []float64) []int64 {
	out := make([]int64, len(x))
	for i := range x {
		out[i] = int64(x[i])
	}
	return out
}
