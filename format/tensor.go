package format

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unsafe"
)

// Tensor is a named block of numbers: row-major, little-endian.
type Tensor struct {
	Name  string
	DType DType
	Shape []int  // empty for a scalar
	Data  []byte // Elements() * DType.Size() bytes
}

// Elements returns the number of elements that shape declares; ok is false
// when a dimension is negative or the product does not fit in an int.
func Elements(shape []int) (n int, ok bool) {
	n = 1
	empty := false
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			empty = true
			continue // later dimensions may be negative
		}
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		n = int(lo)
	}
	if empty {
		return 0, true
	}
	return n, true
}

// Elements returns the number of elements. The tensor must have passed Check.
func (t Tensor) Elements() int {
	n, _ := Elements(t.Shape)
	return n
}

// Check checks that the shape, the element type and the length of the data
// agree.
func (t Tensor) Check() error {
	n, ok := Elements(t.Shape)
	size := t.DType.Size()
	switch {
	case size == 0:
		return fmt.Errorf("tensor %.80q: unknown element type %s", t.Name, t.DType)
	case !ok || n > math.MaxInt/size:
		return fmt.Errorf("tensor %.80q: shape %v is negative or too large", t.Name, t.Shape)
	case n*size != len(t.Data):
		return fmt.Errorf("tensor %.80q: %s%v expects %d bytes, has %d", t.Name, t.DType, t.Shape, n*size, len(t.Data))
	}
	return nil
}

// Info describes t.
func (t Tensor) Info() TensorInfo {
	return TensorInfo{Name: t.Name, DType: t.DType, Shape: t.Shape}
}

// WithName returns t under another name; the data is shared.
func (t Tensor) WithName(name string) Tensor {
	t.Name = name
	return t
}

// number is an element type whose bytes in Go memory, on a little-endian
// machine, are its bytes in a file.
type number interface {
	~float32 | ~float64 | ~int64 | ~int32 | ~uint8
}

// littleEndian allows viewing a slice of numbers as file bytes. On a
// big-endian machine the constructors and views below convert instead.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func from[T number](name string, dtype DType, shape []int, v []T) Tensor {
	size := dtype.Size()
	t := Tensor{Name: name, DType: dtype, Shape: shape}
	if len(v) == 0 {
		t.Data = []byte{}
		return t
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*size)
	if !littleEndian {
		b = swapped(b, size)
	}
	t.Data = b
	return t
}

func view[T number](t Tensor, dtype DType) ([]T, error) {
	if t.DType != dtype {
		return nil, fmt.Errorf("tensor %.80q holds %s, not %s", t.Name, t.DType, dtype)
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	n, size := t.Elements(), dtype.Size()
	if n == 0 {
		return []T{}, nil
	}
	b := t.Data
	if !littleEndian {
		b = swapped(b, size)
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%uintptr(size) != 0 {
		v := make([]T, n)
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), n*size), b)
		return v, nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n), nil
}

// swapped returns a copy of b with the bytes of every element reversed.
func swapped(b []byte, size int) []byte {
	s := make([]byte, len(b))
	for i := 0; i < len(b); i += size {
		for j := range size {
			s[i+j] = b[i+size-1-j]
		}
	}
	return s
}

// FromFloat32s returns a tensor that shares the memory of v.
func FromFloat32s(name string, shape []int, v []float32) Tensor {
	return from(name, Float32, shape, v)
}

// FromFloat64s returns a tensor that shares the memory of v.
func FromFloat64s(name string, shape []int, v []float64) Tensor {
	return from(name, Float64, shape, v)
}

// FromInt64s returns a tensor that shares the memory of v.
func FromInt64s(name string, shape []int, v []int64) Tensor { return from(name, Int64, shape, v) }

// FromUint8s returns a tensor that shares the memory of v.
func FromUint8s(name string, shape []int, v []byte) Tensor { return from(name, Uint8, shape, v) }

// Float32s returns the elements of a Float32 tensor. It shares memory if the
// data are aligned, and copies otherwise.
func (t Tensor) Float32s() ([]float32, error) { return view[float32](t, Float32) }

// Float64s returns the elements of a Float64 tensor. It shares memory if the
// data are aligned, and copies otherwise.
func (t Tensor) Float64s() ([]float64, error) { return view[float64](t, Float64) }

// Int64s returns the elements of an Int64 tensor. It shares memory if the data
// are aligned, and copies otherwise.
func (t Tensor) Int64s() ([]int64, error) { return view[int64](t, Int64) }
