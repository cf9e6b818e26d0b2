package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// roiAlign pools points within regions of images.
func roiAlign(op graph.RoiAlign, c call) (array, error) {
	x, regions, images := c.args[0], c.args[1], c.args[2]
	if err := checkIDs(images, x.shape[0]); err != nil {
		return array{}, err
	}
	for i, v := range regions.f {
		if !(math.Abs(v*op.Scale) <= mostPoints/2) || op.Samples > mostPoints {
			return array{}, fmt.Errorf("the region at %v has more than %d points: %g", position(i, regions.shape), mostPoints, v)
		}
	}
	channels, height, width := x.shape[1], x.shape[2], x.shape[3]
	out := newArray(floats, c.shapes[0])
	parallel(regions.shape[0], func(n int) {
		region := regions.f[n*4 : n*4+4]
		rows := regionPoints(op, region[1], region[3], op.Height, height)
		columns := regionPoints(op, region[0], region[2], op.Width, width)
		for channel := range channels {
			first := (int(images.i[n])*channels + channel) * height * width
			image := x.f[first : first+height*width]
			for i, ys := range rows {
				for j, xs := range columns {
					at := ((n*channels+channel)*op.Height+i)*op.Width + j
					out.f[at] = poolPoints(image, width, ys, xs, op.Max)
				}
			}
		}
	})
	return out, nil
}

// mostPoints bounds the points of a part in each direction, at more than the
// elements of an image.
const mostPoints = 1 << 13

// regionPoints returns the points of each part of a region along an axis of n
// elements: the two elements around each point, none for a point outside.
func regionPoints(op graph.RoiAlign, from, to float64, parts, n int) [][][]tap {
	offset := 0.0
	if op.HalfPixel {
		offset = 0.5
	}
	from, to = from*op.Scale-offset, to*op.Scale-offset
	length := to - from
	if !op.HalfPixel {
		length = max(length, 1)
	}
	part := length / float64(parts)
	count := op.Samples
	if count < 1 {
		count = max(0, int(math.Ceil(part)))
	}
	all := make([][][]tap, parts)
	for p := range all {
		for i := range count {
			x := from + float64(p)*part + (float64(i)+0.5)*part/float64(count)
			all[p] = append(all[p], neighbours(x, n))
		}
	}
	return all
}

// neighbours returns the two elements of an axis around x, with their weights.
func neighbours(x float64, n int) []tap {
	if !(x >= -1 && x <= float64(n)) {
		return nil
	}
	low := math.Floor(max(x, 0))
	if low >= float64(n-1) {
		return []tap{{n - 1, 1}, {n - 1, 0}}
	}
	part := max(x, 0) - low
	return []tap{{int(low), 1 - part}, {int(low) + 1, part}}
}

// poolPoints returns the mean of the points of an image, or the largest of their
// weighted elements, as ONNX defines it.
func poolPoints(image []float64, width int, rows, columns [][]tap, largest bool) float64 {
	sum, most := 0.0, math.Inf(-1)
	for _, ys := range rows {
		for _, xs := range columns {
			if len(ys) == 0 || len(xs) == 0 {
				most = max(most, 0)
			}
			for _, y := range ys {
				for _, x := range xs {
					v := y.weight * x.weight * image[y.at*width+x.at]
					sum, most = sum+v, max(most, v)
				}
			}
		}
	}
	switch count := len(rows) * len(columns); {
	case count == 0:
		return 0
	case largest:
		return most
	default:
		return sum / float64(count)
	}
}

// maxRoiPool returns the largest elements of parts of regions, 0 for an empty part.
func maxRoiPool(op graph.MaxRoiPool, c call) (array, error) {
	x, regions := c.args[0], c.args[1]
	channels, height, width := x.shape[1], x.shape[2], x.shape[3]
	images := array{shape: []int{regions.shape[0]}, kind: ints, i: make([]int64, regions.shape[0])}
	for n := range images.i {
		images.i[n] = int64(regions.f[n*5])
	}
	if err := checkIDs(images, x.shape[0]); err != nil {
		return array{}, err
	}
	out := newArray(floats, c.shapes[0])
	for n, image := range images.i {
		region := regions.f[n*5+1 : n*5+5]
		rows := regionParts(region[1]*op.Scale, region[3]*op.Scale, op.Height, height)
		columns := regionParts(region[0]*op.Scale, region[2]*op.Scale, op.Width, width)
		for channel := range channels {
			first := (int(image)*channels + channel) * height * width
			for i, ys := range rows {
				for j, xs := range columns {
					most := math.Inf(-1)
					for y := ys[0]; y < ys[1]; y++ {
						for x0 := xs[0]; x0 < xs[1]; x0++ {
							most = max(most, x.f[first+y*width+x0])
						}
					}
					if ys[0] >= ys[1] || xs[0] >= xs[1] {
						most = 0
					}
					out.f[((n*channels+channel)*op.Height+i)*op.Width+j] = most
				}
			}
		}
	}
	return out, nil
}

// regionParts returns the first element of each part of a region, and the one after
// its last.
func regionParts(from, to float64, parts, n int) [][2]int {
	first, last := int(math.Round(from)), int(math.Round(to))
	length := max(last-first+1, 1)
	out := make([][2]int, parts)
	for p := range out {
		begin, end := first+p*length/parts, first+((p+1)*length+parts-1)/parts
		out[p] = [2]int{min(max(begin, 0), n), min(max(end, 0), n)}
	}
	return out
}

// pad adds elements around x, or drops some.
func pad(op graph.Pad, c call) (array, error) {
	x := c.args[0]
	before, err := op.Before.Eval(c.sizes)
	if err != nil {
		return array{}, err
	}
	after, err := op.After.Eval(c.sizes)
	if err != nil {
		return array{}, err
	}
	shape := c.shapes[0]
	out := newArray(x.kind, shape)
	if len(c.args) == 2 {
		one := c.args[1]
		out.place(one, func(yield func(i, at int) bool) {
			for i := range out.len() {
				if !yield(i, 0) {
					return
				}
			}
		})
	}
	from := whole(x.shape)
	sources := make([][]int, len(shape)) // by axis and position: the position in x, times its stride
	for axis, n := range shape {
		sources[axis] = make([]int, n)
		for i := range sources[axis] {
			at := graph.PadSource(op.Mode, i, before[axis], after[axis], x.shape[axis])
			if sources[axis][i] = -1; at >= 0 {
				sources[axis][i] = at * from.stride[axis]
			}
		}
	}
	out.place(x, padded(sources, shape))
	return out, nil
}

// padded yields the positions of a padded array that come from x.
func padded(sources [][]int, shape []int) func(yield func(i, at int) bool) {
	return func(yield func(i, at int) bool) {
		n, _ := format.Elements(shape)
		index := make([]int, len(shape))
		for i := range n {
			at := 0
			for axis, p := range index {
				if sources[axis][p] < 0 {
					at = -1
					break
				}
				at += sources[axis][p]
			}
			if at >= 0 && !yield(i, at) {
				return
			}
			for axis := len(index) - 1; axis >= 0; axis-- {
				if index[axis]++; index[axis] < shape[axis] {
					break
				}
				index[axis] = 0
			}
		}
	}
}
