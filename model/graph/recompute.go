package graph

import (
	"fmt"

	"github.com/attnx/attnx/model/role"
)

// Recompute is the pass that makes a training step need less memory, at the price of
// time: large values are computed in pieces (see Pieces), and less is kept between the
// forward and the backward pass, so that most of the forward pass is computed
// twice (see Schedule). The sizes must be bound. A graph whose peak would hardly fall
// stays as it is. An evaluation, which has no gradients, gets pieces only.
//
// Runtimes order nodes as they like and merge equal ones. So what a block reads
// passes a Where with a condition from the gradients so far, which selects
// between the value and itself: the bits stay, and nothing can be computed
// before the backward pass is there.
func Recompute(g *Graph) (*Graph, error) {
	limit, err := pieceLimit(g)
	if err != nil {
		return nil, err
	}
	whole, err := gathered(g, limit)
	if err != nil {
		return nil, err
	}
	plain, err := Blocks(g)
	if err != nil || whole == g {
		return plain, err
	}
	parts, err := Blocks(whole)
	if err == nil {
		parts, err = inParts(parts)
	}
	if err != nil {
		return nil, err
	}
	with, err := PeakBytes(parts)
	if err != nil {
		return nil, err
	}
	without, err := PeakBytes(plain)
	if with > without*9/10 { // sums of gradients are there twice
		return plain, err
	}
	return parts, err
}

// Bounds of the bytes of a large value that are there at one time. Smaller pieces make a
// slow product, and more of them a graph that takes a runtime long to open.
const (
	leastPiece = 8 << 20
	mostPieces = 32 // of a value as large as the peak of the step
)

func pieceLimit(g *Graph) (int64, error) {
	peak, err := PeakBytes(g)
	return max(leastPiece, peak/mostPieces), err
}

// Blocks is Recompute without pieces. An engine with kernels of its own for what the
// pieces would cut has this.
func Blocks(g *Graph) (*Graph, error) {
	loss, ok := g.Output(role.Of(role.Loss))
	if !ok || len(g.Outputs) == 1 {
		return g, nil
	}
	number := map[*Node]int{}
	tasks := make([]Task, len(g.Nodes))
	for i, n := range g.Nodes {
		number[n] = i
		_, reshaped := n.Op.(Reshape)
		t := Task{Leaf: leaf(n.Op), View: reshaped || n.Op == Op(Identity)}
		for _, a := range n.Args {
			t.Args = append(t.Args, number[a.Node])
		}
		for _, v := range n.Results {
			size, known := v.Shape.Elements().Number()
			if !known {
				return nil, fmt.Errorf("graph: value %.80q has the shape %s: bind its names first", v.Name, v.Shape)
			}
			t.Bytes += int64(size) * int64(v.DType.Size())
		}
		if p, is := n.Op.(piecewise); is {
			t.Extra, t.Once = p.extra(), true // its results are small, and their cost is not
		}
		tasks[i] = t
	}
	for _, o := range g.Outputs {
		tasks[number[o.Value.Node]].Output = true
	}
	turns, waits := Schedule(tasks, number[loss.Value.Node])
	if turns == nil {
		return g, nil
	}
	b := NewBuilder()
	for v := range g.Values() {
		b.Reserve(v.Name)
	}
	r := recomputing{b: &Builder{recording: b.recording, made: true}, turns: turns, waits: waits,
		results: make([][]*Value, len(turns)), conditions: make([]*Value, len(waits)), sums: make([]*Value, len(waits)), gated: map[gate]*Value{}}
	copies := map[*Value]*Value{}
	for i, t := range turns {
		n := g.Nodes[t.Task]
		args := make([]*Value, len(n.Args))
		for k, a := range n.Args {
			args[k] = r.results[t.Args[k]][a.Index]
		}
		if !t.Again {
			r.results[i] = r.b.clone(n, args)
			for k, v := range n.Results {
				copies[v] = r.results[i][k]
			}
			continue
		}
		r.await(t, args)
		again := r.b.Scope("again")
		r.results[i] = again.Apply(n.Op, len(n.Results), args...)
		for k, v := range n.Results {
			again.Name(v.Name, r.results[i][k])
		}
	}
	copyOutputs(b, g, copies)
	return b.Graph()
}

type recomputing struct {
	b          *Builder
	turns      []Turn
	waits      []Wait
	results    [][]*Value // by turn
	conditions []*Value   // by wait: BOOL (1)
	sums       []*Value   // by wait: a number that all of it is needed for
	gated      map[gate]*Value
}

type gate struct {
	wait  int
	value *Value
}

// await puts a Where before the smallest computed argument, unless one has waited
// already. A turn that comes again has such an argument.
func (r *recomputing) await(t Turn, args []*Value) {
	at, least := -1, 0
	for i, a := range args {
		if r.turns[t.Args[i]].Again {
			return // it waited
		}
		size, _ := a.Shape.Elements().Number()
		if !a.Leaf() && (at < 0 || size < least) {
			at, least = i, size
		}
	}
	key := gate{t.After, args[at]}
	if r.gated[key] == nil {
		b, c := r.b.Scope("again"), r.condition(t.After-1)
		r.gated[key] = b.gate(c, args[at])
	}
	args[at] = r.gated[key]
}

// condition returns BOOL (1), of whatever value, computed from an element of all
// that wait i waits for, and what the wait before waits for.
func (r *recomputing) condition(i int) *Value {
	if r.conditions[i] != nil {
		return r.conditions[i]
	}
	b := r.b.Scope("again")
	var elements []*Value
	if i > 0 {
		r.condition(i - 1)
		elements = append(elements, r.sums[i-1])
	}
	for _, at := range r.waits[i] {
		elements = append(elements, b.first(r.results[at][0]))
	}
	sum := elements[0]
	if len(elements) > 1 {
		sum = b.ReduceSum(b.Concat(0, elements...), true, 0)
	}
	r.sums[i], r.conditions[i] = sum, b.Less(sum, b.Scalar(0))
	return r.conditions[i]
}
