package ref

import (
	"fmt"
	"math"
	"math/cmplx"
	"strconv"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// signalKernels compute signals: Fourier transforms, windows, counts of n-grams.
var signalKernels = []kernel{
	single(transform),
	single(tfIdf),
}

// transform computes the Fourier transform of every line along an axis.
func transform(op graph.DFT, c call) (array, error) {
	x := c.args[0]
	length, err := op.Length.Eval(c.sizes)
	if err != nil || length < 1 {
		return array{}, fmt.Errorf("a transform of %d elements (%v)", length, err)
	}
	parts, last := x.shape[len(x.shape)-1], len(x.shape)-1
	between, _ := format.Elements(x.shape[op.Axis+1 : last]) // number of lines next to one another
	outer, _ := format.Elements(x.shape[:op.Axis])
	from, to := x.shape[op.Axis], c.shapes[0][op.Axis]
	out := newArray(floats, c.shapes[0])
	width := out.shape[last]
	table := roots(length, op.Inverse)
	parallel(outer*between, func(line int) {
		o, in := line/between, line%between
		signal := make([]complex128, length)
		for i := range min(from, length) {
			at := ((o*from+i)*between + in) * parts
			signal[i] = complex(x.f[at], 0)
			if parts == 2 {
				signal[i] = complex(x.f[at], x.f[at+1])
			}
		}
		if op.Inverse && op.Onesided {
			mirror(signal)
		}
		result := fourier(signal, 1, length, table)
		for i := range to {
			v := result[i]
			if op.Inverse {
				v /= complex(float64(length), 0)
			}
			at := ((o*to+i)*between + in) * width
			out.f[at] = real(v)
			if width == 2 {
				out.f[at+1] = imag(v)
			}
		}
	})
	return out, nil
}

// mirror fills in the second half of the frequencies of real numbers.
func mirror(frequencies []complex128) {
	n := len(frequencies)
	frequencies[0] = complex(real(frequencies[0]), 0)
	if n%2 == 0 {
		frequencies[n/2] = complex(real(frequencies[n/2]), 0)
	}
	for i := n/2 + 1; i < n; i++ {
		frequencies[i] = cmplx.Conj(frequencies[n-i])
	}
}

// roots returns the n-th roots of one, in the direction of the transform.
func roots(n int, inverse bool) []complex128 {
	sign := -1.0
	if inverse {
		sign = 1
	}
	table := make([]complex128, n)
	for i := range table {
		table[i] = cmplx.Rect(1, sign*2*math.Pi*float64(i)/float64(n))
	}
	return table
}

// fourier returns the transform of n elements of x, step apart. It splits them by the
// smallest prime factor of n, and computes the plain sum if n is prime. table
// contains the roots of n·step.
func fourier(x []complex128, step, n int, table []complex128) []complex128 {
	p := 2
	for p < n && n%p != 0 {
		p++
	}
	out := make([]complex128, n)
	if p >= n {
		for k := range out {
			for i := range n {
				out[k] += x[i*step] * table[i*k%n*step]
			}
		}
		return out
	}
	m := n / p
	parts := make([][]complex128, p)
	for i := range parts {
		parts[i] = fourier(x[i*step:], step*p, m, table)
	}
	for k := range out {
		for i, part := range parts {
			out[k] += part[k%m] * table[i*k%n*step]
		}
	}
	return out
}

// tfIdf counts n-grams.
func tfIdf(op graph.TfIdfVectorizer, c call) (array, error) {
	x := c.args[0]
	known, err := ngrams(op, c.args[1].i)
	if err != nil {
		return array{}, err
	}
	rows, columns := 1, x.len()
	if len(x.shape) == 2 {
		rows, columns = x.shape[0], x.shape[1]
	}
	width := op.Width()
	out := newArray(floats, c.shapes[0])
	for row := range rows {
		counts := out.f[row*width : (row+1)*width]
		countNgrams(op, x.i[row*columns:(row+1)*columns], known, counts)
		for i, n := range counts {
			weight := 1.0
			if len(c.args) == 3 {
				weight = c.args[2].f[i]
			}
			switch {
			case op.Mode == "IDF" && n > 0:
				counts[i] = weight
			case op.Mode == "TFIDF":
				counts[i] = n * weight
			}
		}
	}
	return out, nil
}

// ngrams returns the index of each n-gram of the pool.
func ngrams(op graph.TfIdfVectorizer, pool []int64) (map[string]int, error) {
	places := map[string]int{}
	id := 0
	for i, begin := range op.Counts {
		size, end := i+1, len(pool)
		if i+1 < len(op.Counts) {
			end = op.Counts[i+1]
		}
		for ; begin+size <= end; begin += size {
			if id >= len(op.Indexes) {
				return nil, fmt.Errorf("more n-grams than the %d places of them", len(op.Indexes))
			}
			if size >= op.Min && size <= op.Max {
				places[ngram(pool[begin:begin+size], 1, size)] = op.Indexes[id]
			}
			id++
		}
	}
	return places, nil
}

// ngram returns size elements, step apart, as a key.
func ngram(x []int64, step, size int) string {
	var key []byte
	for i := range size {
		key = append(strconv.AppendInt(key, x[i*step], 36), ' ')
	}
	return string(key)
}

// countNgrams adds the n-grams of a row to counts. A single element has nothing
// to skip and counts once.
func countNgrams(op graph.TfIdfVectorizer, row []int64, known map[string]int, counts []float64) {
	for step := 1; step <= op.MaxSkip+1; step++ {
		for size := op.Min; size <= op.Max; size++ {
			if size == 1 && step > 1 {
				continue
			}
			for i := 0; i+(size-1)*step < len(row); i++ {
				if at, ok := known[ngram(row[i:], step, size)]; ok {
					counts[at]++
				}
			}
		}
	}
}
