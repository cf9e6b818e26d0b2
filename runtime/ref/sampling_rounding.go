package ref

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

// errorsOf holds the errors of elements: their deviation, and the largest there may be.
// Not a number says that nothing is known of an element.
type errorsOf struct{ deviation, most []float64 }

func newErrors(n int) errorsOf { return errorsOf{make([]float64, n), make([]float64, n)} }

func (e errorsOf) slip() slip { return slip{deviation: e.deviation} }

// readings has what may be at most for both readings.
func (e errorsOf) readings() readings { return readings{any: e.most, ordered: e.most} }

// The operators below read an image at points that they compute. The standard model gives
// the error of a point's coordinate, and the slope of the interpolation at the point what it
// changes. A step (the nearest element, a border) is reached where the errors of a
// coordinate contain it.

// gridError is that of GridSample. A coordinate g in -1 to 1 becomes ((g+1)·size - 1)/2, or
// (g+1)/2·(size-1): three roundings, of g+1, of the product and of the difference, and two of
// a reflection. What they change is taken from the samples at either side, so that a step
// of mode nearest counts in full. Each of the weights is a product of one factor an axis, 1 minus
// the part, and each term a product: two roundings an axis; a cubic factor is a polynomial
// of two products and three sums more (Keys, 1981; Horner's rule: Higham, section 5.1).
func gridError(op graph.GridSample, c call, out array, u units) errorsOf {
	x, grid := c.args[0].wide(), c.args[1].wide()
	c.args = []array{x, grid}
	axes := len(x.shape) - 2
	e := newErrors(len(out.f))
	variance := make([]float64, len(out.f))
	roundings := 3.0
	if op.Padding == "reflection" {
		roundings = 5
	}
	for axis := range axes {
		size := float64(x.shape[len(x.shape)-1-axis])
		change, most := make([]float64, len(out.f)), make([]float64, len(out.f))
		for _, side := range []float64{-1, 1} {
			for _, worst := range []bool{false, true} {
				scale := math.Sqrt(roundings)
				if worst {
					scale = roundings
				}
				moved := mapped(grid, func(g float64) float64 { return g })
				for i := axis; i < len(moved.f); i += axes {
					g := moved.f[i]
					moved.f[i] += side * scale * u.sums * (math.Abs(g+1) + 1/size)
				}
				to := change
				if worst {
					to = most
				}
				for i, y := range gridSample(op, call{args: []array{x, moved}, sizes: c.sizes, shapes: c.shapes}).f {
					to[i] = max(to[i], math.Abs(y-out.f[i]))
				}
			}
		}
		for i := range out.f {
			variance[i] += square(change[i] * uniform)
			e.most[i] += most[i]
		}
	}
	if op.Mode == "nearest" {
		for i := range out.f {
			e.deviation[i] = math.Sqrt(variance[i])
		}
		return e
	}
	taps, each := math.Pow(2, float64(axes)), 2*float64(axes)
	if op.Mode == "cubic" {
		taps, each = math.Pow(4, float64(axes)), 7*float64(axes)
	}
	squares := gridSampled(op, c, func(w, v float64) float64 { return square(w * v) })
	sizes := gridSampled(op, c, func(w, v float64) float64 { return math.Abs(w * v) })
	e.addSums(out, variance, squares.f, sizes.f, taps, each, u)
	return e
}

// addSums adds the errors of sums of n terms with so many roundings each.
func (e errorsOf) addSums(out array, variance, squares, sizes []float64, n, each float64, u units) {
	for i, y := range out.f {
		own := 0.0
		if u.value > u.sums {
			own = u.rounded(y)
		}
		v := square(u.sums)*(each*squares[i]+n*(squares[i]+square(y)/3)) + square(own)
		e.deviation[i] = math.Sqrt(variance[i] + v*square(uniform))
		e.most[i] += (n+each)*u.sums*sizes[i] + own
	}
}

