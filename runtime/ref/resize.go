package ref

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// tap is a source element with its weight.
type tap struct {
	at     int
	weight float64
}

// resize resamples x along one axis. from is the size of the axis before resizing, to
// the size after. In the backward direction it adds to the elements that the forward
// direction reads.
func resize(op graph.Resize, c call) (array, error) {
	x := c.args[0]
	from, to := x.shape[op.Axis], c.shapes[0][op.Axis]
	back := !op.Back.Is(0)
	if back {
		from, to = to, from
	}
	inner, _ := format.Elements(x.shape[op.Axis+1:])
	outer, _ := format.Elements(x.shape[:op.Axis])
	out := newArray(x.kind, c.shapes[0])
	if out.len() == 0 || x.len() == 0 {
		return out, nil
	}
	if op.Scale != 0 && !(op.Scale*float64(from) >= 0.25 && op.Scale <= math.MaxInt32) {
		return array{}, fmt.Errorf("a scale of %g for an axis of %d", op.Scale, from)
	}
	taps := make([][]tap, to)
	for i := range taps {
		taps[i] = resizeTaps(op, i, from, to)
	}
	if op.Mode == "nearest" && !back {
		return pickTaps(x, out, taps, op, outer, inner), nil
	}
	parallel(outer, func(o int) {
		for i, all := range taps {
			if len(all) == 0 && !back {
				fill(out.f[(o*to+i)*inner:(o*to+i+1)*inner], op.Fill)
			}
			for _, t := range all {
				into, source := (o*to+i)*inner, (o*from+t.at)*inner
				if back {
					into, source = source, into
				}
				for k := range inner {
					out.f[into+k] += t.weight * x.f[source+k]
				}
			}
		}
	})
	return out, nil
}

// pickTaps copies elements of any type.
func pickTaps(x, out array, taps [][]tap, op graph.Resize, outer, inner int) array {
	from, to := x.shape[op.Axis], out.shape[op.Axis]
	switch out.kind {
	case floats:
		fill(out.f, op.Fill)
	case ints:
		for i := range out.i {
			out.i[i] = int64(op.Fill)
		}
	}
	out.place(x, func(yield func(i, at int) bool) {
		for o := range outer {
			for i, all := range taps {
				for _, t := range all {
					for k := range inner {
						if !yield((o*to+i)*inner+k, (o*from+t.at)*inner+k) {
							return
						}
					}
				}
			}
		}
	})
	return out
}

// original returns the coordinate on an axis of from elements for element i of the
// resized axis, which has to elements.
func original(op graph.Resize, i, from, to int) (x, scale float64) {
	scale = op.Scale
	length := scale * float64(from)
	if scale == 0 {
		scale, length = float64(to)/float64(from), float64(to)
	}
	at, last := float64(i), float64(from-1)
	switch op.Coordinates {
	case "align_corners":
		if length == 1 {
			return 0, scale
		}
		return at * last / (length - 1), scale
	case "asymmetric":
		return at / scale, scale
	case "tf_crop_and_resize":
		if length == 1 {
			return (op.Start + op.End) * last / 2, scale
		}
		return op.Start*last + at*(op.End-op.Start)*last/(length-1), scale
	case "tf_half_pixel_for_nn":
		return (at + 0.5) / scale, scale
	case "pytorch_half_pixel":
		if to == 1 {
			return 0, scale
		}
	case "half_pixel_symmetric":
		offset := float64(from) / 2 * (1 - float64(to)/length)
		return offset + (at+0.5)/scale - 0.5, scale
	}
	return (at+0.5)/scale - 0.5, scale
}

// resizeTaps returns the sources of element i of a resized axis, none if it is
// outside.
func resizeTaps(op graph.Resize, i, from, to int) []tap {
	x, scale := original(op, i, from, to)
	if op.Coordinates == "tf_crop_and_resize" && (x < 0 || x > float64(from-1)) {
		return nil
	}
	if x != x { // the coordinate is NaN
		return nil
	}
	clamp := func(at float64) int { return int(min(max(at, 0), float64(from-1))) }
	kernel, reach := hat, 1.0
	switch op.Mode {
	case "nearest":
		return []tap{{clamp(nearestPlace(x, op.Nearest)), 1}}
	case "cubic":
		kernel, reach = func(d float64) float64 { return cubic(d, op.CubicA) }, 2
	}
	stretch := 1.0
	if op.Antialias {
		stretch = min(scale, 1)
	}
	beyond := reach/stretch + 2 // from there on every tap is the edge element
	x = min(max(x, -beyond), float64(from)+beyond)
	var taps []tap
	sum := 0.0
	for at := math.Ceil(x - reach/stretch); at <= math.Floor(x+reach/stretch); at++ {
		w := kernel((at - x) * stretch)
		if op.ExcludeOutside && (at < 0 || at >= float64(from)) {
			continue
		}
		sum += w
		taps = append(taps, tap{clamp(at), w})
	}
	if !op.Antialias && !op.ExcludeOutside || sum == 0 {
		return taps
	}
	for i := range taps {
		taps[i].weight /= sum
	}
	return taps
}

// nearestPlace rounds a coordinate to an element.
func nearestPlace(x float64, mode string) float64 {
	switch mode {
	case "floor":
		return math.Floor(x)
	case "ceil":
		return math.Ceil(x)
	case "round_prefer_ceil":
		return math.Floor(x + 0.5)
	}
	return math.Ceil(x - 0.5)
}

// hat is the weight of an element at a distance, for linear interpolation.
func hat(d float64) float64 { return max(0, 1-math.Abs(d)) }

// cubic is the weight of Keys's cubic convolution, whose slope at 1 is a.
func cubic(d, a float64) float64 {
	switch d = math.Abs(d); {
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}
