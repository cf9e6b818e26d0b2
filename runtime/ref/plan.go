package ref

import (
	"fmt"
	"math"
	"runtime/debug"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// MaxBytes is the most that one run may hold at a time, weights in use
// included: several times what GPT-2 takes over its whole context. A memory
// limit of the Go runtime (GOMEMLIMIT) that is lower counts instead.
const MaxBytes = 16 << 30

// plan is what a run needs to know before it allocates anything.
type plan struct {
	shapes map[*graph.Value][]int // sizes of the values that are computed
	uses   map[*graph.Value]int   // how often each is still needed
}

// newPlan works out the sizes of everything that wanted needs, and refuses
// them when they are impossible or would not fit.
func newPlan(g *graph.Graph, wanted []*graph.Value, sizes map[string]int) (*plan, error) {
	p := &plan{shapes: map[*graph.Value][]int{}, uses: map[*graph.Value]int{}}
	for _, v := range wanted {
		p.uses[v]++
	}
	for _, n := range slices.Backward(g.Nodes) {
		if !p.runs(n) {
			continue
		}
		for _, a := range n.Args {
			p.uses[a]++
		}
	}
	bytes := map[*graph.Value]int64{}
	for v := range g.Values() {
		if !p.runs(v.Node) {
			continue
		}
		shape, err := v.Shape.Eval(sizes)
		if err != nil {
			return nil, fmt.Errorf("ref: value %.80q: %w", v.Name, err)
		}
		k, ok := kindOf(v.DType)
		if !ok {
			return nil, fmt.Errorf("ref: value %.80q: element type %s is not supported", v.Name, v.DType)
		}
		n, ok := format.Elements(shape)
		if !ok || n > math.MaxInt/k.bytes() {
			return nil, fmt.Errorf("ref: value %.80q: shape %v is negative or too large", v.Name, shape)
		}
		p.shapes[v], bytes[v] = shape, int64(n)*int64(k.bytes())
	}
	return p, p.fits(g, bytes)
}

// runs reports whether a result of n is needed.
func (p *plan) runs(n *graph.Node) bool {
	return slices.ContainsFunc(n.Results, func(v *graph.Value) bool { return p.uses[v] > 0 })
}

// fits walks through the run as Oracle.compute will and checks the most that is
// held at a time.
func (p *plan) fits(g *graph.Graph, bytes map[*graph.Value]int64) error {
	limit := min(MaxBytes, debug.SetMemoryLimit(-1)) // -1 only reads it
	left := make(map[*graph.Value]int, len(p.uses))
	for v, n := range p.uses {
		left[v] = n
	}
	held := int64(0)
	hold := func(v *graph.Value) error {
		if bytes[v] > limit-held {
			return fmt.Errorf("ref: value %.80q %v would bring the run to more than %d bytes: run a smaller batch or a shorter sequence", v.Name, p.shapes[v], limit)
		}
		held += bytes[v]
		return nil
	}
	loaded := map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		if !p.runs(n) || n.Results[0].Leaf() {
			continue
		}
		for _, a := range n.Args {
			if a.Leaf() && !loaded[a] {
				loaded[a] = true
				if err := hold(a); err != nil {
					return err
				}
			}
		}
		for _, v := range n.Results {
			if err := hold(v); err != nil {
				return err
			}
		}
		for _, v := range n.Results { // one that nothing reads goes at once
			if left[v] == 0 {
				held -= bytes[v]
			}
		}
		for _, a := range n.Args {
			if left[a]--; left[a] == 0 {
				held -= bytes[a]
			}
		}
	}
	return nil
}
