package ref

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// gelu is the Gaussian error linear unit in both of its forms, arXiv:1606.08415.
var gelu = map[string]func(x float64) float64{
	"none": func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) },
	"tanh": func(x float64) float64 { return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) },
}

// layerNormalization is (x - mean) / √(variance + ε) · scale + bias over the
// last axis, arXiv:1607.06450, followed by the mean and the inverse deviation,
// if requested.
func layerNormalization(args []array, epsilon float64, shapes [][]int) []array {
	out := make([]array, len(shapes))
	for i, shape := range shapes {
		out[i] = newArray(floats, shape)
	}
	x, scale := args[0], args[1]
	if len(x.f) == 0 {
		return out
	}
	c := len(scale.f)
	inLines(len(x.f)/c, 8*c, func(r int) {
		row := x.f[r*c : (r+1)*c]
		mean := 0.0
		for _, v := range row {
			mean += v
		}
		mean /= float64(c)
		variance := 0.0
		for _, v := range row {
			variance += (v - mean) * (v - mean)
		}
		variance /= float64(c)
		deviation := math.Sqrt(variance + epsilon)
		to := out[0].f[r*c : (r+1)*c]
		for j, v := range row {
			to[j] = (v - mean) / deviation * scale.f[j]
			if len(args) == 3 {
				to[j] += args[2].f[j]
			}
		}
		if len(out) > 1 {
			out[1].f[r] = mean
		}
		if len(out) > 2 {
			out[2].f[r] = 1 / deviation
		}
	})
	return out
}

// rmsNormalization is x / √(mean of x² + ε) · scale over the last axis,
// arXiv:1910.07467.
func rmsNormalization(x, scale array, epsilon float64) array {
	out := newArray(floats, x.shape)
	if len(out.f) == 0 {
		return out
	}
	c := len(scale.f)
	inLines(len(x.f)/c, 8*c, func(r int) {
		row := x.f[r*c : (r+1)*c]
		square := 0.0
		for _, v := range row {
			square += v * v
		}
		deviation := math.Sqrt(square/float64(c) + epsilon)
		for j, v := range row {
			out.f[r*c+j] = v / deviation * scale.f[j]
		}
	})
	return out
}

// attending is an Attention with its sizes, for q (B,H,T,D), k (B,G,S,D), v (B,G,S,E)
// and a mask that broadcasts to (B,H,T,S).
type attending struct {
	op                              graph.Attention
	heads, rows, depth, seen, width int
	each                            int // query heads per key head
	mask                            view
	unmasked                        []bool // elements of a mask of truth values
}

func newAttending(op graph.Attention, args []array) attending {
	q, k := args[0], args[1]
	a := attending{op: op, heads: q.shape[1], rows: q.shape[2], depth: q.shape[3], seen: k.shape[2], width: args[2].shape[3]}
	a.each = a.heads / k.shape[1]
	if len(args) == 4 {
		a.mask = spread(args[3].shape, []int{q.shape[0], a.heads, a.rows, a.seen})
		a.unmasked = args[3].b
	}
	return a
}

// hide adds the mask, of numbers if bias is not nil, to the scores of row t of a head,
// which counts across the batch.
func (a attending) hide(p, bias []float64, head, t int) {
	first, step := 0, 0
	if a.mask.stride != nil {
		first, step = head/a.heads*a.mask.stride[0]+head%a.heads*a.mask.stride[1]+t*a.mask.stride[2], a.mask.stride[3]
	}
	begin, end := 0, len(p) // of the keys that the order of the tokens leaves
	if a.op.Causal {
		own := a.seen - a.rows + t // the key of the token itself
		end = min(max(0, own+1), len(p))
		if a.op.Window > 0 {
			begin = min(max(0, own-a.op.Window+1), end)
		}
	}
	if bias == nil && a.unmasked == nil {
		for _, part := range [][]float64{p[:begin], p[end:]} {
			for s := range part {
				part[s] += hidden
			}
		}
		return
	}
	for s := range p {
		unseen, add := s < begin || s >= end, 0.0
		if bias != nil {
			add = bias[first+s*step]
		} else {
			unseen = unseen || !a.unmasked[first+s*step]
		}
		if unseen { // once only, so that a fully masked row weights all keys equally
			add += hidden
		}
		p[s] += add
	}
}

