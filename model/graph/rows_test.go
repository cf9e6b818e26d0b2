package graph_test

import (
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// A Transpose of a matrix that moves nothing is not the transpose of it.
func TestRowsOfAProductWithAnUnmovedMatrix(t *testing.T) {
	for _, perm := range [][]int{{0, 1}, {1, 0}} {
		b := graph.NewBuilder()
		x := b.Input("x", format.Float32, graph.Numbers(1, 2, 2)...)
		w := b.Param("w", graph.Normal(1), 2, 2)
		b.Output("y", b.MatMul(x, b.Transpose(w, perm...)))
		g := mustGraph(t, b)
		in := format.FromFloat32s("x", []int{1, 2, 2}, []float32{1, 2, 3, 4})
		want, got := ran(t, g, in)["y"], ran(t, mustApply(t, g, graph.Rows), in)["y"]
		if !slices.Equal(got, want) {
			t.Errorf("perm %v: in rows %v, otherwise %v", perm, got, want)
		}
	}
}
