package gorgonia

import (
	"math"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/internal/exponential"
	"github.com/attnx/attnx/model/graph"
)

// reduce lowers Reduce: sums and means are the adjoint of broadcasting.
func (l *lowering[E]) reduce(op graph.Reduce, v *graph.Value, x *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	from := l.sizes(v.Args()[0])
	kept := slices.Clone(from)
	for _, a := range op.Axes {
		kept[a] = 1
	}
	s := newSpread(from, kept)
	if op.Kind == graph.ReduceMax || op.Kind == graph.ReduceMin {
		return l.extreme(op, s, from, l.sizes(v), x)
	}
	scale := E(1)
	if op.Kind == graph.ReduceMean {
		scale = E(s.small) / E(s.large)
	}
	k := func(out operand[E], in []operand[E]) error {
		sumSpread(s, out.f, in[0].f, scale)
		return nil
	}
	return l.apply(op.Name(), l.float(), l.sizes(v), k, func(_ G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply(op.Name()+"Grad", l.float(), from, func(dx operand[E], in []operand[E]) error {
			fillSpread(s, dx.f, in[0].f, scale)
			return nil
		}, nil, grad)}
	}, x)
}

// extreme lowers ReduceMax and ReduceMin. Elements with the same extreme share
// its gradient evenly.
func (l *lowering[E]) extreme(op graph.Reduce, s spread, from, to []int, x *G.Node) *G.Node {
	better := func(a, b E) bool { return a > b || a != a }
	if op.Kind == graph.ReduceMin {
		better = func(a, b E) bool { return a < b || a != a }
	}
	k := func(out operand[E], in []operand[E]) error {
		first := make([]bool, len(out.f))
		s.each(func(i, j int) {
			if !first[j] || better(in[0].f[i], out.f[j]) {
				first[j], out.f[j] = true, in[0].f[i]
			}
		})
		return nil
	}
	return l.apply(op.Name(), l.float(), to, k, func(in G.Nodes, out, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply(op.Name()+"Grad", l.float(), from, func(dx operand[E], in []operand[E]) error {
			x, y, dy := in[0].f, in[1].f, in[2].f
			count := make([]E, len(y))
			s.each(func(i, j int) {
				if x[i] == y[j] {
					count[j]++
				}
			})
			s.each(func(i, j int) {
				dx.f[i] = 0
				if x[i] == y[j] {
					dx.f[i] = dy[j] / count[j]
				}
			})
			return nil
		}, nil, in[0], out, grad)}
	}, x)
}

// argMax lowers ArgMax.
func (l *lowering[E]) argMax(op graph.ArgMax, v *graph.Value, x *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	a := lanesOf(l.sizes(v.Args()[0]), op.Axis)
	return l.apply("ArgMax", tensor.Int64, l.sizes(v), func(out operand[E], in []operand[E]) error {
		a.each(func(lane, at int) {
			best := 0
			for j := range a.n {
				if in[0].f[at+j*a.inner] > in[0].f[at+best*a.inner] {
					best = j
				}
			}
			out.i[lane] = int64(best)
		})
		return nil
	}, nil, x)
}

// cumulate calls put with the sum up to each element of each lane.
func cumulate[N int64 | float64](a lanes, op graph.CumSum, of func(i int) N, put func(i int, sum N)) {
	a.each(func(_, at int) {
		var sum N
		for j := range a.n {
			i := at + j*a.inner
			if op.Reverse {
				i = at + (a.n-1-j)*a.inner
			}
			x := of(i)
			if op.Exclusive {
				put(i, sum)
			} else {
				put(i, sum+x)
			}
			sum += x
		}
	})
}

// cumSum lowers CumSum. Its gradient runs in the opposite direction.
func (l *lowering[E]) cumSum(op graph.CumSum, x *G.Node, shape []int) *G.Node {
	if l.err != nil {
		return nil
	}
	a := lanesOf(shape, op.Axis)
	k := func(out operand[E], in []operand[E]) error {
		if out.i != nil {
			cumulate(a, op, func(i int) int64 { return in[0].i[i] }, func(i int, sum int64) { out.i[i] = sum })
			return nil
		}
		cumulate(a, op, func(i int) float64 { return float64(in[0].f[i]) }, func(i int, sum float64) { out.f[i] = E(sum) })
		return nil
	}
	return l.apply("CumSum", x.Dtype(), shape, k, func(_ G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{l.cumSum(graph.CumSum{Axis: op.Axis, Exclusive: op.Exclusive, Reverse: !op.Reverse}, grad, shape)}
	}, x)
}

