package ref

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// gridSample samples x (N,C,sizes) at the coordinates of a grid (N,sizes,number
// of sizes).
func gridSample(op graph.GridSample, c call) array {
	return gridSampled(op, c, func(weight, x float64) float64 { return weight * x })
}

// gridSampled adds up a function of the weights and elements in the place of their
// products.
func gridSampled(op graph.GridSample, c call, term func(weight, x float64) float64) array {
	x, grid := c.args[0], c.args[1]
	axes := len(x.shape) - 2
	sizes := x.shape[2:]
	channels := x.shape[1]
	image, _ := format.Elements(sizes)
	points, _ := format.Elements(c.shapes[0][2:])
	stride := whole(sizes).stride
	out := newArray(floats, c.shapes[0])
	if image == 0 {
		return out
	}
	parallel(x.shape[0]*points, func(i int) {
		batch, point := i/points, i%points
		taps := []tap{{0, 1}} // positions in an image, with their weights
		for axis, n := range sizes {
			coordinate := grid.f[(batch*points+point)*axes+axes-1-axis]
			var next []tap
			for _, t := range gridTaps(op, coordinate, n) {
				for _, before := range taps {
					next = append(next, tap{before.at + t.at*stride[axis], before.weight * t.weight})
				}
			}
			taps = next
		}
		for channel := range channels {
			first := (batch*channels + channel) * image
			sum := 0.0
			for _, t := range taps {
				sum += term(t.weight, x.f[first+t.at])
			}
			out.f[(batch*channels+channel)*points+point] = sum
		}
	})
	return out
}

// gridTaps returns the elements of an axis of n for a coordinate from -1 to 1.
func gridTaps(op graph.GridSample, coordinate float64, n int) []tap {
	size := float64(n)
	x, least, most := ((coordinate+1)*size-1)/2, -0.5, size-0.5
	if op.AlignCorners {
		x, least, most = (coordinate+1)/2*(size-1), 0, size-1
	}
	if op.Mode == "nearest" {
		x = math.RoundToEven(x)
	}
	inside := func(v float64) float64 {
		switch op.Padding {
		case "border":
			return min(max(v, 0), size-1)
		case "reflection":
			return reflected(v, least, most)
		}
		return v
	}
	if x < least || x > most {
		x = inside(x)
	}
	kernel, reach := hat, 1.0
	switch op.Mode {
	case "nearest":
		reach = 0
		x = math.Trunc(x)
	case "cubic":
		kernel, reach = func(d float64) float64 { return cubic(d, -0.75) }, 2
	}
	if !(x > -4 && x < size+4) {
		return nil
	}
	var taps []tap
	for at := math.Ceil(x - reach); at <= math.Floor(x+reach); at++ {
		w, place := kernel(at-x), at
		if place < 0 || place >= size {
			place = math.Trunc(inside(place))
		}
		if w != 0 && place >= 0 && place < size {
			taps = append(taps, tap{int(place), w})
		}
	}
	return taps
}

// reflected reflects x at the ends of an interval until it is inside.
func reflected(x, least, most float64) float64 {
	length := most - least
	if x >= least && x <= most || !(length > 0) {
		return min(max(x, least), most)
	}
	d := math.Mod(math.Abs(x-least), 2*length)
	if d > length {
		d = 2*length - d
	}
	return least + d
}
