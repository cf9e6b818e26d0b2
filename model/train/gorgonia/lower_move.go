package gorgonia

import (
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/model/graph"
)

// Operators that move elements of any type.

// copyRun copies n elements from one place to another.
func (o operand[E]) copyRun(at int, from operand[E], start, n int) {
	switch {
	case o.i != nil:
		copy(o.i[at:at+n], from.i[start:start+n])
	case o.b != nil:
		copy(o.b[at:at+n], from.b[start:start+n])
	default:
		copy(o.f[at:at+n], from.f[start:start+n])
	}
}

// copyStride copies n elements that lie stride apart.
func (o operand[E]) copyStride(at int, from operand[E], start, stride, n int) {
	switch {
	case o.i != nil:
		for j := range n {
			o.i[at+j] = from.i[start+j*stride]
		}
	case o.b != nil:
		for j := range n {
			o.b[at+j] = from.b[start+j*stride]
		}
	default:
		for j := range n {
			o.f[at+j] = from.f[start+j*stride]
		}
	}
}

// strides returns the distance between neighbors along each axis of a
// row-major tensor.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = step
		step *= shape[i]
	}
	return s
}

func product(sizes []int) int {
	n := 1
	for _, s := range sizes {
		n *= s
	}
	return n
}

// transpose lowers Transpose: axis i of the result is axis perm[i] of x.
func (l *lowering[E]) transpose(x *G.Node, from, perm []int) *G.Node {
	if l.err != nil {
		return nil
	}
	to := make([]int, len(perm))
	back := make([]int, len(perm))
	var sizes, steps []int // of the loop over the result, without axes of length 1, adjacent axes merged where possible
	for i, p := range perm {
		to[i], back[p] = from[p], i
		step := strides(from)[p]
		if k := len(sizes) - 1; k >= 0 && steps[k] == step*from[p] {
			sizes[k], steps[k] = sizes[k]*from[p], step
		} else if from[p] > 1 {
			sizes, steps = append(sizes, from[p]), append(steps, step)
		}
	}
	if len(sizes) <= 1 {
		return l.view(x, 0, to)
	}
	last := len(sizes) - 1
	n, stride := sizes[last], steps[last]
	outer, outerSteps := sizes[:last], steps[:last]
	rows := product(outer)
	grain := max(1, elementGrain/n)
	k := func(out operand[E], in []operand[E]) error {
		blasParallel(blocks(rows, grain), func(block int) {
			first, end := blockOf(rows, grain, block)
			for row := first; row < end; row++ {
				start, rest := 0, row
				for a := last - 1; a >= 0; a-- {
					start += rest % outer[a] * outerSteps[a]
					rest /= outer[a]
				}
				if stride == 1 {
					out.copyRun(row*n, in[0], start, n)
				} else {
					out.copyStride(row*n, in[0], start, stride, n)
				}
			}
		})
		return nil
	}
	return l.apply("Transpose", x.Dtype(), to, k, func(_ G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{l.transpose(grad, to, back)}
	}, x)
}

// concat lowers Concat.
func (l *lowering[E]) concat(axis int, v *graph.Value, args G.Nodes) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := l.sizes(v)
	parts := make([]int, len(args)) // sizes along the axis
	for i, a := range v.Args() {
		parts[i] = l.sizes(a)[axis]
	}
	outer, inner := product(shape[:axis]), product(shape[axis+1:])
	k := func(out operand[E], in []operand[E]) error {
		at := 0
		for o := range outer {
			for i, n := range parts {
				out.copyRun(at, in[i], o*n*inner, n*inner)
				at += n * inner
			}
		}
		return nil
	}
	return l.apply("Concat", args[0].Dtype(), shape, k, func(in G.Nodes, _, grad *G.Node) G.Nodes {
		out := make(G.Nodes, len(in))
		start := 0
		for i, n := range parts {
			out[i] = l.cut(grad, shape, axis, start, n)
			start += n
		}
		return out
	}, args...)
}

// split lowers Split: each part is a cut.
func (l *lowering[E]) split(n *graph.Node, op graph.Split, x *G.Node) {
	start := 0
	for i, v := range n.Results {
		l.nodes[v] = l.cut(x, l.sizes(n.Args[0]), op.Axis, start, op.Sizes[i])
		start += op.Sizes[i]
	}
}

// slice lowers Slice.
func (l *lowering[E]) slice(op graph.Slice, v *graph.Value, x *G.Node) *G.Node {
	start, ok := op.Start.Number()
	if !ok {
		return l.fail("position %s is not bound", op.Start)
	}
	return l.cut(x, l.sizes(v.Args()[0]), op.Axis, start, l.sizes(v)[op.Axis])
}

// cut records n slices of x along the axis from start on.
func (l *lowering[E]) cut(x *G.Node, from []int, axis, start, n int) *G.Node {
	if l.err != nil {
		return nil
	}
	to := slices.Clone(from)
	to[axis] = n
	outer, inner := product(from[:axis]), product(from[axis+1:])
	if outer == 1 {
		return l.view(x, start*inner, to)
	}
	whole, part, skip := from[axis]*inner, n*inner, start*inner
	k := func(out operand[E], in []operand[E]) error {
		for o := range outer {
			out.copyRun(o*part, in[0], o*whole+skip, part)
		}
		return nil
	}
	return l.apply("Cut", x.Dtype(), to, k, func(_ G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply("CutGrad", l.float(), from, func(dx operand[E], in []operand[E]) error {
			clear(dx.f)
			for o := range outer {
				copy(dx.f[o*whole+skip:][:part], in[0].f[o*part:])
			}
			return nil
		}, nil, grad)}
	}, x)
}

// trilu lowers a Trilu whose argument is computed.
func (l *lowering[E]) trilu(op graph.Trilu, v *graph.Value, x *G.Node) *G.Node {
	k, ok := op.K.Number()
	shape := l.sizes(v)
	if !ok {
		return l.fail("diagonal %s is not bound", op.K)
	}
	return l.triangle(x, shape, op.Upper, k)
}

func (l *lowering[E]) triangle(x *G.Node, shape []int, upper bool, k int) *G.Node {
	if l.err != nil {
		return nil
	}
	rows, cols := shape[len(shape)-2], shape[len(shape)-1]
	return l.apply("Trilu", x.Dtype(), shape, func(out operand[E], in []operand[E]) error {
		clear(out.f)
		clear(out.i)
		clear(out.b)
		for row := range out.len() / cols {
			from, to := 0, cols // the range of columns to keep
			if diagonal := row%rows + k; upper {
				from = min(max(diagonal, 0), cols)
			} else {
				to = min(max(diagonal+1, 0), cols)
			}
			out.copyRun(row*cols+from, in[0], row*cols+from, to-from)
		}
		return nil
	}, func(_ G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{l.triangle(grad, shape, upper, k)}
	}, x)
}
