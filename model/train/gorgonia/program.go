package gorgonia

import (
	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// program is a graph compiled for one set of sizes: the nodes of a Gorgonia
// graph in order, with preplanned memory. It replaces Gorgonia's machine,
// which runs operators on a goroutine where a panic ends the process, and
// allocates whenever values of different shapes share a register.
type program[E element] struct {
	code    []instruction[E]
	slots   []operand[E]
	inputs  []given // in the order of Graph.Inputs
	params  []given // in the order of Graph.Params
	grads   []int   // slots, in the order of Graph.Params; -1: does not affect the loss
	outputs []outcome
	ids     train.IDRules
}

// instruction computes one slot.
type instruction[E element] struct {
	op   *operator[E] // nil: the sum of two gradients
	args []int
	out  int
	in   []operand[E] // the arguments
}

// given is a leaf that a run sets.
type given struct {
	name  string
	dtype format.DType
	shape []int
	slot  int // -1: unused
}

// outcome is an output of the graph.
type outcome struct {
	name  string
	dtype format.DType
	shape []int
	slot  int
}

// lossName is the output that a program differentiates.
var lossName = role.Of(role.Loss).Name()

// compile makes a program from g for the given sizes of its named dimensions.
// It also computes the gradients of the output "loss" by the named parameters, and
// with recompute keeps less for them: see graph.Schedule.
func compile[E element](g *graph.Graph, sizes map[string]int, gradients []string, recompute bool) (*program[E], error) {
	bound, err := prepared(g, sizes)
	if err != nil {
		return nil, err
	}
	l := newLowering[E]()
	for _, n := range bound.Nodes {
		if l.lower(n); l.err != nil {
			return nil, l.err
		}
	}
	p := &program[E]{}
	var want G.Nodes
	for _, o := range bound.Outputs {
		want = append(want, l.nodes[o.Value])
	}
	one := (*G.Node)(nil)
	grads := make(G.Nodes, len(g.Params))
	if len(gradients) > 0 {
		if one, err = l.differentiate(bound, g.Params, gradients, grads); err != nil {
			return nil, err
		}
		for _, n := range grads {
			if n != nil {
				want = append(want, n)
			}
		}
	}
	plan := &planner[E]{program: p, lowering: l, slot: map[*G.Node]int{}}
	if recompute && one != nil {
		for _, o := range bound.Outputs {
			if o.Name == lossName {
				plan.loss = l.nodes[o.Value]
			}
		}
	}
	if err := plan.layOut(want); err != nil {
		return nil, err
	}
	if slot, ok := plan.slot[one]; ok {
		p.slots[slot] = operand[E]{f: []E{1}}
	}
	p.inputs = plan.given(bound, bound.Inputs)
	p.params = plan.given(bound, g.Params)
	for i, n := range grads {
		p.grads = append(p.grads, -1)
		if n != nil {
			p.grads[i] = plan.slot[n]
		}
	}
	for _, o := range bound.Outputs {
		shape, _ := o.Value.Shape.Numbers()
		p.outputs = append(p.outputs, outcome{o.Name, o.Value.DType, shape, plan.slot[l.nodes[o.Value]]})
	}
	p.ids, err = train.FindIDRules(bound)
	return p, err
}

// prepared returns g for the given sizes, using only operators that the engine
// has. What is unrolled is decomposed when the sizes are known.
func prepared(g *graph.Graph, sizes map[string]int) (*graph.Graph, error) {
	return graph.Apply(g, inForms, graph.SliceRanges, graph.Decompose(native), graph.Bind(sizes), graph.Decompose(native), graph.Fold, graph.Merge)
}

// run computes all slots.
func (p *program[E]) run() error {
	for i := range p.code {
		c := &p.code[i]
		for j, a := range c.args {
			c.in[j] = p.slots[a]
		}
		switch {
		case c.op == nil:
			same := len(c.in[0].f)
			combine(graph.Add, spread{outer: 1, mid: same, inner: 1}, p.slots[c.out].f, c.in[0].f, c.in[1].f)
		case c.op.kernel == nil:
			p.slots[c.out] = c.in[0].slice(c.op.offset, product(c.op.shape))
		default:
			if err := c.op.kernel(p.slots[c.out], c.in); err != nil {
				return err
			}
		}
	}
	return nil
}
