package ref

import (
	gc "runtime"
	"testing"
	"weak"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Copies that are computed at each use are held one at a time where numbers are rounded to integers.
func TestDoubtsHoldOneCopy(t *testing.T) {
	const n = 1 << 12
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(n))
	node := b.Apply(graph.DynamicQuantizeLinear{}, 3, x)[0].Node
	numbers := newArray(floats, []int{n})
	for i := range numbers.f {
		numbers.f[i] = float64(i)/(n-1)*4 - 2
	}
	var made []weak.Pointer[float64]
	most := 0
	lazy := func(k int) array {
		gc.GC()
		live := 0
		for _, p := range made {
			if p.Value() != nil {
				live++
			}
		}
		most = max(most, live)
		out := newArray(floats, []int{n})
		for i, v := range numbers.f {
			out.f[i] = v + 1e-3*float64(k%2)
		}
		made = append(made, weak.Make(&out.f[0]))
		return out
	}
	q, zero := &shaken{array: newArray(ints, []int{n})}, &shaken{array: newArray(ints, nil)}
	for i := range n {
		q.mark(i)
	}
	zero.mark(0)
	s := &shaking{copies: manyCopies, shrink: 1}
	s.doubtQuantized(node, []*shaken{{array: numbers, lazy: lazy}}, []*shaken{q, {array: newArray(floats, nil)}, zero}, 1)
	if len(made) < manyCopies || most > 1 {
		t.Errorf("%d copies were made, and %d held at a time beside the next", len(made), most)
	}
}
