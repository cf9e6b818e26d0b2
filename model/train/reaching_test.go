package train_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// A gradient reaches a weight that the loss depends on, unless a rounding is on each way: its
// derivative is 0.
func TestReaching(t *testing.T) {
	for name, c := range map[string]struct {
		loss  func(b *graph.Builder, x, w *graph.Value) *graph.Value
		count int
		flat  string
	}{
		"product":   {func(b *graph.Builder, x, w *graph.Value) *graph.Value { return b.Mul(x, w) }, 1, ""},
		"no weight": {func(b *graph.Builder, x, _ *graph.Value) *graph.Value { return b.Apply(graph.Floor, 1, x)[0] }, 0, ""},
		"rounded": {func(b *graph.Builder, x, w *graph.Value) *graph.Value {
			return b.Neg(b.Apply(graph.Floor, 1, b.Mul(x, w))[0])
		}, 0, "floor_1"},
		"rounded and as is": {func(b *graph.Builder, _, w *graph.Value) *graph.Value { return b.Add(b.Apply(graph.Floor, 1, w)[0], w) }, 1, "floor_1"},
	} {
		b := graph.NewBuilder()
		x, w := b.Input("x", format.Float32), b.Param("w", graph.Init{})
		b.OutputFor(role.Of(role.Loss), c.loss(b, x, w))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(name, err)
		}
		count, flat, err := train.Reaching(g, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		got := ""
		if flat != nil {
			got = flat.Name
		}
		if count != c.count || got != c.flat {
			t.Errorf("%s: %d weights, flat %q", name, count, got)
		}
	}
}
