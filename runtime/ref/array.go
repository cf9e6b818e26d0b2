package ref

import (
	"fmt"
	"iter"

	"github.com/attnx/attnx/format"
)

// kind selects the slice of an array that is in use.
type kind uint8

const (
	floats kind = iota
	ints
	bools
)

// kindOf returns the oracle's representation of elements of type t.
func kindOf(t format.DType) (k kind, ok bool) {
	switch {
	case t.Float():
		return floats, true
	case t == format.Bool:
		return bools, true
	}
	bits, _ := t.Integer()
	return ints, bits > 0
}

// bytes returns the size of one element.
func (k kind) bytes() int {
	if k == bools {
		return 1
	}
	return 8
}

// array is a row-major block of numbers. It does not change once its operator
// has returned it, so operators that move nothing share it.
//
// Integers of every type are stored as int64: narrower types by value, UINT64 by
// its bits. An operator may return values outside its result's type; settle
// wraps them.
type array struct {
	shape []int
	kind  kind
	dtype format.DType // element type of the value, set by settle
	f     []float64
	i     []int64
	b     []bool

	// A weight that is a float32 matrix is kept as it is, in place of f, for the
	// operators that read it as it is (kernel.narrow): float64 copies of all weights
	// would take twice the memory of the model.
	s      []float32
	turned bool // the elements are those of the transposed matrix
}

// settle returns a as a value of element type t. Integers are wrapped to its
// bits, as in ONNX and NumPy.
func (a array) settle(t format.DType) array {
	bits, signed := t.Integer()
	if a.dtype != t && a.kind == ints && bits > 0 && bits < 64 {
		for i, x := range a.i {
			if signed {
				a.i[i] = x << (64 - bits) >> (64 - bits)
			} else {
				a.i[i] = x & (1<<bits - 1)
			}
		}
	}
	a.dtype = t
	return a
}

// unsigned reports whether the elements are the bits of UINT64.
func (a array) unsigned() bool { return a.dtype == format.Uint64 }

// wide returns a with its elements in f, row by row.
func (a array) wide() array {
	if a.s != nil {
		a.f = make([]float64, len(a.s))
		for i, x := range a.s {
			a.f[i] = float64(x)
		}
		a.s = nil
	}
	if a.turned {
		a.turned = false
		shape := a.shape
		a.shape = []int{shape[1], shape[0]}
		a.f = transposed(a, true).f
		a.shape = shape
	}
	return a
}

// newArray returns an array of zeros. The caller has checked its size.
func newArray(k kind, shape []int) array {
	n, _ := format.Elements(shape)
	a := array{shape: shape, kind: k}
	switch k {
	case floats:
		a.f = make([]float64, n)
	case ints:
		a.i = make([]int64, n)
	case bools:
		a.b = make([]bool, n)
	}
	return a
}

func (a array) len() int {
	n, _ := format.Elements(a.shape)
	return n
}

// place sets element i of a to element at of x for every pair (i, at). Both
// have the same kind. Every move of elements uses it.
func (a array) place(x array, pairs iter.Seq2[int, int]) {
	switch a.kind {
	case floats:
		place(a.f, x.f, pairs)
	case ints:
		place(a.i, x.i, pairs)
	case bools:
		place(a.b, x.b, pairs)
	}
}

func place[T any](to, from []T, pairs iter.Seq2[int, int]) {
	for i, at := range pairs {
		to[i] = from[at]
	}
}

// fromTensor converts the elements of t to the oracle's representation of type
// want.
func fromTensor(t format.Tensor, want format.DType) (array, error) {
	k, ok := kindOf(want)
	if !ok || t.DType != want && !(k == floats && t.DType.Float()) {
		return array{}, fmt.Errorf("is %s, expects %s", t.DType, want)
	}
	if err := t.Check(); err != nil {
		return array{}, err
	}
	a := array{shape: t.Shape, kind: k, dtype: want}
	var err error
	switch k {
	case floats:
		a.f, err = t.AsFloat64s()
	case ints:
		a.i, err = integers(t)
	case bools:
		a.b = make([]bool, len(t.Data))
		for i, x := range t.Data {
			a.b[i] = x != 0
		}
	}
	return a, err
}

// narrowFrom returns a float32 matrix without a copy; ok is false if t is none.
func narrowFrom(t format.Tensor, want format.DType) (a array, ok bool) {
	if t.DType != format.Float32 || !want.Float() || len(t.Shape) != 2 || t.Check() != nil {
		return array{}, false
	}
	s, err := t.Float32s()
	return array{shape: t.Shape, kind: floats, dtype: want, s: s}, err == nil && len(s) > 0
}

