package precision

import (
	"math"
	"sync/atomic"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// gridScale returns the scale of a block of n weights, every step-th of w: the
// largest is -half times the scale, unless all weights are whole multiples of
// another one that gives the largest half-1 steps: then they were integers before,
// and keep them. whole reports whether they are multiples of the result. The scale is 1 if
// all are 0, or if it would be subnormal.
func gridScale(w []float32, step, n int, half float64) (scale float32, whole bool) {
	most := float32(0)
	for k := range n {
		if x := w[k*step]; abs(x) > abs(most) {
			most = x
		}
	}
	scale = -most / float32(half)
	if abs(scale) < 0x1p-126 {
		return 1, most == 0
	}
	for _, s := range []float32{scale, most / float32(half-1), -most / float32(half-1)} {
		fits := abs(s) >= 0x1p-126
		for k := 0; fits && k < n; k++ {
			x := float64(w[k*step])
			q := math.RoundToEven(x / float64(s))
			fits = q*float64(s) == x && q >= -half && q < half
		}
		if fits {
			return s, true
		}
	}
	return scale, false
}

// blockScales returns the scales of a matrix in blocks, those of an output together. If
// exact is set, it returns nil unless the blocks hold the matrix exactly.
func blockScales(w []float32, in, out, step, next int, half float64, exact bool) []float32 {
	blocks := (in + blockSize - 1) / blockSize
	scales := make([]float32, out*blocks)
	var rounds atomic.Bool
	inParallel(blocks, func(from, to int) {
		for b := from; b < to; b++ {
			first := b * blockSize
			for n := 0; n < out && !rounds.Load(); n++ {
				scale, whole := gridScale(w[first*step+n*next:], step, min(blockSize, in-first), half)
				scales[n*blocks+b] = scale
				if exact && !whole {
					rounds.Store(true)
				}
			}
		}
	})
	if rounds.Load() {
		return nil
	}
	return scales
}

// KeepExact returns the weights that integers of the form do not hold exactly, with
// the bits in which a file holds them so: 8 for int4, or as they are. With it
// quantization changes no weight. It makes a file smaller only if the weights were
// integers before, as those of a GGUF file.
func (f Form) KeepExact(g *graph.Graph, weights []format.Tensor) (Keep, error) {
	if err := f.Check(); err != nil {
		return "", err
	}
	form, ok := forms[f.Quantize]
	if !ok {
		return "", nil
	}
	byName := map[string]format.Tensor{}
	for _, t := range weights {
		byName[t.Name] = t
	}
	find := &quantizer{tied: map[string]bool{}}
	find.find(g)
	keep := map[string]int{}
	for _, m := range find.products {
		t, ok := byName[m.name]
		if !ok {
			continue
		}
		w, err := finiteFloats(&onnx.Tensor{Name: m.name, Raw: t.Data})
		if err != nil {
			return "", err
		}
		exact := func(bits int) (bool, error) {
			q := &quantizer{rewrite: newRewrite(&onnx.Model{Graph: &onnx.Graph{}}, map[string]onnx.DataType{}), form: form, tied: find.tied, keep: map[string]int{m.name: bits}}
			_, err := form.store(q, m.name, w, t.Shape[0], t.Shape[1], m.transposed)
			return q.changed == 0, err
		}
		fits, err := exact(0)
		if err == nil && !fits {
			keep[m.name] = keptWholeBits
			if f.Quantize == Int4 && !find.tied[m.name] {
				if fits, err = exact(8); fits {
					keep[m.name] = 8
				}
			}
		}
		if err != nil {
			return "", err
		}
	}
	return KeepOf(keep), nil
}
