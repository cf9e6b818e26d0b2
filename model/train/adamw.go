package train

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

// AdamW is the optimizer of "Decoupled weight decay regularization"
// (arXiv:1711.05101) in PyTorch's form: epsilon is added outside the bias
// correction, and the decay multiplies the weight by 1 - lr·decay before the
// step. Decay applies to matrices and embeddings, not to biases and norms.
type AdamW struct {
	Beta1, Beta2 float64
	Epsilon      float64
	Decay        float64

	step int         // updates done
	m, v [][]float32 // first and second moment, one slice for each weight
}

// newAdamW returns an optimizer whose moments are zero.
func newAdamW(o Options, w model.Weights) *AdamW {
	a := &AdamW{Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Epsilon, Decay: o.WeightDecay}
	for _, t := range w {
		a.m = append(a.m, make([]float32, t.Elements()))
		a.v = append(a.v, make([]float32, t.Elements()))
	}
	return a
}

// update moves the weights one step against the gradients, which it first
// multiplies by scale, the clipping factor.
func (a *AdamW) update(weights model.Weights, grads []format.Tensor, lr, scale float64) error {
	w, g, err := numbers(weights, grads)
	if err != nil {
		return err
	}
	a.step++
	c1 := 1 - math.Pow(a.Beta1, float64(a.step))
	c2 := 1 - math.Pow(a.Beta2, float64(a.step))
	each(cut(g), func(_ int, p piece) {
		i, from, to := p.tensor, p.from, p.to
		keep := 1.0
		if len(weights[i].Shape) >= 2 {
			keep = 1 - lr*a.Decay
		}
		adamw(w[i][from:to], g[i][from:to], a.m[i][from:to], a.v[i][from:to], &adamwFactors{
			scale: float32(scale), keep: float32(keep),
			beta1: float32(a.Beta1), rest1: float32(1 - a.Beta1), beta2: float32(a.Beta2), rest2: float32(1 - a.Beta2),
			rate: float32(lr / c1), root: float32(1 / math.Sqrt(c2)), epsilon: float32(a.Epsilon),
		})
	})
	return nil
}

// adamwFactors are the constants of one update: m and v become beta·old +
// rest·new, and a weight w·keep - rate·m/(√v·root + epsilon).
type adamwFactors struct {
	scale, keep, beta1, rest1, beta2, rest2, rate, root, epsilon float32
}

// adamwPlain updates a piece. It computes in float32, as PyTorch does: the
// state is float32 anyway, and float64 roots and quotients would cost more
// time than the memory access.
func adamwPlain(w, g, m, v []float32, f *adamwFactors) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for j := range w {
		gj := g[j] * f.scale
		mj := f.beta1*m[j] + f.rest1*gj
		vj := f.beta2*v[j] + f.rest2*gj*gj
		m[j], v[j] = mj, vj
		w[j] = w[j]*f.keep - f.rate*mj/(float32(math.Sqrt(float64(vj)))*f.root+f.epsilon)
	}
}

// norm returns the Euclidean norm of all gradients as one vector.
func norm(grads []format.Tensor) (float64, error) {
	g, _, err := numbers(grads, nil)
	if err != nil {
		return 0, err
	}
	all := cut(g)
	sums := make([]float64, len(all))
	each(all, func(n int, p piece) {
		var s [4]float64 // four sums: one would make each addition wait for the previous one
		x := g[p.tensor][p.from:p.to]
		for ; len(x) >= 4; x = x[4:] {
			s[0] += float64(x[0]) * float64(x[0])
			s[1] += float64(x[1]) * float64(x[1])
			s[2] += float64(x[2]) * float64(x[2])
			s[3] += float64(x[3]) * float64(x[3])
		}
		for _, x := range x {
			s[0] += float64(x) * float64(x)
		}
		sums[n] = s[0] + s[1] + s[2] + s[3]
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return math.Sqrt(total), nil
}

// numbers returns the elements of tensors. They share memory.
func numbers(a, b []format.Tensor) (x, y [][]float32, err error) {
	for _, list := range []struct {
		from []format.Tensor
		to   *[][]float32
	}{{a, &x}, {b, &y}} {
		for _, t := range list.from {
			e, err := t.Float32s()
			if err != nil {
				return nil, nil, err
			}
			*list.to = append(*list.to, e)
		}
	}
	return x, y, nil
}

// pieceSize is the number of elements that a goroutine takes at a time. It
// does not depend on the number of cores, so neither do the sums.
const pieceSize = 1 << 16

// piece is a part of one tensor in a list.
type piece struct{ tensor, from, to int }

// cut returns the pieces of some tensors, in order.
func cut(x [][]float32) (all []piece) {
	for i, e := range x {
		for from := 0; from < len(e); from += pieceSize {
			all = append(all, piece{i, from, min(from+pieceSize, len(e))})
		}
	}
	return all
}

// each calls f for every piece, with its number, on all cores.
func each(all []piece, f func(n int, p piece)) {
	workers := min(runtime.GOMAXPROCS(0), len(all))
	if workers == 1 {
		for n, p := range all {
			f(n, p)
		}
		return
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(all) {
					return
				}
				f(n, all[n])
			}
		})
	}
	wait.Wait()
}

// Name prefixes of the moments in a checkpoint.
const (
	FirstMoment  = "optim.m."
	SecondMoment = "optim.v."
)

// moments returns the optimizer's state as tensors that share its memory.
func (a *AdamW) moments(w model.Weights) []format.Tensor {
	var out []format.Tensor
	for i, t := range w {
		out = append(out,
			format.FromFloat32s(FirstMoment+t.Name, t.Shape, a.m[i]),
			format.FromFloat32s(SecondMoment+t.Name, t.Shape, a.v[i]))
	}
	return out
}

// restore loads saved moments after the given number of updates.
func (a *AdamW) restore(w model.Weights, saved []format.Tensor, step int) error {
	byName := map[string]format.Tensor{}
	for _, t := range saved {
		byName[t.Name] = t
	}
	for i, t := range w {
		for prefix, into := range map[string][]float32{FirstMoment: a.m[i], SecondMoment: a.v[i]} {
			s, ok := byName[prefix+t.Name]
			if !ok {
				return fmt.Errorf("train: the checkpoint has no %.80q: it cannot be resumed", prefix+t.Name)
			}
			x, err := s.Float32s()
			if err != nil {
				return fmt.Errorf("train: %w", err)
			}
			if len(x) != len(into) {
				return fmt.Errorf("train: %.80q has %d elements, the weight %d", s.Name, len(x), len(into))
			}
			copy(into, x)
		}
	}
	a.step = step
	return nil
}