// integers returns the elements of an integer tensor. It shares memory if they
// are int64.
func integers(t format.Tensor) ([]int64, error) {
	bits, signed := t.DType.Integer()
	switch t.DType {
	case format.Int64:
		return t.Int64s()
	case format.Uint64:
		t.DType = format.Int64
		return t.Int64s()
	}
	out, size := make([]int64, t.Elements()), t.DType.Size()
	for i := range out {
		var x uint64
		for j := range size {
			x |= uint64(t.Data[i*size+j]) << (8 * j)
		}
		x <<= 64 - bits
		out[i] = int64(x) >> (64 - bits)
		if !signed {
			out[i] = int64(x >> (64 - bits))
		}
	}
	return out, nil
}

// integerTensor converts integers to their own element type.
func (a array) integerTensor(name string) format.Tensor {
	dtype := a.dtype
	if dtype == format.Invalid || dtype == format.Int64 {
		return format.FromInt64s(name, a.shape, a.i)
	}
	size := dtype.Size()
	data := make([]byte, len(a.i)*size)
	for i, x := range a.i {
		for j := range size {
			data[i*size+j] = byte(x >> (8 * j))
		}
	}
	return format.Tensor{Name: name, DType: dtype, Shape: a.shape, Data: data}
}

// tensor returns a as F64, BOOL or its own integer type. The result may share
// a's memory.
func (a array) tensor(name string) format.Tensor {
	switch a.kind {
	case ints:
		return a.integerTensor(name)
	case bools:
		data := make([]byte, len(a.b))
		for i, x := range a.b {
			if x {
				data[i] = 1
			}
		}
		return format.Tensor{Name: name, DType: format.Bool, Shape: a.shape, Data: data}
	}
	return format.FromFloat64s(name, a.shape, a.f)
}

// view is a way to walk an array: the element at index (i, j, ...) of shape
// is at start + i·stride[0] + j·stride[1] + ...
type view struct {
	shape, stride []int
	start         int
}

// whole walks an array of the given shape in its own order.
func whole(shape []int) view {
	v := view{shape: shape, stride: make([]int, len(shape))}
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		v.stride[i] = step
		step *= shape[i]
	}
	return v
}

// spread walks an array of shape from as if it were broadcast to shape into:
// the position does not move along an axis that is missing or has size 1.
func spread(from, into []int) view {
	own := whole(from)
	v := view{shape: into, stride: make([]int, len(into))}
	for i, n := range from {
		if n != 1 {
			v.stride[len(into)-len(from)+i] = own.stride[i]
		}
	}
	return v
}

// all yields (0, index of the first element), (1, index of the second), ...
func (v view) all() iter.Seq2[int, int] {
	n, _ := format.Elements(v.shape)
	return v.part(0, n)
}

// part is all, for the elements from first to last-1.
func (v view) part(first, last int) iter.Seq2[int, int] {
	return func(yield func(i, at int) bool) {
		if first >= last {
			return
		}
		index := position(first, v.shape)
		at := v.start
		for axis, x := range index {
			at += x * v.stride[axis]
		}
		for i := first; i < last; i++ {
			if !yield(i, at) {
				return
			}
			for axis := len(index) - 1; axis >= 0; axis-- {
				index[axis]++
				at += v.stride[axis]
				if index[axis] < v.shape[axis] {
					break
				}
				at -= index[axis] * v.stride[axis]
				index[axis] = 0
			}
		}
	}
}

// lines calls f for every line along the last axis, on all processors: n elements from
// number i on, which are at at, at+step and so on.
func (v view) lines(f func(i, at, n, step int)) {
	all, _ := format.Elements(v.shape)
	n, step, last := 1, 1, max(0, len(v.shape)-1)
	if len(v.shape) > 0 {
		n, step = v.shape[last], v.stride[last]
	}
	if all == 0 {
		return
	}
	outer := view{shape: v.shape[:last], stride: v.stride[:last], start: v.start}
	inParts(all/n, n, func(from, to int) {
		for i, at := range outer.part(from, to) {
			f(i*n, at, n, step)
		}
	})
}

// pickLines sets to to the elements of from that v walks over.
func pickLines[T any](to, from []T, v view) {
	v.lines(func(i, at, n, step int) {
		if step == 1 {
			copy(to[i:i+n], from[at:])
			return
		}
		for j := range to[i : i+n] {
			to[i+j] = from[at+j*step]
		}
	})
}

// putLines sets the elements of to that v walks over to from.
func putLines[T any](to, from []T, v view) {
	v.lines(func(i, at, n, step int) {
		if step == 1 {
			copy(to[at:], from[i:i+n])
			return
		}
		for j, x := range from[i : i+n] {
			to[at+j*step] = x
		}
	})
}

// position returns the index of element i of an array of the given shape.
func position(i int, shape []int) []int {
	p := make([]int, len(shape))
	for axis := len(shape) - 1; axis >= 0; axis-- {
		p[axis] = i % shape[axis]
		i /= shape[axis]
	}
	return p
}
