package gorgonia

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// program is a graph made ready to run for one set of sizes: the nodes of a
// Gorgonia graph in order, with memory planned. It is a machine of our own:
// Gorgonia's runs operators on a goroutine where a panic ends the process, and
// allocates anew wherever values of different shapes share a register.
type program[E element] struct {
	code    []instruction[E]
	slots   []operand[E]
	inputs  []given // in the order of Graph.Inputs
	params  []given // in the order of Graph.Params
	grads   []int   // slots, in the order of Graph.Params; -1: no part in the loss
	outputs []outcome
	checks  []idCheck
}

// instruction computes one slot.
type instruction[E element] struct {
	op   *operator[E] // nil: the sum of two gradients
	args []int
	out  int
	in   []operand[E] // room for the arguments
}

// given is a leaf that a run provides.
type given struct {
	name  string
	dtype format.DType
	shape []int
	slot  int // -1: nothing needs it
}

// outcome is an output of the graph.
type outcome struct {
	name  string
	dtype format.DType
	shape []int
	slot  int
}

// idCheck says that an input holds rows of a table.
type idCheck struct {
	input  int // in program.inputs
	rows   int
	label  bool // may be ignore, too
	ignore int64
}

// lossName is the output that a program differentiates.
var lossName = role.Of(role.Loss).Name()

// compile makes a program of g for the given sizes of its named dimensions. With
// gradients it computes those of the output "loss" beside the outputs.
func compile[E element](g *graph.Graph, sizes map[string]int, gradients bool) (*program[E], error) {
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
	if gradients {
		if one, err = l.differentiate(bound, g.Params, grads); err != nil {
			return nil, err
		}
		for _, n := range grads {
			if n != nil {
				want = append(want, n)
			}
		}
	}
	plan := &planner[E]{program: p, lowering: l, slot: map[*G.Node]int{}}
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
	return p, p.findChecks(bound)
}

// prepared returns g for the given sizes, of operators that the engine has.
func prepared(g *graph.Graph, sizes map[string]int) (*graph.Graph, error) {
	return graph.Apply(g, inForms, graph.SliceRanges, graph.Decompose(native), graph.Bind(sizes), graph.Fold, graph.Merge)
}

// findChecks lists what the ids among the inputs must satisfy, and refuses
// fixed ids outside their table: positions beyond the context.
func (p *program[E]) findChecks(bound *graph.Graph) error {
	for _, n := range bound.Nodes {
		c := idCheck{}
		switch op := n.Op.(type) {
		case graph.Gather:
			c.rows, _ = n.Args[0].Shape[0].Number()
		case graph.SoftmaxCrossEntropyLoss:
			c.rows, _ = n.Args[0].Shape[1].Number()
			c.ignore, c.label = op.IgnoreIndex, true
		default:
			continue
		}
		ids := n.Args[1]
		if _, ok := graph.Is[graph.Input](ids); ok {
			c.input = slices.Index(bound.Inputs, ids)
			p.checks = append(p.checks, c)
			continue
		}
		if err := c.fixed(n, ids); err != nil {
			return err
		}
	}
	return nil
}

// fixed refuses constant ids outside their table.
func (c idCheck) fixed(n *graph.Node, ids *graph.Value) error {
	t, ok := ids.Constant()
	if !ok || c.label {
		return nil
	}
	x, err := t.Int64s()
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	for i, id := range x {
		if id < 0 || id >= int64(c.rows) {
			return fmt.Errorf("train: %.80q asks %.80q for row %d of %d (element %d of %.80q): is the sequence longer than the context?", n.Name(), n.Args[0].Name, id, c.rows, i, ids.Name)
		}
	}
	return nil
}

// run computes all slots from what was set.
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
