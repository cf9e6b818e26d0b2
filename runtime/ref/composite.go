package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// gelu is x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), arXiv:1606.08415.
func gelu(x float64) float64 {
	return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

// layerNormalization is (x - mean) / √(variance + ε) · scale + bias over the
// last axis, arXiv:1607.06450. Result 1 is the mean, 2 the inverse deviation.
func layerNormalization(x, scale, bias array, epsilon float64, result int, shape []int) array {
	out := newArray(floats, shape)
	if len(out.f) == 0 {
		return out
	}
	c := len(scale.f)
	parallel(len(x.f)/c, func(r int) {
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
		switch result {
		case 1:
			out.f[r] = mean
		case 2:
			out.f[r] = 1 / deviation
		default:
			to := out.f[r*c : (r+1)*c]
			for j, v := range row {
				to[j] = (v-mean)/deviation*scale.f[j] + bias.f[j]
			}
		}
	})
	return out
}

// attention is softmax(q kᵀ · scale + mask) v for q (B,H,T,D), k and v
// (B,H,S,D) and mask (T,S) or (B,1,T,S), arXiv:1706.03762. It works row by row, so that
// the scores of all heads never exist together.
func attention(q, k, v, mask array, scale float64) array {
	out := newArray(floats, q.shape)
	if len(out.f) == 0 {
		return out
	}
	heads, rows, d, seen := q.shape[1], q.shape[2], q.shape[3], k.shape[2]
	parallel(len(q.f)/d, func(i int) {
		head, t := i/rows, i%rows
		masks := mask.f // of the sequence at hand, or of all of them
		if len(mask.shape) == 4 {
			masks = masks[head/heads*rows*seen:]
		}
		keys, values := k.f[head*seen*d:(head+1)*seen*d], v.f[head*seen*d:(head+1)*seen*d]
		query := q.f[i*d : (i+1)*d]
		p := make([]float64, seen)
		for s := range p {
			dot := 0.0
			for j, x := range keys[s*d : (s+1)*d] {
				dot += query[j] * x
			}
			p[s] = dot*scale + masks[t*seen+s]
		}
		top, sum := topAndSum(p, 0, 1, seen)
		to := out.f[i*d : (i+1)*d]
		for s := range p {
			weight := math.Exp(p[s]-top) / sum
			for j, x := range values[s*d : (s+1)*d] {
				to[j] += weight * x
			}
		}
	})
	return out
}

// crossEntropy is the mean of -log softmax(scores)[label] over the labels that
// are not ignored: scores (B,V,T) and labels (B,T), or scores (N,V) and labels
// (N). It is NaN if all are.
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
				&format.RangeError{Name: "labels", Index: position(i, labels.shape), Got: label, Last: int64(vocab - 1)}, ignore)
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
