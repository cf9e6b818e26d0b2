package train

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/model/graph"
)

type number interface{ float32 | float64 | int64 }

// arithmetic lowers Add, Sub, Mul and Div: y broadcasts into x.
func (l *lowering[E]) arithmetic(v *graph.Value, x, y *G.Node) *G.Node {
	s := newSpread(l.sizes(v), l.sizes(v.Args[1]))
	return l.binary(v.Op, s, x, y)
}

// binary records op of x and y, where y is spread over x.
func (l *lowering[E]) binary(op graph.Op, s spread, x, y *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	if x.Dtype() == tensor.Bool {
		return l.fail("%s of BOOL", op)
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
	return l.apply(op.String(), x.Dtype(), large, k, func(in G.Nodes, out, grad *G.Node) G.Nodes {
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

// sumTo records the sum of x, times scale, over what the spread repeats.
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
func combine[T number](op graph.Op, s spread, out, x, y []T) {
	if s.listed {
		s.each(func(i, j int) { combineRow(op, out[i:i+1], x[i:i+1], y[j:j+1]) })
		return
	}
	if s.inner == 1 {
		blasParallel(blocks(s.outer*s.mid, elementGrain), func(block int) {
			// A block begins and ends anywhere in the rows of y.
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

// elementGrain is how many elements of a cheap operator one task takes: some
// ten microseconds, far more than handing it out.
const elementGrain = 1 << 14

func combineRow[T number](op graph.Op, out, x, y []T) {
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

func combineScalar[T number](op graph.Op, out, x []T, y T) {
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

// unary lowers the functions of one number.
func (l *lowering[E]) unary(v *graph.Value, x *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := x.Shape()
	k := func(out operand[E], in []operand[E]) error {
		mapInto(v.Op, out.f, in[0].f)
		return nil
	}
	return l.apply(v.Op.String(), l.float(), shape, k, func(in G.Nodes, out, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply(v.Op.String()+"Grad", l.float(), shape, func(dx operand[E], in []operand[E]) error {
			mapGrad(v.Op, dx.f, in[0].f, in[1].f, in[2].f)
			return nil
		}, nil, in[0], out, grad)}
	}, x)
}

// mapInto computes out = f(x), in float64.
func mapInto[E element](op graph.Op, out, x []E) {
	var f func(float64) float64
	switch op {
	case graph.Neg:
		f = func(x float64) float64 { return -x }
	case graph.Exp:
		f = math.Exp
	case graph.Log:
		f = math.Log
	case graph.Sqrt:
		f = math.Sqrt
	case graph.Tanh:
		f = math.Tanh
	case graph.Relu:
		f = func(x float64) float64 {
			if x < 0 { // false for NaN, which stays
				return 0
			}
			return x
		}
	}
	blasParallel(blocks(len(out), elementGrain), func(block int) {
		from, to := blockOf(len(out), elementGrain, block)
		for i := from; i < to; i++ {
			out[i] = E(f(float64(x[i])))
		}
	})
}

// mapGrad computes dx = f'(x)·dy, where y = f(x).
func mapGrad[E element](op graph.Op, dx, x, y, dy []E) {
	blasParallel(blocks(len(dx), elementGrain), func(block int) {
		from, to := blockOf(len(dx), elementGrain, block)
		dx, x, y, dy := dx[from:to], x[from:to], y[from:to], dy[from:to]
		switch op {
		case graph.Neg:
			for i := range dx {
				dx[i] = -dy[i]
			}
		case graph.Exp:
			for i := range dx {
				dx[i] = y[i] * dy[i]
			}
		case graph.Log:
			for i := range dx {
				dx[i] = dy[i] / x[i]
			}
		case graph.Sqrt:
			for i := range dx {
				dx[i] = dy[i] / (2 * y[i])
			}
		case graph.Tanh:
			for i := range dx {
				dx[i] = (1 - y[i]*y[i]) * dy[i]
			}
		case graph.Relu:
			for i := range dx {
				dx[i] = 0
				if x[i] > 0 {
					dx[i] = dy[i]
				}
			}
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
