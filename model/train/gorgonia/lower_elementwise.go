package gorgonia

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/model/graph"
)

type number interface{ float32 | float64 | int64 }

// binaryOf lowers a function of two numbers. Add, Sub, Mul and Div have
// kernels for a second argument that broadcasts to the first; a first argument
// that broadcasts is repeated. Other functions are computed one element at a
// time.
func (l *lowering[E]) binaryOf(op graph.Binary, v *graph.Value, x, y *G.Node) *G.Node {
	to, left, right := l.sizes(v), l.sizes(v.Args()[0]), l.sizes(v.Args()[1])
	if l.err != nil {
		return nil
	}
	if op.Float() == nil || x.Dtype() == tensor.Bool {
		return l.compared(op, v, x, y)
	}
	x = l.expand(x, left, to)
	s := newSpread(to, right)
	switch op {
	case graph.Add, graph.Sub, graph.Mul, graph.Div:
		return l.binary(op, s, x, y)
	}
	return l.pointwise(op, s, x, l.expand(y, right, to))
}

// pointwise records any function of x and y, which have the same shape.
func (l *lowering[E]) pointwise(op graph.Binary, s spread, x, y *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := x.Shape()
	k := func(out operand[E], in []operand[E]) error {
		if out.i != nil {
			for j := range out.i {
				var err error
				if out.i[j], err = op.Int()(in[0].i[j], in[1].i[j]); err != nil {
					return fmt.Errorf("train: element %d: %w", j, err)
				}
			}
			return nil
		}
		f := op.Float()
		for j := range out.f {
			out.f[j] = E(f(float64(in[0].f[j]), float64(in[1].f[j])))
		}
		return nil
	}
	return l.apply(op.Name(), x.Dtype(), shape, k, func(in G.Nodes, out, grad *G.Node) G.Nodes {
		by := func(second bool) *G.Node {
			return l.apply(op.Name()+"Grad", l.float(), shape, func(d operand[E], in []operand[E]) error {
				slopes := op.Slopes()
				for j := range d.f {
					dx, dy := slopes(float64(in[0].f[j]), float64(in[1].f[j]), float64(in[2].f[j]))
					if second {
						dx = dy
					}
					d.f[j] = E(dx * float64(in[3].f[j]))
				}
				return nil
			}, nil, in[0], in[1], out, grad)
		}
		return G.Nodes{by(false), by(true)}
	}, x, y)
}

// binary records op of x and y, where y is spread over x.
func (l *lowering[E]) binary(op graph.Binary, s spread, x, y *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	if x.Dtype() == tensor.Bool {
		return l.fail("%s of BOOL", op.Name())
	}
	large, small := x.Shape(), y.Shape()
	k := func(out operand[E], in []operand[E]) error {
		if out.i != nil {
			if op == graph.Div {
				for j, d := range in[1].i {
					if d == 0 {
						return fmt.Errorf("train: integer division by the 0 at element %d", j)
					}
				}
			}
			combine(op, s, out.i, in[0].i, in[1].i)
			return nil
		}
		combine(op, s, out.f, in[0].f, in[1].f)
		return nil
	}
	return l.apply(op.Name(), x.Dtype(), large, k, func(in G.Nodes, out, grad *G.Node) G.Nodes {
		x, y := in[0], in[1]
		toY := func(n *G.Node) *G.Node { return l.sumTo(n, s, 1, small) }
		switch op {
		case graph.Add:
			return G.Nodes{grad, toY(grad)}
		case graph.Sub:
			return G.Nodes{grad, l.sumTo(grad, s, -1, small)}
		case graph.Mul:
			same := newSpread(large, large)
			return G.Nodes{l.binary(graph.Mul, s, grad, y), toY(l.binary(graph.Mul, same, grad, x))}
		default: // x/y: 1/y and -(x/y)/y
			same := newSpread(large, large)
			dy := l.sumTo(l.binary(graph.Mul, same, grad, out), s, -1, small)
			return G.Nodes{l.binary(graph.Div, s, grad, y), l.binary(graph.Div, newSpread(small, small), dy, y)}
		}
	}, x, y)
}

// sumTo records the sum of x, times scale, over the repeated elements.
func (l *lowering[E]) sumTo(x *G.Node, s spread, scale E, shape []int) *G.Node {
	if s.large == s.small && scale == 1 {
		return l.view(x, 0, shape)
	}
	return l.apply("SumTo", l.float(), shape, func(out operand[E], in []operand[E]) error {
		sumSpread(s, out.f, in[0].f, scale)
		return nil
	}, nil, x)
}