// attention is softmax(q kᵀ · scale + mask) v, arXiv:1706.03762. It works on a block of
// rows at a time, so the scores of all heads are never in memory together.
func attention(op graph.Attention, args []array, shape []int) array {
	q, k, v := args[0], args[1], args[2]
	out := newArray(floats, shape)
	if len(out.f) == 0 || k.shape[2] == 0 {
		return out
	}
	a := newAttending(op, args)
	var bias []float64
	if len(args) == 4 && args[3].kind == floats {
		bias = args[3].f
	}
	d, seen, width := a.depth, a.seen, a.width
	blocks := (a.rows + attentionRows - 1) / attentionRows
	inLines(q.shape[0]*a.heads*blocks, min(a.rows, attentionRows)*seen*(16+d+width), func(i int) {
		head, first := i/blocks, i%blocks*attentionRows
		count := min(attentionRows, a.rows-first)
		group := head / a.each
		keys, values := k.f[group*seen*d:(group+1)*seen*d], v.f[group*seen*width:(group+1)*seen*width]
		scores := make([]float64, count*seen)
		multiply(scores, q.f[(head*a.rows+first)*d:][:count*d], d, seen, columnsOf(keys, d))
		for r := range count {
			p := scores[r*seen : (r+1)*seen]
			for s := range p {
				p[s] *= op.Scale
			}
			a.hide(p, bias, head, first+r)
			softmaxRow(p, nil, 0, units{})
		}
		multiply(out.f[(head*a.rows+first)*width:][:count*width], scores, seen, width, rowsOf(values, width))
	})
	return out
}

// attentionRows is the number of rows that attention computes at a time.
const attentionRows = 64

// hidden is added to the score of a masked key. Unlike infinity it leaves a
// fully masked row a distribution.
const hidden = -1e9

// rotaryEmbedding rotates pairs of elements by angle times position,
// arXiv:2104.09864.
func rotaryEmbedding(op graph.RotaryEmbedding, x, places, angles array) array {
	out := array{shape: x.shape, kind: floats, f: slices.Clone(x.f)}
	if len(x.f) == 0 {
		return out
	}
	heads, rows, d, half := x.shape[1], x.shape[2], x.shape[3], len(angles.f)
	inLines(len(x.f)/d, 32*d, func(i int) {
		at := i % rows // the token in its text
		if len(places.shape) == 2 {
			at += i / (heads * rows) * rows
		}
		row := out.f[i*d : (i+1)*d]
		for j, angle := range angles.f {
			first, second := j, j+half
			if op.Interleaved {
				first, second = 2*j, 2*j+1
			}
			sin, cos := math.Sincos(float64(places.i[at]) * angle)
			x1, x2 := row[first], row[second]
			row[first], row[second] = (x1*cos-x2*sin)*op.Scale, (x2*cos+x1*sin)*op.Scale
		}
	})
	return out
}

// crossEntropy is the mean of -log softmax(scores)[label] over the labels that
// are not ignored: scores (B,V,T) and labels (B,T), or scores (N,V) and labels
// (N). It is NaN if all labels are ignored.
func crossEntropy(scores, labels array, ignore int64) (array, error) {
	vocab, t := scores.shape[1], 1
	if len(scores.shape) == 3 {
		t = scores.shape[2]
	}
	count := 0
	for i, label := range labels.i {
		if label == ignore {
			continue
		}
		if label < 0 || label >= int64(vocab) {
			return array{}, fmt.Errorf("%w, or %d where it does not count",
				&format.RangeError{Name: role.Labels.Name(), Index: position(i, labels.shape), Got: label, Last: int64(vocab - 1)}, ignore)
		}
		count++
	}
	losses := make([]float64, len(labels.i))
	parallel(len(losses), func(i int) {
		if label := labels.i[i]; label != ignore {
			first := i/t*vocab*t + i%t
			top, sum := topAndSum(scores.f, first, t, vocab)
			losses[i] = math.Log(sum) + top - scores.f[first+int(label)*t]
		}
	})
	out := newArray(floats, []int{})
	for _, loss := range losses {
		out.f[0] += loss
	}
	out.f[0] /= float64(count)
	return out, nil
}
