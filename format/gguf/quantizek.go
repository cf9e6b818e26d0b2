package gguf

import "math"

// putQ4K writes a block of Q4_K: eight parts of 32 elements, each q·scale−min
// with q from 0 to 15, whose scales and minima are 6-bit multiples of two numbers
// of the block. The gguf package has no such quantizer, so this is the search of
// ggml (ggml-quants.c, quantize_row_q4_K_ref), each operation rounded to float32.
func putQ4K(b []byte, x []float32) bool {
	var q [256]byte
	var scales, mins [8]float32
	largest, deepest := float32(0), float32(0)
	for j := range 8 {
		part := x[32*j:][:32]
		scales[j], mins[j] = searchPart(part, q[32*j:][:32])
		largest, deepest = max(largest, scales[j]), max(deepest, mins[j])
	}
	sixth := func(v, most float32) byte { // as a multiple of a 63rd of the largest
		if most <= 0 {
			return 0
		}
		return byte(min(nearest(float32(63/most)*v), 63))
	}
	packed := b[4:16]
	clear(packed)
	for j := range 8 {
		s, m := sixth(scales[j], largest), sixth(mins[j], deepest)
		if j < 4 {
			packed[j], packed[j+4] = s, m
			continue
		}
		packed[j+4] = s&15 | m&15<<4
		packed[j-4] |= s >> 4 << 6
		packed[j] |= m >> 4 << 6
	}
	fits := putHalf(b, largest/63)
	fits = putHalf(b[2:], deepest/63) && fits
	d, low := half(b), half(b[2:])
	for j := range 8 {
		s, m := scaleAndMin(packed, j)
		scale, lowest := d*s, low*m
		if scale == 0 {
			continue
		}
		for i, v := range x[32*j:][:32] {
			q[32*j+i] = byte(max(0, min(nearest(float32(v+lowest)/scale), 15)))
		}
	}
	for j := range 4 {
		for i := range 32 {
			b[16+32*j+i] = q[64*j+i] | q[64*j+32+i]<<4
		}
	}
	return fits && largest-largest == 0 && deepest-deepest == 0
}

// searchPart returns the scale and the negated minimum with which the integers q
// from 0 to 15 give x with the least weighted squared error, of 21 candidates.
// Large elements weigh more.
func searchPart(x []float32, q []byte) (scale, negated float32) {
	squares := float32(0)
	for _, v := range x {
		squares += float32(v * v)
	}
	mean := float32(math.Sqrt(float64(squares / 32)))
	var weights [32]float32
	low, high, sumW, sumX := x[0], x[0], float32(0), float32(0)
	for i, v := range x {
		weights[i] = mean + abs(v)
		low, high = min(low, v), max(high, v)
		sumW += weights[i]
		sumX += float32(weights[i] * v)
	}
	if low = min(low, 0); high == low {
		clear(q)
		return 0, -low
	}
	step := 15 / (high - low)
	scale = 1 / step
	for i, v := range x {
		q[i] = byte(max(0, min(nearest(step*float32(v-low)), 15)))
	}
	best := distance(x, weights[:], q, scale, low)
	var try [32]byte
	for k := range 21 {
		step := float32(float32(float32(0.1)*float32(k))+-1+15) / (high - low) // low is that of the best so far
		sumQ, sumQ2, sumXQ := float32(0), float32(0), float32(0)
		for i, v := range x {
			l := max(0, min(nearest(step*float32(v-low)), 15))
			f := float32(l)
			try[i] = byte(l)
			sumQ += float32(weights[i] * f)
			sumQ2 += float32(float32(weights[i]*f) * f)
			sumXQ += float32(float32(weights[i]*f) * v)
		}
		det := float32(sumW*sumQ2) - float32(sumQ*sumQ)
		if det <= 0 {
			continue
		}
		s := float32(float32(sumW*sumXQ)-float32(sumX*sumQ)) / det
		m := float32(float32(sumQ2*sumX)-float32(sumQ*sumXQ)) / det
		if m > 0 {
			m, s = 0, sumXQ/sumQ2
		}
		if e := distance(x, weights[:], try[:], s, m); e < best {
			best, scale, low = e, s, m
			copy(q, try[:])
		}
	}
	return scale, -low
}

// distance returns the weighted squared error of q·scale+low.
func distance(x, weights []float32, q []byte, scale, low float32) (sum float32) {
	for i, v := range x {
		d := float32(float32(scale*float32(q[i]))+low) - v
		sum += float32(weights[i] * float32(d*d))
	}
	return sum
}

// nearest rounds to the nearest integer, ties to even.
func nearest(x float32) int { return int(math.RoundToEven(float64(x))) }