// combine computes out = x op y with y spread over x.
func combine[T number](op graph.Binary, s spread, out, x, y []T) {
	if s.listed {
		s.each(func(i, j int) { combineRow(op, out[i:i+1], x[i:i+1], y[j:j+1]) })
		return
	}
	if s.inner == 1 {
		blasParallel(blocks(s.outer*s.mid, elementGrain), func(block int) {
			// A block may start and end within a row of y.
			from, to := blockOf(s.outer*s.mid, elementGrain, block)
			for from < to {
				m := from % s.mid
				n := min(to-from, s.mid-m)
				combineRow(op, out[from:from+n], x[from:from+n], y[m:m+n])
				from += n
			}
		})
		return
	}
	for o := range s.outer {
		for m := range s.mid {
			at := (o*s.mid + m) * s.inner
			combineScalar(op, out[at:at+s.inner], x[at:at+s.inner], y[m])
		}
	}
}

// elementGrain is how many elements of a cheap operator one task takes: about
// ten microseconds, far more than starting a task.
const elementGrain = 1 << 14

func combineRow[T number](op graph.Binary, out, x, y []T) {
	if len(y) == 1 {
		combineScalar(op, out, x, y[0])
		return
	}
	x, y = x[:len(out)], y[:len(out)]
	switch op {
	case graph.Add:
		for i := range out {
			out[i] = x[i] + y[i]
		}
	case graph.Sub:
		for i := range out {
			out[i] = x[i] - y[i]
		}
	case graph.Mul:
		for i := range out {
			out[i] = x[i] * y[i]
		}
	case graph.Div:
		for i := range out {
			out[i] = x[i] / y[i]
		}
	}
}

func combineScalar[T number](op graph.Binary, out, x []T, y T) {
	x = x[:len(out)]
	switch op {
	case graph.Add:
		for i := range out {
			out[i] = x[i] + y
		}
	case graph.Sub:
		for i := range out {
			out[i] = x[i] - y
		}
	case graph.Mul:
		for i := range out {
			out[i] = x[i] * y
		}
	case graph.Div:
		for i := range out {
			out[i] = x[i] / y
		}
	}
}

// unary lowers the functions of one argument.
func (l *lowering[E]) unary(op graph.Unary, v *graph.Value, x *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := l.sizes(v)
	switch op {
	case graph.Identity:
		return l.view(x, 0, shape)
	case graph.Not:
		return l.apply(op.Name(), tensor.Bool, shape, func(out operand[E], in []operand[E]) error {
			for i, b := range in[0].b {
				out.b[i] = !b
			}
			return nil
		}, nil, x)
	}
	k := func(out operand[E], in []operand[E]) error {
		mapInto(op.Float(), out.f, in[0].f)
		return nil
	}
	return l.apply(op.Name(), l.float(), shape, k, func(in G.Nodes, out, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply(op.Name()+"Grad", l.float(), shape, func(dx operand[E], in []operand[E]) error {
			mapGrad(op.Slope(), dx.f, in[0].f, in[1].f, in[2].f)
			return nil
		}, nil, in[0], out, grad)}
	}, x)
}

// mapInto computes out = f(x), in float64.
func mapInto[E element](f func(float64) float64, out, x []E) {
	blasParallel(blocks(len(out), elementGrain), func(block int) {
		from, to := blockOf(len(out), elementGrain, block)
		for i := from; i < to; i++ {
			out[i] = E(f(float64(x[i])))
		}
	})
}

// mapGrad computes dx = f'(x)·dy, where y = f(x), in float64. A nil slope is
// 0.
func mapGrad[E element](slope func(x, y float64) float64, dx, x, y, dy []E) {
	if slope == nil {
		clear(dx)
		return
	}
	blasParallel(blocks(len(dx), elementGrain), func(block int) {
		from, to := blockOf(len(dx), elementGrain, block)
		for i := from; i < to; i++ {
			dx[i] = E(slope(float64(x[i]), float64(y[i])) * float64(dy[i]))
		}
	})
}

// cast lowers Cast. Every floating-point type is computed in E, so a cast
// between two of them changes nothing.
func (l *lowering[E]) cast(v *graph.Value, x *G.Node) *G.Node {
	t := l.dtype(v.DType)
	if l.err != nil {
		return nil
	}
	if x.Dtype() == t {
		return l.view(x, 0, x.Shape())
	}
	return l.apply("Cast", t, x.Shape(), func(out operand[E], in []operand[E]) error {
		for j := range out.len() {
			var x float64
			switch from := in[0]; {
			case from.f != nil:
				x = float64(from.f[j])
			case from.i != nil:
				x = float64(from.i[j])
			case from.b[j]:
				x = 1
			}
			switch {
			case out.f != nil:
				out.f[j] = E(x)
			case out.i != nil:
				out.i[j] = int64(x)
			default:
				out.b[j] = x != 0
			}
		}
		return nil
	}, nil, x)
}
