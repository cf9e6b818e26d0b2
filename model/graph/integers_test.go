package graph_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Matrices of integers are found among parameters and, where they are small, among constants.
func TestIntegers(t *testing.T) {
	matrix := format.Tensor{Name: "q", DType: format.Uint8, Shape: []int{2, 2}, Data: []byte{1, 2, 3, 4}}
	row := format.Tensor{Name: "q", DType: format.Uint8, Shape: []int{2}, Data: []byte{1, 2}}
	for name, c := range map[string]struct {
		x    format.Tensor
		want bool
	}{
		"matrix":  {matrix, true},
		"row":     {row, false},
		"numbers": {format.FromFloat32s("w", []int{2, 2}, []float32{1, 2, 3, 4}), false},
	} {
		b := graph.NewBuilder()
		b.Output("y", b.Cast(b.Const(c.x), format.Float64))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(name, err)
		}
		if got, rounds := graph.Integers(g); got != c.want || rounds != "" {
			t.Errorf("%s: %v, rounded by %q", name, got, rounds)
		}
	}
}