// regionError is that of RoiAlign. A point is start + part·p + (i+½)·part/count, where start
// and part are computed from the two ends: an end is rounded twice, and the point twice, which
// are two roundings together and four at most. The error of the start is that of all points,
// the others are their own. A mean of n points has 4n terms, of weights with three roundings.
func regionError(op graph.RoiAlign, c call, out array, u units) errorsOf {
	x, regions, images := c.args[0].wide(), c.args[1].wide(), c.args[2]
	channels, height, width := x.shape[1], x.shape[2], x.shape[3]
	e := newErrors(len(out.f))
	variance, squares, sizes := make([]float64, len(out.f)), make([]float64, len(out.f)), make([]float64, len(out.f))
	terms := make([]float64, len(out.f))
	parallel(regions.shape[0], func(n int) {
		region := regions.f[n*4 : n*4+4]
		rows, columns := regionPoints(op, region[1], region[3], op.Height, height), regionPoints(op, region[0], region[2], op.Width, width)
		dy, dx := 2*u.sums*pointSize(op, region[1], region[3]), 2*u.sums*pointSize(op, region[0], region[2])
		unsure := regionStep(op, region[1], region[3], op.Height, height, 2*dy) || regionStep(op, region[0], region[2], op.Width, width, 2*dx)
		for channel := range channels {
			first := (int(images.i[n])*channels + channel) * height * width
			image := x.f[first : first+height*width]
			for i, ys := range rows {
				for j, xs := range columns {
					at := ((n*channels+channel)*op.Height+i)*op.Width + j
					if unsure {
						variance[at], e.most[at] = math.NaN(), math.NaN()
						continue
					}
					variance[at], e.most[at], squares[at], sizes[at] = pointErrors(image, width, ys, xs, op.Max, dy, dx)
					terms[at] = float64(4 * len(ys) * len(xs))
					if op.Max {
						terms[at], squares[at], sizes[at] = 0, square(out.f[at]), math.Abs(out.f[at])
					}
				}
			}
		}
	})
	for i, y := range out.f {
		own := 0.0
		if u.value > u.sums {
			own = u.rounded(y)
		}
		v := square(u.sums)*(3*squares[i]+terms[i]*(squares[i]+square(y)/3)) + square(own)
		e.deviation[i] = math.Sqrt(variance[i]*square(uniform) + v*square(uniform))
		e.most[i] += (terms[i]+3)*u.sums*sizes[i] + own
	}
	return e
}

// pointSize is the size of the numbers from which a region's points are computed.
func pointSize(op graph.RoiAlign, from, to float64) float64 {
	return max(math.Abs(from*op.Scale), math.Abs(to*op.Scale), 0.5)
}

// regionStep reports whether an error of d may change how many points a region has, or
// which of them lie outside the image.
func regionStep(op graph.RoiAlign, from, to float64, parts, n int, d float64) bool {
	length := (to - from) * op.Scale
	if !op.HalfPixel {
		length = max(length, 1)
	}
	if part := length / float64(parts); op.Samples < 1 && math.Abs(part-math.Round(part)) < d && !single32(from*op.Scale, to*op.Scale, length, part) {
		return true
	}
	start := from * op.Scale
	if op.HalfPixel {
		start -= 0.5
	}
	count := op.Samples
	if count < 1 {
		count = max(0, int(math.Ceil(length/float64(parts))))
	}
	for p := range parts {
		for i := range count {
			x := start + length/float64(parts)*(float64(p)+(float64(i)+0.5)/float64(count))
			if math.Abs(x+1) < d || math.Abs(x-float64(n)) < d {
				return true
			}
		}
	}
	return false
}

// single32 reports whether all numbers are of float32, so that computing them rounded
// nothing.
func single32(all ...float64) bool {
	for _, x := range all {
		if x != float64(float32(x)) {
			return false
		}
	}
	return true
}