// expand records x repeated to a shape to which it broadcasts.
func (l *lowering[E]) expand(x *G.Node, from, to []int) *G.Node {
	if l.err != nil {
		return nil
	}
	if product(from) == product(to) {
		return l.view(x, 0, to)
	}
	s := newSpread(to, from)
	return l.apply("Expand", x.Dtype(), to, func(out operand[E], in []operand[E]) error {
		if out.f != nil {
			fillSpread(s, out.f, in[0].f, 1)
			return nil
		}
		s.each(func(i, j int) { out.copyRun(i, in[0], j, 1) })
		return nil
	}, func(_ G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{l.sumTo(grad, s, 1, from)}
	}, x)
}

// lanes is the layout of a softmax: for every outer and inner index, n
// numbers, inner apart.
type lanes struct{ outer, n, inner int }

func lanesOf(shape []int, axis int) lanes {
	return lanes{product(shape[:axis]), shape[axis], product(shape[axis+1:])}
}

// each calls f with the number of every lane and the place of its first
// number.
func (a lanes) each(f func(lane, start int)) {
	count := a.outer * a.inner
	grain := max(1, elementGrain/4/a.n)
	blasParallel(blocks(count, grain), func(block int) {
		from, to := blockOf(count, grain, block)
		for lane := from; lane < to; lane++ {
			f(lane, lane/a.inner*a.n*a.inner+lane%a.inner)
		}
	})
}

func (l *lowering[E]) softmax(v *graph.Value, axis int, x *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := l.sizes(v)
	a := lanesOf(shape, axis)
	k := func(out operand[E], in []operand[E]) error {
		a.each(func(_, at int) {
			if a.inner == 1 {
				softmaxRow(out.f[at:at+a.n], in[0].f[at:at+a.n])
				return
			}
			shift, sum := laneLogSum(in[0].f[at:], a)
			for j := range a.n {
				out.f[at+j*a.inner] = E(math.Exp(float64(in[0].f[at+j*a.inner])-shift) / sum)
			}
		})
		return nil
	}
	return l.apply("Softmax", l.float(), shape, k, func(_ G.Nodes, out, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply("SoftmaxGrad", l.float(), shape, func(dx operand[E], in []operand[E]) error {
			y, dy := in[0].f, in[1].f
			a.each(func(_, at int) {
				dot := 0.0
				for j := range a.n {
					dot += float64(y[at+j*a.inner] * dy[at+j*a.inner])
				}
				for j := range a.n {
					i := at + j*a.inner
					dx.f[i] = y[i] * (dy[i] - E(dot))
				}
			})
			return nil
		}, nil, out, grad)}
	}, x)
}

func (l *lowering[E]) logSoftmax(v *graph.Value, axis int, x *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := l.sizes(v)
	a := lanesOf(shape, axis)
	k := func(out operand[E], in []operand[E]) error {
		a.each(func(_, at int) {
			shift, sum := laneLogSum(in[0].f[at:], a)
			shift += math.Log(sum)
			for j := range a.n {
				out.f[at+j*a.inner] = E(float64(in[0].f[at+j*a.inner]) - shift)
			}
		})
		return nil
	}
	return l.apply("LogSoftmax", l.float(), shape, k, func(_ G.Nodes, out, grad *G.Node) G.Nodes {
		return G.Nodes{l.apply("LogSoftmaxGrad", l.float(), shape, func(dx operand[E], in []operand[E]) error {
			y, dy := in[0].f, in[1].f
			a.each(func(_, at int) {
				sum := 0.0
				for j := range a.n {
					sum += float64(dy[at+j*a.inner])
				}
				for j := range a.n {
					i := at + j*a.inner
					dx.f[i] = E(float64(dy[i]) - math.Exp(float64(y[i]))*sum)
				}
			})
			return nil
		}, nil, out, grad)}
	}, x)
}

// laneLogSum returns the largest number of the lane at the start of x, and the
// sum of exp(x - largest).
func laneLogSum[E element](x []E, a lanes) (largest, sum float64) {
	largest = math.Inf(-1)
	for j := range a.n {
		largest = max(largest, float64(x[j*a.inner]))
	}
	for j := range a.n {
		sum += math.Exp(float64(x[j*a.inner]) - largest)
	}
	return largest, sum
}

// softmaxRow computes softmax of one contiguous row.
func softmaxRow[E element](out, x []E) {
	shiftRow(out, x)
	exponential.Of(out)
	normalizeRow(out)
}

// shiftRow subtracts the largest number of the row from all.
func shiftRow[E element](out, x []E) {
	largest := x[0]
	for _, v := range x {
		largest = max(largest, v)
	}
	x = x[:len(out)]
	for i := range out {
		out[i] = x[i] - largest
	}
}

// normalizeRow divides the row by its sum.
func normalizeRow[E element](row []E) {
	sum := 0.0
	for _, v := range row {
		sum += float64(v)
	}
	scale := E(1 / sum)
	for i := range row {
		row[i] *= scale
	}
}
