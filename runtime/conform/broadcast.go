package conform

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// broadcasts holds the arithmetic of a builder whose first argument must
// broadcast, with the results that NumPy 2.4 gives for x (2,1) and y (1,3), and
// for the number 2 and y.
var broadcasts = []struct {
	op         graph.Op
	build      func(b *graph.Builder, x, y *graph.Value) *graph.Value
	both, from []float64
}{
	{graph.Add, (*graph.Builder).Add, []float64{2, 3, 5, 3, 4, 6}, []float64{3, 4, 6}},
	{graph.Sub, (*graph.Builder).Sub, []float64{0, -1, -3, 1, 0, -2}, []float64{1, 0, -2}},
	{graph.Mul, (*graph.Builder).Mul, []float64{1, 2, 4, 2, 4, 8}, []float64{2, 4, 8}},
	{graph.Div, (*graph.Builder).Div, []float64{1, 0.5, 0.25, 2, 1, 0.5}, []float64{2, 1, 0.5}},
	{graph.Equal, (*graph.Builder).Equal, []float64{1, 0, 0, 0, 1, 0}, []float64{0, 1, 0}},
}

// broadcast runs arithmetic whose arguments broadcast to one another.
func (o Options) broadcast(t *testing.T, f Open) {
	for _, c := range broadcasts {
		for _, op := range []graph.Op{c.op, graph.ConstantOfShape} {
			if reason, skip := o.Skip[op]; skip {
				t.Skip(reason)
			}
		}
		b := graph.NewBuilder()
		B, T := graph.Sym("B"), graph.Sym("T")
		if o.Bind {
			B, T = graph.N(2), graph.N(3)
		}
		x, y := b.Input("x", format.Float32, B, graph.N(1)), b.Input("y", format.Float32, graph.N(1), T)
		for name, v := range map[string]*graph.Value{"both": c.build(b, x, y), "from": c.build(b, b.Scalar(2), y)} {
			if c.op == graph.Equal {
				v = b.Where(v, b.Scalar(1), b.Scalar(0))
			}
			b.Output(name, v)
		}
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		inputs := map[string]format.Tensor{
			"x": format.FromFloat32s("x", []int{2, 1}, []float32{1, 2}),
			"y": format.FromFloat32s("y", []int{1, 3}, []float32{1, 2, 4}),
		}
		t.Run(c.op.String(), func(t *testing.T) {
			o.run(t, open(t, f, g, nil), inputs, []format.Tensor{
				format.FromFloat64s("both", []int{2, 3}, c.both), format.FromFloat64s("from", []int{1, 3}, c.from)})
		})
	}
}
