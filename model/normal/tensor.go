package normal

import (
	"github.com/attnx/attnx/format"
)

// moveLimit bounds the elements of a constant that a move of elements makes.
// Moving a weight makes as many elements as it has, so this only bounds the rest.
const moveLimit = 1 << 24

// gathered returns the tensor of a shape whose element i is x's element at
// offset start + Σ index·step.
func gathered(x format.Tensor, shape, steps []int, start int) (format.Tensor, bool) {
	n, ok := format.Elements(shape)
	size := x.DType.Size()
	if !ok || size == 0 || n > max(moveLimit, x.Elements()) {
		return x, false
	}
	out := format.Tensor{DType: x.DType, Shape: shape, Data: make([]byte, n*size)}
	if n == 0 {
		return out, true
	}
	inner := 1 // elements that lie together
	axes := len(shape)
	for axes > 0 && steps[axes-1] == inner {
		axes--
		inner *= shape[axes]
	}
	index := make([]int, axes)
	at := start
	for to := 0; to < n; to += inner {
		copy(out.Data[to*size:(to+inner)*size], x.Data[at*size:])
		for a := axes - 1; a >= 0; a-- {
			index[a]++
			at += steps[a]
			if index[a] < shape[a] {
				break
			}
			at -= index[a] * steps[a]
			index[a] = 0
		}
	}
	return out, true
}

// steps returns the distance of neighbours along each axis.
func steps(shape []int) []int {
	out := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = step
		step *= shape[i]
	}
	return out
}

func transposed(x format.Tensor, perm []int) (format.Tensor, bool) {
	shape, from := make([]int, len(perm)), make([]int, len(perm))
	own := steps(x.Shape)
	for i, p := range perm {
		shape[i], from[i] = x.Shape[p], own[p]
	}
	return gathered(x, shape, from, 0)
}

func sliced(x format.Tensor, axis, start, limit int) (format.Tensor, bool) {
	shape := append([]int{}, x.Shape...)
	if start < 0 || limit < start || limit > shape[axis] {
		return x, false
	}
	shape[axis] = limit - start
	own := steps(x.Shape)
	return gathered(x, shape, own, start*own[axis])
}

func expanded(x format.Tensor, shape []int) (format.Tensor, bool) {
	from, own := make([]int, len(shape)), steps(x.Shape)
	lead := len(shape) - len(x.Shape)
	for i := range shape {
		if i >= lead && x.Shape[i-lead] != 1 {
			from[i] = own[i-lead]
		}
	}
	return gathered(x, shape, from, 0)
}

func joined(all []format.Tensor, axis int) (format.Tensor, bool) {
	shape := append([]int{}, all[0].Shape...)
	shape[axis] = 0
	for _, x := range all {
		shape[axis] += x.Shape[axis]
	}
	n, ok := format.Elements(shape)
	if !ok || n > moveLimit {
		return all[0], false
	}
	outer, _ := format.Elements(shape[:axis])
	out := format.Tensor{DType: all[0].DType, Shape: shape, Data: make([]byte, 0, n*all[0].DType.Size())}
	for i := range outer {
		for _, x := range all {
			row := len(x.Data) / max(outer, 1)
			out.Data = append(out.Data, x.Data[i*row:(i+1)*row]...)
		}
	}
	return out, true
}

// counting returns the first number of consecutive int64 elements; ok is false
// if they are not consecutive.
func counting(x format.Tensor) (first, count int, ok bool) {
	v, err := x.Int64s()
	if err != nil || len(v) < 2 {
		return 0, 0, false
	}
	for i := range v {
		if v[i] != v[0]+int64(i) {
			return 0, 0, false
		}
	}
	return int(v[0]), len(v), true
}
