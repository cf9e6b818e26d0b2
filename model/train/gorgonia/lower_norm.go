package gorgonia

import (
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/attnx/attnx/model/graph"
)

// normBlocks is the number of blocks of rows whose contributions to the
// gradients of scale and bias are summed separately. Cores can work in
// parallel, and the order of the sums is the same on every machine.
const normBlocks = 16

// layerNormalization lowers LayerNormalization as one operator. With mean μ
// and inverse deviation s of a row, n = (x-μ)·s and y = n·scale + bias. Its
// gradient is one operator too: with h = dy·scale,
//
//	dx = s·(h - mean(h) - n·mean(h·n)),  dscale = Σ dy·n,  dbias = Σ dy.
func (l *lowering[E]) layerNormalization(op graph.LayerNormalization, v *graph.Value, x, scale, bias *G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	shape := l.sizes(v)
	width := shape[len(shape)-1]
	rows := product(shape) / width
	epsilon := op.Epsilon
	grain := max(1, elementGrain/4/width)
	k := func(out operand[E], in []operand[E]) error {
		scale, bias := in[1].f, in[2].f
		blasParallel(blocks(rows, grain), func(block int) {
			from, to := blockOf(rows, grain, block)
			for r := from; r < to; r++ {
				x, y := in[0].f[r*width:][:width], out.f[r*width:][:width]
				mean, inverse := moments(x, epsilon)
				for j := range y {
					y[j] = (x[j]-mean)*inverse*scale[j] + bias[j]
				}
			}
		})
		return nil
	}
	return l.apply("LayerNormalization", l.float(), shape, k, func(in G.Nodes, _, grad *G.Node) G.Nodes {
		n := rows * width
		all := l.apply("LayerNormalizationGrad", l.float(), []int{n + 2*width + normBlocks*2*width}, func(out operand[E], in []operand[E]) error {
			layerNormGrad(width, epsilon, out.f, in[0].f, in[1].f, in[2].f)
			return nil
		}, nil, in[0], in[1], grad)
		return G.Nodes{l.view(all, 0, shape), l.view(all, n, []int{width}), l.view(all, n+width, []int{width})}
	}, x, scale, bias)
}

// layerNormGrad computes out: dx, dscale, dbias, then scratch for the blocks.
func layerNormGrad[E element](width int, epsilon float64, out, x, scale, dy []E) {
	rows := len(x) / width
	dx, sums, shares := out[:len(x)], out[len(x):][:2*width], out[len(x)+2*width:]
	clear(shares)
	grain := (rows + normBlocks - 1) / normBlocks
	blasParallel(blocks(rows, grain), func(block int) {
		share := shares[block*2*width:][:2*width]
		dscale, dbias := share[:width], share[width:]
		from, to := blockOf(rows, grain, block)
		for r := from; r < to; r++ {
			x, dx, dy := x[r*width:][:width], dx[r*width:][:width], dy[r*width:][:width]
			mean, inverse := moments(x, epsilon)
			var sum, dot E
			for j, g := range dy {
				n := (x[j] - mean) * inverse
				dscale[j] += g * n
				dbias[j] += g
				h := g * scale[j]
				sum += h
				dot += h * n
			}
			sum /= E(width)
			dot /= E(width)
			for j, g := range dy {
				n := (x[j] - mean) * inverse
				dx[j] = inverse * (g*scale[j] - sum - n*dot)
			}
		}
	})
	clear(sums)
	for b := range normBlocks {
		for j, s := range shares[b*2*width:][:2*width] {
			sums[j] += s
		}
	}
}

// moments returns the mean of a row and the inverse of its deviation.
func moments[E element](x []E, epsilon float64) (mean, inverse E) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	m := sum / float64(len(x))
	square := 0.0
	for _, v := range x {
		d := float64(v) - m
		square += d * d
	}
	return E(m), E(1 / math.Sqrt(square/float64(len(x))+epsilon))
}