// pointErrors returns what errors dy and dx of the coordinates change in a part of a
// region: as a square, and at most; and its squared terms and their sizes. The largest
// element changes by no more than the one that changes most.
func pointErrors(image []float64, width int, rows, columns [][]tap, largest bool, dy, dx float64) (variance, most, squares, sizes float64) {
	count := float64(len(rows) * len(columns))
	if count == 0 {
		return 0, 0, 0, 0
	}
	var allY, allX float64
	for _, ys := range rows {
		for _, xs := range columns {
			if len(ys) == 0 || len(xs) == 0 {
				continue
			}
			at := func(i, j int) float64 { return image[ys[i].at*width+xs[j].at] }
			slopeY := xs[0].weight*(at(1, 0)-at(0, 0)) + xs[1].weight*(at(1, 1)-at(0, 1))
			slopeX := ys[0].weight*(at(0, 1)-at(0, 0)) + ys[1].weight*(at(1, 1)-at(1, 0))
			allY, allX = allY+slopeY*dy/count, allX+slopeX*dx/count
			variance += (square(slopeY*dy) + square(slopeX*dx)) / square(count)
			most += 2 * (math.Abs(slopeY*dy) + math.Abs(slopeX*dx)) / count
			for i := range ys {
				for j := range xs {
					v := ys[i].weight * xs[j].weight * at(i, j) / count
					squares, sizes = squares+square(v), sizes+math.Abs(v)
					if largest {
						one := math.Abs(at(i, j)) * (dy*xs[j].weight + dx*ys[i].weight)
						variance, most = max(variance, square(one)), max(most, 2*one)
					}
				}
			}
		}
	}
	if largest {
		return variance, most, squares, sizes
	}
	return variance + square(allY) + square(allX), most, squares, sizes
}

// regionDoubt is that of MaxRoiPool, which moves elements: nothing is known of a region with
// an end that rounding may take to the next element.
func regionDoubt(op graph.MaxRoiPool, c call, out array, u units) errorsOf {
	regions := c.args[1].wide()
	e := newErrors(len(out.f))
	each := len(out.f) / max(1, regions.shape[0])
	for n := range regions.shape[0] {
		for _, end := range regions.f[n*5+1 : n*5+5] {
			v := end * op.Scale
			if math.Abs(v-math.Floor(v)-0.5) > u.sums*math.Abs(v) || single32(v) {
				continue
			}
			for i := range each {
				e.deviation[n*each+i], e.most[n*each+i] = math.NaN(), math.NaN()
			}
		}
	}
	return e
}

// deformedError is that of DeformConv: a point is its place in the window and an offset,
// one rounding; the slopes of the interpolation give what this changes. The value of a point is
// a sum of four terms with weights of three roundings, before it is a term of the sum.
func deformedError(op graph.DeformConv, c call, out array, u units) errorsOf {
	for i := range c.args {
		c.args[i] = c.args[i].wide()
	}
	w := c.args[1]
	n := 1.0
	for _, k := range w.shape[1:] {
		n *= float64(k)
	}
	masked := len(c.args) == 4
	plain := c
	if masked { // squares of terms have squares of the mask
		plain.args = append([]array{}, c.args...)
		plain.args[3] = mapped(c.args[3], square)
	}
	slopes := func(image []float64, height, width int, row, column float64) (y, x float64) {
		up, left := math.Floor(row), math.Floor(column)
		part := func(r, s float64) float64 { return bilinear(image, height, width, r, s) }
		return part(up+1, column) - part(up, column), part(row, left+1) - part(row, left)
	}
	moved := deformed(op, plain, mapped(w, square), func(image []float64, height, width int, row, column float64) float64 {
		y, x := slopes(image, height, width, row, column)
		return square(u.sums*row*y) + square(u.sums*column*x)
	})
	terms := deformed(op, plain, mapped(w, square), func(image []float64, height, width int, row, column float64) float64 {
		top, left := math.Floor(row), math.Floor(column)
		sum := 0.0
		for i := range 2 {
			for j := range 2 {
				r, s := top+float64(i), left+float64(j)
				sum += square((1 - math.Abs(row-r)) * (1 - math.Abs(column-s)) * bilinear(image, height, width, r, s))
			}
		}
		return sum
	})
	squares := deformed(op, plain, mapped(w, square), func(image []float64, height, width int, row, column float64) float64 {
		return square(bilinear(image, height, width, row, column))
	})
	sizes := c
	sizes.args = append([]array{}, c.args...)
	if masked {
		sizes.args[3] = mapped(c.args[3], math.Abs)
	}
	largest := deformed(op, sizes, mapped(w, math.Abs), func(image []float64, height, width int, row, column float64) float64 {
		y, x := slopes(image, height, width, row, column)
		return math.Abs(bilinear(image, height, width, row, column)) + math.Abs(row*y) + math.Abs(column*x)
	})
	e := newErrors(len(out.f))
	variance := make([]float64, len(out.f))
	for i := range variance {
		variance[i] = (moved.f[i] + square(u.sums)*7*terms.f[i]) * square(uniform)
	}
	e.addSums(out, variance, squares.f, largest.f, n, 9, u)
	return e
}
