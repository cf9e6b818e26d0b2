package gorgonia

import (
	"fmt"
	"slices"
	"strings"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/model/graph"
)

// planner assigns a slot to every wanted node, and memory to slots. A value
// that is no longer needed passes its memory to a later one.
type planner[E element] struct {
	*program[E]
	lowering *lowering[E]
	slot     map[*G.Node]int // of the first turn
	loss     *G.Node         // not nil: some values are computed again in its backward pass
	free     [][]E
}

func (p *planner[E]) layOut(want G.Nodes) error {
	turns := p.schedule(p.needed(want), want)
	order := make(G.Nodes, len(turns))
	for i, t := range turns {
		order[i] = t.node
	}
	last := make([]int, len(order)) // for each slot: the last instruction that reads its memory
	root := make([]int, len(order)) // for each slot: the one whose memory it shares
	var owners []int                // for each instruction: the slot it computes
	for slot, n := range order {
		root[slot], last[slot] = slot, -1
		if !turns[slot].again {
			p.slot[n] = slot
		}
		if n.Op() == nil {
			continue
		}
		c := instruction[E]{out: slot, args: turns[slot].args}
		op, ours := n.Op().(*operator[E])
		if !ours && !(strings.HasPrefix(n.Op().String(), "+ ") && len(c.args) == 2) {
			return fmt.Errorf("train: Gorgonia recorded %s, which this engine does not know", n.Op())
		}
		if c.op = op; ours && op.kernel == nil {
			root[slot] = root[c.args[0]]
		}
		c.in = make([]operand[E], len(c.args))
		for _, a := range c.args {
			last[root[a]] = len(p.code)
		}
		p.code, owners = append(p.code, c), append(owners, slot)
	}
	for _, n := range want {
		last[root[p.slot[n]]] = len(p.code) // read after the run
	}
	p.slots = make([]operand[E], len(order))
	dying := make([][]int, len(p.code)+1)
	for slot, at := range last {
		if at >= 0 && order[slot].Op() != nil {
			dying[at] = append(dying[at], slot)
		}
	}
	for i, slot := range owners {
		n := order[slot]
		if root[slot] == slot {
			p.slots[slot] = p.memory(n.Dtype(), n.Shape().TotalSize())
		}
		for _, s := range dying[i] {
			if f := p.slots[s].f; f != nil {
				p.free = append(p.free, f[:cap(f)])
			}
		}
	}
	return p.constants(order)
}

// turn is a place of a node in the order of a program.
type turn struct {
	node  *G.Node
	args  []int // the turns of its arguments
	again bool
}

// schedule returns the turns of nodes, which are in order: one for each, or those
// of graph.Schedule.
func (p *planner[E]) schedule(nodes, want G.Nodes) []turn {
	number := make(map[*G.Node]int, len(nodes))
	out := make([]turn, len(nodes))
	for i, n := range nodes {
		number[n] = i
		out[i].node = n
		for _, a := range p.lowering.children(n) {
			out[i].args = append(out[i].args, number[a])
		}
	}
	if p.loss == nil {
		return out
	}
	tasks := make([]graph.Task, len(nodes))
	for i, n := range nodes {
		op, ours := n.Op().(*operator[E])
		tasks[i] = graph.Task{Args: out[i].args, Bytes: int64(n.Shape().TotalSize()) * 4, Leaf: n.Op() == nil, View: ours && op.kernel == nil}
	}
	for _, n := range want {
		tasks[number[n]].Output = true
	}
	turns, _ := graph.Schedule(tasks, number[p.loss]) // this engine keeps the order
	if turns == nil {
		return out
	}
	out = out[:0]
	for _, t := range turns {
		out = append(out, turn{nodes[t.Task], t.Args, t.Again})
	}
	return out
}

// needed returns the nodes from which want is computed, in the order in which
// they were recorded, arguments first.
func (p *planner[E]) needed(want G.Nodes) G.Nodes {
	seen := map[*G.Node]bool{}
	var order G.Nodes
	todo := slices.Clone(want)
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[n] {
			seen[n] = true
			order = append(order, n)
			todo = append(todo, p.lowering.children(n)...)
		}
	}
	slices.SortFunc(order, func(a, b *G.Node) int { return int(a.ID() - b.ID()) })
	return order
}

// memory returns memory for n elements: the smallest free block at most twice
// too large, or a new one.
func (p *planner[E]) memory(t tensor.Dtype, n int) operand[E] {
	if t != p.lowering.float() {
		return newOperand[E](t, n)
	}
	best := -1
	for i, f := range p.free {
		if len(f) >= n && len(f) <= 2*n && (best < 0 || len(f) < len(p.free[best])) {
			best = i
		}
	}
	if best < 0 {
		return newOperand[E](t, n)
	}
	f := p.free[best]
	p.free = slices.Delete(p.free, best, best+1)
	return operand[E]{f: f[:n]}
}

// constants fills the slots of constants.
func (p *planner[E]) constants(order G.Nodes) error {
	for slot, n := range order {
		v := p.lowering.leafs[n]
		if v == nil || provided(v) {
			continue
		}
		p.slots[slot] = newOperand[E](n.Dtype(), n.Shape().TotalSize())
		if err := fillConstant(p.slots[slot], v); err != nil {
			return err
		}
	}
	return nil
}

// provided reports whether a run sets a leaf.
func provided(v *graph.Value) bool {
	switch v.Op().(type) {
	case graph.Input, graph.Param:
		return true
	}
	return false
}

// fillConstant writes the elements of a constant. Bind has replaced a small
// Range or ConstantOfShape with a Const.
func fillConstant[E element](o operand[E], v *graph.Value) error {
	switch op := v.Op().(type) {
	case graph.Const:
		return fillOperand(o, op.Value.WithName(v.Name))
	case graph.Range:
		start, ok := op.Start.Number()
		if !ok {
			return fmt.Errorf("train: position %s is not bound (value %.80q)", op.Start, v.Name)
		}
		for i := range o.i {
			o.i[i] = int64(start + i)
		}
	case graph.ConstantOfShape:
		for i := range o.f {
			o.f[i] = E(op.Fill)
		}
	}
	return nil
}

// given lists leaves with their slots.
func (p *planner[E]) given(bound *graph.Graph, leaves []*graph.Value) []given {
	var out []given
	for _, v := range leaves {
		g := given{name: v.Name, dtype: v.DType, slot: -1}
		if b := bound.Lookup(v.Name); b != nil {
			g.shape, _ = b.Shape.Numbers()
			if slot, ok := p.slot[p.lowering.nodes[b]]; ok {
				g.slot = slot
			}
		}
		out = append(out, g)
	}
	return out
}
