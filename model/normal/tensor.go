package normal

import (
	"encoding/binary"

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
	out := format.Tensor{DType: x.DType, Shape: shape}
	inner := 1 // elements that lie together
	axes := len(shape)
	for axes > 0 && (shape[axes-1] == 1 || steps[axes-1] == inner) {
		axes--
		inner *= shape[axes]
	}
	if axes == 0 && n > 0 { // a part of x: it shares its memory
		out.Data = x.Data[start*size : (start+n)*size : (start+n)*size]
		return out, true
	}
	out.Data = make([]byte, n*size)
	switch {
	case n == 0:
	case inner == 1 && size == 4:
		inBlocks(shape, steps, start, func(i, at int) {
			binary.LittleEndian.PutUint32(out.Data[4*i:], binary.LittleEndian.Uint32(x.Data[4*at:]))
		})
	case inner == 1 && size == 2:
		inBlocks(shape, steps, start, func(i, at int) {
			binary.LittleEndian.PutUint16(out.Data[2*i:], binary.LittleEndian.Uint16(x.Data[2*at:]))
		})
	default:
		each(shape[:axes], steps[:axes], start, func(to, at int) {
			copy(out.Data[to*inner*size:(to+1)*inner*size], x.Data[at*size:])
		})
	}
	return out, true
}

// each calls f with the number and the offset of each element of a view.
func each(shape, steps []int, start int, f func(i, at int)) {
	n, _ := format.Elements(shape)
	index := make([]int, len(shape))
	for i, at := 0, start; i < n; i++ {
		f(i, at)
		for a := len(shape) - 1; a >= 0; a-- {
			index[a]++
			at += steps[a]
			if index[a] < shape[a] {
				break
			}
			at -= index[a] * steps[a]
			index[a] = 0
		}
	}
}

// inBlocks is each in another order. Where the first of the last two axes is the one
// along which the numbers lie in memory, as in a transpose, it goes along both in
// blocks: the lines of a cache hold several numbers.
func inBlocks(shape, steps []int, start int, f func(i, at int)) {
	const block = 16
	last := len(shape) - 1
	if last < 1 {
		each(shape, steps, start, f)
		return
	}
	rows, columns := shape[last-1], shape[last]
	down, along := steps[last-1], steps[last]
	each(shape[:last-1], steps[:last-1], start, func(matrix, at int) {
		first := matrix * rows * columns
		for r0 := 0; r0 < rows; r0 += block {
			for c0 := 0; c0 < columns; c0 += block {
				for c := c0; c < min(c0+block, columns); c++ {
					for r := r0; r < min(r0+block, rows); r++ {
						f(first+r*columns+c, at+r*down+c*along)
					}
				}
			}
		}
	})
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
