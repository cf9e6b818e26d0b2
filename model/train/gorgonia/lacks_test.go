package gorgonia_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// The engine has what can be decomposed, and names what it lacks.
func TestLacks(t *testing.T) {
	build := func(of func(b *graph.Builder, x *graph.Value) *graph.Value) *graph.Graph {
		b := graph.NewBuilder()
		b.Output("y", of(b, b.Input("x", format.Float32, graph.N(2), graph.N(3), graph.N(4), graph.N(4))))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	for want, g := range map[string]*graph.Graph{
		"": build(func(b *graph.Builder, x *graph.Value) *graph.Value {
			c := b.Param("c", graph.Constant(1), 3)
			return b.Apply(graph.BatchNormalization{Epsilon: 1e-5}, 1, x, c, c, c, c)[0]
		}),
		"Conv": build(func(b *graph.Builder, x *graph.Value) *graph.Value {
			w := b.Param("w", graph.Normal(1), 2, 3, 1, 1)
			return b.Apply(graph.Conv{Strides: []int{1, 1}, Pads: []int{0, 0, 0, 0}, Dilations: []int{1, 1}, Group: 1}, 1, x, w)[0]
		}),
	} {
		if got, err := gorgonia.Lacks(g); err != nil || got != want {
			t.Errorf("it lacks %q, expected %q: %v", got, want, err)
		}
	}
}
