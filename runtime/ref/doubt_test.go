package ref_test

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// An integer that rounding may change makes unknown what is read with it, and
// nothing else: where another one is chosen, the bound is known. T5 computes the distance of
// near tokens so, by logarithms that it does not use.
func TestDoubtsFollowWhatIsChosen(t *testing.T) {
	for name, near := range map[string]bool{"chosen": false, "not chosen": true} {
		b := graph.NewBuilder()
		x := b.Input("x", format.Float32, graph.N(3))
		far := b.Cast(b.Exp(b.Log(x)), format.Int64) // 2 or 1, 4 or 3 and so on
		far = b.Apply(graph.Min, 1, b.Add(far, b.Cast(b.Not(b.Less(x, x)), format.Int64)), b.Range(graph.N(9), graph.N(10)))[0]
		far = b.Concat(0, b.Slice(far, 0, graph.N(0), graph.N(1)), b.Slice(far, 0, graph.N(1), graph.N(3)))
		limit := b.Scalar(0)
		if near {
			limit = b.Scalar(100)
		}
		ids := b.Where(b.Less(x, limit), b.Range(graph.N(0), graph.N(3)), far)
		table := b.Reshape(b.Cast(b.Range(graph.N(0), graph.N(10)), format.Float32), graph.N(10), graph.N(1))
		b.Output("y", b.Mul(b.Gather(table, ids), b.Exp(b.Reshape(x, graph.N(3), graph.N(1)))))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := ref.New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.Bounds(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{3}, []float32{2, 4, 8})}, runtime.Numbers{DType: format.Float32})
		if err != nil {
			t.Fatal(err)
		}
		bounds, err := got.Bounds[0].Of["y"].AsFloat64s()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range bounds {
			if known := v < 1; known != near {
				t.Errorf("%s: a bound of %g, unknown because %q", name, v, got.Bounds[0].Unknown)
			}
		}
	}
}

// An LSTM that rounds its factors has neither a rule nor a decomposition: its bound is
// unknown, and that is no error.
func TestQuantizedLSTMHasNoBound(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(2), graph.N(1), graph.N(3))
	shapes := [][]int{{8, 3}, {8, 2}, {16}, nil, {1, 2}, {1, 2}, {6}}
	args := []*graph.Value{x}
	for i, s := range shapes {
		if s == nil {
			args = append(args, b.Const(format.FromInt64s("lengths", []int{1}, []int64{2})))
			continue
		}
		n, _ := format.Elements(s)
		args = append(args, b.Const(format.FromFloat32s(string(rune('a'+i)), s, make([]float32, n))))
	}
	b.Output("y", b.Apply(graph.LSTM{Activations: "Sigmoid Tanh Tanh", Quantized: true}, 1, args...)[0])
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	o, err := ref.New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := o.Bounds(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{2, 1, 3}, make([]float32, 6))}, runtime.Numbers{DType: format.Float32})
	if err != nil || !strings.Contains(got.Bounds[0].Unknown, "rounded to 8 bits") {
		t.Errorf("%v, %v", got.Bounds, err)
	}
}
