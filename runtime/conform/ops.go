package conform

import (
	"fmt"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Ops runs every case of fixtures/ops as a graph of one operator: with all its
// arguments given for the run, and again with the float32 ones after the first
// as weights, which is how networks use most operators and how runtimes fold
// or lay out what they know beforehand. Arithmetic is also run on arguments that
// broadcast to one another.
func Ops(t *testing.T, f Open, o Options) {
	cases, err := fixtures.Ops()
	if err != nil {
		t.Fatal(err)
	}
	byOp := map[string][]fixtures.OpCase{}
	for _, c := range cases {
		byOp[c.Op] = append(byOp[c.Op], c)
	}
	t.Run("broadcast", func(t *testing.T) { o.broadcast(t, f) })
	for _, info := range graph.Ops() {
		if info.Op.Leaf() {
			continue
		}
		t.Run(info.Name, func(t *testing.T) {
			if reason, skip := o.Skip[info.Op]; skip {
				t.Skip(reason)
			}
			if len(byOp[info.Name]) == 0 {
				t.Errorf("fixtures/ops has no case of %s", info.Name)
			}
			for _, c := range byOp[info.Name] {
				t.Run(c.Name, func(t *testing.T) { o.op(t, f, info.Op, c) })
			}
		})
	}
}

// op runs one case in both ways.
func (o Options) op(t *testing.T, f Open, op graph.Op, c fixtures.OpCase) {
	want, err := tensors("y", c.Outputs)
	if err != nil {
		t.Fatal(err)
	}
	args, err := tensors("x", c.Inputs)
	if err != nil {
		t.Fatal(err)
	}
	none := func(int) bool { return false }
	later := func(i int) bool { return i > 0 && args[i].DType == format.Float32 }
	ways := []func(i int) bool{none}
	for i := range args {
		if later(i) {
			ways = []func(i int) bool{none, later}
		}
	}
	for _, weight := range ways {
		g, err := opGraph(op, c, args, weight)
		if err != nil {
			t.Fatal(err)
		}
		var weights []format.Tensor
		inputs := map[string]format.Tensor{}
		for i, a := range args {
			if weight(i) {
				weights = append(weights, a)
			} else {
				inputs[a.Name] = a
			}
		}
		s := open(t, f, g, weights)
		for range 2 { // a session is used many times
			o.run(t, s, copied(inputs), want)
		}
	}
}

// opGraph returns the graph of one case. weight says which arguments are
// parameters; the others are inputs.
func opGraph(op graph.Op, c fixtures.OpCase, args []format.Tensor, weight func(i int) bool) (*graph.Graph, error) {
	g := &graph.Graph{}
	leaves := make([]*graph.Value, len(args))
	for i, a := range args {
		leaves[i] = &graph.Value{Op: graph.Input, Name: a.Name, DType: a.DType, Shape: graph.Numbers(a.Shape...)}
		if weight(i) {
			leaves[i].Op = graph.Param
			g.Params = append(g.Params, leaves[i])
		} else {
			g.Inputs = append(g.Inputs, leaves[i])
		}
	}
	g.Values = append(g.Values, leaves...)
	for i, out := range c.Outputs {
		dtype, ok := format.ParseDType(out.DType)
		if !ok {
			return nil, fmt.Errorf("golden output %d holds %q", i, out.DType)
		}
		if dtype == format.Float64 {
			dtype = format.Float32 // golden numbers are more exact than what they judge
		}
		v := &graph.Value{Op: op, Args: leaves, Name: fmt.Sprintf("y%d", i), DType: dtype,
			Shape: graph.Numbers(out.Shape...), Attr: attributes(op, c, i)}
		g.Values = append(g.Values, v)
		g.Outputs = append(g.Outputs, graph.Output{Name: v.Name, Value: v})
	}
	// Verify works out the result's shape by the operator's rule, and so
	// compares the rule with PyTorch.
	return g, graph.Verify(g)
}

// attributes returns those of result i of a case. A graph counts axes from the
// front; a golden file, like ONNX, counts from the end where they are negative.
func attributes(op graph.Op, c fixtures.OpCase, i int) graph.Attr {
	front := func(axis int) int {
		if axis < 0 {
			return axis + len(c.Inputs[0].Shape)
		}
		return axis
	}
	a := graph.Attr{
		KeepDims: c.Attrs.KeepDims, Perm: c.Attrs.Perm, Shape: graph.Numbers(c.Attrs.Shape...), Sizes: c.Attrs.Sizes,
		Start: graph.N(c.Attrs.Start), Limit: graph.N(c.Attrs.Limit), Upper: c.Attrs.Upper, K: graph.N(c.Attrs.K),
		Fill: c.Attrs.Value, Epsilon: c.Attrs.Epsilon, Scale: c.Attrs.Scale, IgnoreIndex: c.Attrs.IgnoreIndex,
		TransA: c.Attrs.TransA, TransB: c.Attrs.TransB, Depth: c.Attrs.Depth,
	}
	switch op {
	case graph.Split:
		a.Axis, a.Result = front(c.Attrs.Axis), i
	case graph.Gather, graph.Softmax, graph.LogSoftmax, graph.Concat, graph.Slice, graph.GatherElements, graph.ScatterElements:
		a.Axis = front(c.Attrs.Axis)
	}
	for _, axis := range c.Attrs.Axes {
		a.Axes = append(a.Axes, front(axis))
	}
	return a
}
