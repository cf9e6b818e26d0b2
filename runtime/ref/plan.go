package ref

import (
	"fmt"
	"math"
	"reflect"
	"runtime/debug"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// MaxBytes bounds the memory of one run, including the weights in use. It is
// several times the need of GPT-2 over its whole context. A lower memory limit
// of the Go runtime (GOMEMLIMIT) takes its place.
const MaxBytes = 16 << 30

// plan holds what a run must know before it allocates memory.
type plan struct {
	shapes map[*graph.Value][]int // sizes of the values that are computed
	uses   map[*graph.Value]int   // remaining uses of each value
	visits map[*graph.Value]bool  // values that are looked at once, and not kept for that
	sizes  map[string]int         // of the named dimensions
	counts map[string]bool        // the dimensions that a node binds when it runs
}

// newPlan computes the sizes of everything that wanted and visited need. Wanted values
// are kept to the end. It refuses sizes that are impossible or too large.
func newPlan(g *graph.Graph, wanted []*graph.Value, sizes map[string]int, visited ...*graph.Value) (*plan, error) {
	p := &plan{visits: map[*graph.Value]bool{}, shapes: map[*graph.Value][]int{}, uses: map[*graph.Value]int{}, sizes: sizes, counts: map[string]bool{}}
	for _, v := range wanted {
		p.uses[v]++
	}
	for _, v := range visited {
		p.visits[v] = true
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
	for _, n := range g.Nodes {
		if !p.runs(n) {
			continue
		}
		if op, ok := n.Op.(graph.Counted); ok {
			for _, d := range op.Counts() {
				for _, name := range d.Symbols() {
					p.counts[name] = true
				}
			}
		}
		if err := p.walkable(n); err != nil {
			return nil, err
		}
		for _, v := range n.Results {
			if p.late(v) {
				continue
			}
			var err error
			if bytes[v], err = p.measure(v); err != nil {
				return nil, err
			}
		}
	}
	return p, p.fits(g, bytes)
}

// late reports whether the size of v is known only after a node has run.
func (p *plan) late(v *graph.Value) bool {
	return slices.ContainsFunc(v.Shape, func(d graph.Dim) bool {
		return slices.ContainsFunc(d.Symbols(), func(name string) bool { return p.counts[name] })
	})
}

// measure computes the shape of v and returns its size in bytes.
func (p *plan) measure(v *graph.Value) (int64, error) {
	shape, err := v.Shape.Eval(p.sizes)
	if err != nil {
		return 0, fmt.Errorf("ref: value %.80q: %w", v.Name, err)
	}
	k, ok := kindOf(v.DType)
	if !ok {
		return 0, fmt.Errorf("ref: value %.80q: element type %s is not supported", v.Name, v.DType)
	}
	n, ok := format.Elements(shape)
	if !ok || n > math.MaxInt/k.bytes() {
		return 0, fmt.Errorf("ref: value %.80q: shape %v is negative or too large: run a smaller batch or a shorter sequence", v.Name, shape)
	}
	p.shapes[v] = shape
	return int64(n) * int64(k.bytes()), nil
}

// walkable refuses an argument without elements that declares more rows than a kernel of
// an imported operator may walk. Those of attnx's own operators walk none.
func (p *plan) walkable(n *graph.Node) error {
	if !imported[reflect.TypeOf(n.Op)] {
		return nil
	}
	for _, a := range n.Args {
		rows, empty := 1, false
		for _, d := range p.shapes[a] {
			if empty = empty || d == 0; d > 0 && rows > walkLimit/d {
				rows = walkLimit
			} else {
				rows *= max(d, 1)
			}
		}
		if empty && rows >= walkLimit {
			return fmt.Errorf("ref: value %.80q: its argument %.80q %v has no elements and too many rows", n.Results[0].Name, a.Name, p.shapes[a])
		}
	}
	return nil
}

// walkLimit bounds the rows of a tensor without elements.
const walkLimit = 1 << 31

// imported are the types of the operators of other tools.
var imported = func() map[reflect.Type]bool {
	types := map[reflect.Type]bool{}
	for _, op := range graph.Imported() {
		types[reflect.TypeOf(op)] = true
	}
	for _, op := range graph.Operators() { // the elementwise ones are of one type
		delete(types, reflect.TypeOf(op))
	}
	return types
}()

// shape returns the shape of a result that is about to be computed, nil if its
// node decides it.
func (p *plan) shape(v *graph.Value) ([]int, error) {
	if s, ok := p.shapes[v]; ok {
		return s, nil
	}
	if op, ok := v.Op().(graph.Counted); ok {
		for _, d := range op.Counts() {
			if _, bound := p.sizes[d.String()]; !bound {
				return nil, nil
			}
		}
	}
	bytes, err := p.measure(v)
	if limit := min(MaxBytes, debug.SetMemoryLimit(-1)); err == nil && bytes > limit {
		err = fmt.Errorf("ref: value %.80q %v takes more than %d bytes: run a smaller batch", v.Name, p.shapes[v], limit)
	}
	return p.shapes[v], err
}

// count binds the dimensions that n has decided, and checks that its results
// have the graph's sizes.
func (p *plan) count(n *graph.Node, results []array) error {
	if _, ok := n.Op.(graph.Counted); !ok {
		return nil
	}
	for i, v := range n.Results {
		if len(results[i].shape) != len(v.Shape) {
			return fmt.Errorf("a result of shape %v, expected %s", results[i].shape, v.Shape)
		}
		for axis, d := range v.Shape {
			name, got := d.String(), results[i].shape[axis]
			if _, bound := p.sizes[name]; p.counts[name] && !bound {
				p.sizes[name] = got
			}
			if want, err := d.Eval(p.sizes); err != nil || got != want {
				return fmt.Errorf("a result of shape %v, expected %s (%v)", results[i].shape, v.Shape, err)
			}
		}
	}
	return nil
}

// runs reports whether a result of n is needed.
func (p *plan) runs(n *graph.Node) bool {
	return slices.ContainsFunc(n.Results, func(v *graph.Value) bool { return p.uses[v] > 0 || p.visits[v] })
}

// fits simulates Oracle.compute and checks the peak of memory in use.
func (p *plan) fits(g *graph.Graph, bytes map[*graph.Value]int64) error {
	limit := min(MaxBytes, debug.SetMemoryLimit(-1)) // -1 only reads the limit
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
		for _, v := range n.Results { // a result without users is freed at once
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
