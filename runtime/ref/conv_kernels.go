package ref

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// convKernels compute convolutions and their transposes.
var convKernels = []kernel{
	certain(func(op graph.Conv, c call) array {
		x, w, y := c.args[0], c.args[1], c.shapes[0]
		slide := newWindows(x.shape[2:], y[2:], w.shape[2:], op.Strides, op.Pads, op.Dilations)
		plane, channels := slide.plane(), w.shape[1]
		return convolve(c.args, op.Group, y, func(image, group int) packer {
			return slide.columns(x.f[(image*x.shape[1]+group*channels)*plane:][:channels*plane])
		})
	}),
	certain(convTranspose),
	certain(deformConv),
	certain(func(op graph.Col2Im, c call) array {
		x, y := c.args[0], newArray(floats, c.shapes[0])
		slide := newWindows(y.shape[2:], blocks(op, y.shape[2:]), op.Block, op.Strides, op.Pads, op.Dilations)
		plane, places := slide.plane(), slide.places()
		parallel(y.shape[0]*y.shape[1], func(i int) {
			slide.scatter(y.f[i*plane:][:plane], x.f[i*len(slide.taps)*places:], 0, places)
		})
		return y
	}),
}

// convolve multiplies weights (M,C/groups,kernel...), the second argument, with the
// columns of windows, and adds the bias (M), the third argument, if there is one.
func convolve(args []array, groups int, shape []int, columns func(image, group int) packer) array {
	w, out := args[1], newArray(floats, shape)
	places, _ := format.Elements(shape[2:])
	if len(out.f) == 0 {
		return out
	}
	m := shape[1] / groups
	k := len(w.f) / shape[1]
	each, tileOf := tiles(m, places)
	parallel(shape[0]*groups*each, func(i int) {
		image, group, t := i/each/groups, i/each%groups, tileOf(i%each)
		first := image*shape[1] + group*m
		z := out.f[first*places:][:m*places]
		if len(args) == 3 {
			for r := t.top; r < t.bottom; r++ {
				fill(z[r*places+t.left:r*places+t.right], args[2].f[group*m+r])
			}
		}
		addTile(t, z, places, w.f[group*m*k:][:m*k], k, columns(image, group))
	})
	return out
}

// scatter adds the rows, one per element of a window, to the elements of a channel
// that windows j0 to j1 cover.
func (w windows) scatter(channel, rows []float64, j0, j1 int) {
	n := j1 - j0
	for t, tap := range w.taps {
		row := rows[t*n:][:n]
		w.runs(tap, j0, j1, func(j, count, at, step int) {
			for _, v := range row[j-j0 : j-j0+count] {
				channel[at] += v
				at += step
			}
		})
	}
}

// convTranspose adds every element times the weights to its window. The product of
// the transposed weights with the elements gives the windows.
func convTranspose(op graph.ConvTranspose, c call) array {
	x, w, y := c.args[0], c.args[1], newArray(floats, c.shapes[0])
	if len(y.f) == 0 {
		return y
	}
	slide := newWindows(y.shape[2:], x.shape[2:], w.shape[2:], op.Strides, op.Pads, op.Dilations)
	plane, places, taps := slide.plane(), slide.places(), len(slide.taps)
	inputs, outputs := w.shape[0]/op.Group, w.shape[1] // of a group
	turned := make([]array, op.Group)                  // (M/G·taps,C/G)
	for g := range turned {
		part := w.f[g*inputs*outputs*taps:][:inputs*outputs*taps]
		turned[g] = transposed(array{shape: []int{inputs, outputs * taps}, kind: floats, f: part}, true)
	}
	step := max(1, tileRows/taps) // channels per step
	steps := (outputs + step - 1) / step
	parallel(x.shape[0]*op.Group*steps, func(i int) {
		image, group, first := i/steps/op.Group, i/steps%op.Group, i%steps*step
		count := min(step, outputs-first)
		from := x.f[(image*x.shape[1]+group*inputs)*places:][:inputs*places]
		rows := make([]float64, count*taps*packWidth)
		for j := 0; j < places; j += packWidth {
			n := min(packWidth, places-j)
			z := rows[:count*taps*n]
			clear(z)
			all := rowsOf(from, places)
			addTile(tile{0, count * taps, 0, n}, z, n, turned[group].f[first*taps*inputs:], inputs, func(to []float64, k0, k1, j0, j1 int) {
				all(to, k0, k1, j+j0, j+j1)
			})
			for m := range count {
				slide.scatter(y.f[(image*y.shape[1]+group*outputs+first+m)*plane:][:plane], z[m*taps*n:], j, j+n)
			}
		}
	})
	if len(c.args) == 3 {
		for i := range y.f {
			y.f[i] += c.args[2].f[i/plane%y.shape[1]]
		}
	}
	return y
}

// blocks returns the number of blocks of a Col2Im along each dimension of the
// image.
func blocks(op graph.Col2Im, image []int) []int {
	out := make([]int, len(image))
	for i, n := range image {
		room := n + op.Pads[i] + op.Pads[len(image)+i] - op.Dilations[i]*(op.Block[i]-1) - 1
		out[i] = room/op.Strides[i] + 1
	}
	return out
}

// deformConv is a convolution that reads its windows between the elements.
func deformConv(op graph.DeformConv, c call) array {
	return deformed(op, c, c.args[1], bilinear)
}

// deformed is deformConv with the given weights and a function of each sampled point in
// the place of its value.
func deformed(op graph.DeformConv, c call, w array, point func(image []float64, height, width int, row, column float64) float64) array {
	x, offset, y := c.args[0], c.args[2], c.shapes[0]
	slide := newWindows(x.shape[2:], y[2:], w.shape[2:], op.Strides, op.Pads, op.Dilations)
	plane, places, taps, channels := slide.plane(), slide.places(), len(slide.taps), w.shape[1]
	width := x.shape[1] / op.OffsetGroup // channels with the same offsets
	return convolve([]array{x, w}, op.Group, y, func(image, group int) packer {
		return func(to []float64, k0, k1, j0, j1 int) {
			for k := k0; k < k1; k++ {
				channel, tap := group*channels+k/taps, k%taps
				from := x.f[(image*x.shape[1]+channel)*plane:][:plane]
				at := (image*op.OffsetGroup+channel/width)*taps + tap
				for j := j0; j < j1; j++ {
					row := j/y[3]*op.Strides[0] + slide.taps[tap][0]
					column := j%y[3]*op.Strides[1] + slide.taps[tap][1]
					v := point(from, x.shape[2], x.shape[3], float64(row)+offset.f[2*at*places+j], float64(column)+offset.f[(2*at+1)*places+j])
					if len(c.args) == 4 {
						v *= c.args[3].f[at*places+j]
					}
					to[(j-j0)/panelWidth*(k1-k0)*panelWidth+(k-k0)*panelWidth+(j-j0)%panelWidth] = v
				}
			}
		}
	})
}

// bilinear interpolates between the four elements around a point. Beyond the
// image is zero.
func bilinear(image []float64, height, width int, row, column float64) float64 {
	if !(row > -1 && row < float64(height) && column > -1 && column < float64(width)) {
		return 0
	}
	top, left := math.Floor(row), math.Floor(column)
	down, right := row-top, column-left
	at := func(i, j int) float64 {
		if i < 0 || i >= height || j < 0 || j >= width {
			return 0
		}
		return image[i*width+j]
	}
	i, j := int(top), int(left)
	return (1-down)*((1-right)*at(i, j)+right*at(i, j+1)) + down*((1-right)*at(i+1, j)+right*at(i+1, j+1))
}
