package gorgonia

import (
	"cmp"
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Operators that compare, choose and look up.

// compared lowers comparisons and logic.
func (l *lowering[E]) compared(op graph.Binary, v *graph.Value, x, y *G.Node) *G.Node {
	to := l.sizes(v)
	sx, sy := newSpread(to, l.sizes(v.Args()[0])), newSpread(to, l.sizes(v.Args()[1]))
	if l.err != nil {
		return nil
	}
	return l.apply(op.Name(), tensor.Bool, to, func(out operand[E], in []operand[E]) error {
		left := make([]int, len(out.b)) // positions in x
		sx.each(func(i, j int) { left[i] = j })
		x, y := in[0], in[1]
		compare, logic := op.Compare(), op.Logic()
		sy.each(func(i, j int) {
			k := left[i]
			switch {
			case x.b != nil:
				out.b[i] = logic(x.b[k], y.b[j])
			case x.i != nil:
				out.b[i] = compare(cmp.Compare(x.i[k], y.i[j]), true)
			default: // NaN is unordered
				p, q := x.f[k], y.f[j]
				out.b[i] = compare(cmp.Compare(p, q), p == p && q == q)
			}
		})
		return nil
	}, nil, x, y)
}

// where lowers Where: all three arguments broadcast to the result.
func (l *lowering[E]) where(v *graph.Value, cond, x, y *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := l.sizes(v)
	cond = l.expand(cond, l.sizes(v.Args()[0]), shape)
	sx := newSpread(shape, l.sizes(v.Args()[1]))
	sy := newSpread(shape, l.sizes(v.Args()[2]))
	k := func(out operand[E], in []operand[E]) error {
		pick := func(s spread, from operand[E], when bool) {
			s.each(func(i, j int) {
				if in[0].b[i] == when {
					out.copyRun(i, from, j, 1)
				}
			})
		}
		pick(sx, in[1], true)
		pick(sy, in[2], false)
		return nil
	}
	return l.apply("Where", x.Dtype(), shape, k, func(in G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{nil,
			l.sumTo(l.maskedBy(in[0], grad, true), sx, 1, in[1].Shape()),
			l.sumTo(l.maskedBy(in[0], grad, false), sy, 1, in[2].Shape())}
	}, cond, x, y)
}

// maskedBy records grad where cond equals keep, and zero elsewhere.
func (l *lowering[E]) maskedBy(cond, grad *G.Node, keep bool) *G.Node {
	return l.apply("WhereGrad", l.float(), grad.Shape(), func(out operand[E], in []operand[E]) error {
		for i, c := range in[0].b {
			out.f[i] = 0
			if c == keep {
				out.f[i] = in[1].f[i]
			}
		}
		return nil
	}, nil, cond, grad)
}

// badIndex returns the error for an id outside its table.
func badIndex(ids *graph.Value, shape []int, at int, id int64, rows int) error {
	return fmt.Errorf("train: %w", &format.RangeError{Name: ids.Name, Index: format.Index(at, shape), Got: id, Last: int64(rows - 1)})
}

// gather lowers Gather along the first axis: one row of a table for each id.
func (l *lowering[E]) gather(v *graph.Value, table, ids *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	from := l.sizes(v.Args()[0])
	at := l.sizes(v.Args()[1])
	rows, width := from[0], product(from[1:])
	k := func(out operand[E], in []operand[E]) error {
		for i, id := range in[1].i {
			if id < 0 || id >= int64(rows) {
				return badIndex(v.Args()[1], at, i, id, rows)
			}
			out.copyRun(i*width, in[0], int(id)*width, width)
		}
		return nil
	}
	return l.apply("Gather", table.Dtype(), l.sizes(v), k, func(in G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply("GatherGrad", l.float(), from, func(dt operand[E], in []operand[E]) error {
			clear(dt.f)
			for i, id := range in[0].i { // a repeated id adds repeatedly
				into := dt.f[int(id)*width:][:width]
				for j, g := range in[1].f[i*width:][:width] {
					into[j] += g
				}
			}
			return nil
		}, nil, in[1], grad), nil}
	}, table, ids)
}

// gatherElements lowers GatherElements: x[i,ids[i,j,k],k] for axis 1.
func (l *lowering[E]) gatherElements(op graph.GatherElements, v *graph.Value, x, ids *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	from, to := l.sizes(v.Args()[0]), l.sizes(v)
	axis := op.Axis
	rows, place := from[axis], elements(from, to, axis)
	k := func(out operand[E], in []operand[E]) error {
		for i, id := range in[1].i {
			if id < 0 || id >= int64(rows) {
				return badIndex(v.Args()[1], to, i, id, rows)
			}
			out.copyRun(i, in[0], place(i, id), 1)
		}
		return nil
	}
	return l.apply("GatherElements", x.Dtype(), to, k, func(in G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply("GatherElementsGrad", l.float(), from, func(dx operand[E], in []operand[E]) error {
			clear(dx.f)
			for i, id := range in[0].i {
				dx.f[place(i, id)] += in[1].f[i]
			}
			return nil
		}, nil, in[1], grad), nil}
	}, x, ids)
}

// elements returns a function from element i of ids of shape picked, with
// value id, to its index in a tensor of shape from, picked along axis.
func elements(from, picked []int, axis int) func(i int, id int64) int {
	rows, count, inner := from[axis], picked[axis], product(from[axis+1:])
	return func(i int, id int64) int { return (i/(count*inner)*rows+int(id))*inner + i%inner }
}

// scatterElements lowers ScatterElements: x with the updates added at the ids.
func (l *lowering[E]) scatterElements(op graph.ScatterElements, v *graph.Value, x, ids, updates *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	to, at := l.sizes(v), l.sizes(v.Args()[1])
	rows, place := to[op.Axis], elements(to, at, op.Axis)
	k := func(out operand[E], in []operand[E]) error {
		copy(out.f, in[0].f)
		for i, id := range in[1].i {
			if id < 0 || id >= int64(rows) {
				return badIndex(v.Args()[1], at, i, id, rows)
			}
			out.f[place(i, id)] += in[2].f[i]
		}
		return nil
	}
	return l.apply("ScatterElements", x.Dtype(), to, k, func(in G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{grad, nil, l.apply("ScatterElementsGrad", l.float(), at, func(du operand[E], in []operand[E]) error {
			for i, id := range in[0].i {
				du.f[i] = in[1].f[place(i, id)]
			}
			return nil
		}, nil, in[1], grad)}
	}, x, ids, updates)
}

// oneHot lowers OneHot: one row for each id.
func (l *lowering[E]) oneHot(op graph.OneHot, v *graph.Value, ids *G.Node) *G.Node {
	to, at := l.sizes(v), l.sizes(v.Args()[0])
	if l.err != nil {
		return nil
	}
	return l.apply("OneHot", l.float(), to, func(out operand[E], in []operand[E]) error {
		clear(out.f)
		for i, id := range in[0].i {
			if id < 0 || id >= int64(op.Depth) {
				return badIndex(v.Args()[0], at, i, id, op.Depth)
			}
			out.f[i*op.Depth+int(id)] = 1
		}
		return nil
	}, nil, ids)
}
