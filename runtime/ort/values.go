//go:build cgo

package ort

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime/declared"
)

// value is a tensor that ONNX Runtime reads or writes, with its Go memory. ONNX
// Runtime keeps the memory's address until destroy, and pins fixes it until
// then, as cgo requires. A Pinner that becomes unreachable while it pins ends
// the process. So the owner of a value that outlives a call is watched (package
// leak), and the watch keeps the value.
type value struct {
	ort   ort.Value
	dtype format.DType
	shape []int
	data  []byte // nil for a scalar, whose memory the binding does not expose
	pins  goruntime.Pinner
}

// newValue returns a value over data, the bytes of a tensor that passed Check.
func newValue(dtype format.DType, shape []int, data []byte) (*value, error) {
	v := &value{dtype: dtype, shape: slices.Clone(shape), data: data}
	if len(data) > 0 && uintptr(unsafe.Pointer(&data[0]))%uintptr(dtype.Size()) != 0 {
		v.data = slices.Concat(data) // ONNX Runtime requires aligned elements
	}
	if dtype == format.Bool {
		for i, b := range data {
			if b > 1 { // other values are undefined behaviour in C++
				return nil, fmt.Errorf("element %d is the byte %d, a bool is 0 or 1", i, b)
			}
		}
	}
	var err error
	if len(shape) == 0 {
		// The binding refuses a tensor without dimensions. It has scalars instead, for
		// the types that Go has.
		e := elementOf(dtype)
		if e.scalar == nil {
			return nil, fmt.Errorf("a scalar of type %s is not supported; give it the shape [1]", dtype)
		}
		v.ort, err = e.scalar(v.data)
		v.data = nil
		return v, err
	}
	memory := v.data
	if len(memory) == 0 {
		memory = make([]byte, 8) // the binding refuses an empty slice, though an empty tensor is valid
	}
	v.pins.Pin(&memory[0])
	v.ort, err = ort.NewCustomDataTensor(dimensions(shape), memory, elementNumber(dtype))
	if err != nil {
		v.pins.Unpin()
		return nil, errors.New(oneLine(err))
	}
	return v, nil
}

// keep wraps a tensor that the binding allocated.
func keep(t ort.Value, dtype format.DType) (*value, error) {
	v := &value{ort: t, dtype: dtype}
	for _, d := range t.GetShape() {
		v.shape = append(v.shape, int(d))
	}
	e := elementOf(dtype)
	if e.tensor == nil {
		return v, fmt.Errorf("its type %s is not supported", dtype)
	}
	var ok bool
	if v.data, ok = e.tensor(t); !ok {
		return v, fmt.Errorf("the model declares %s and gives %T", dtype, t)
	}
	if len(v.data) > 0 {
		v.pins.Pin(&v.data[0])
	}
	return v, nil
}

// tensor returns v's current contents: v's own memory, or a copy of a scalar.
func (v *value) tensor(name string) format.Tensor {
	data := v.data
	if len(v.shape) == 0 {
		data = elementOf(v.dtype).read(v.ort)
	}
	return format.Tensor{Name: name, DType: v.dtype, Shape: slices.Clone(v.shape), Data: data}
}

// destroy frees ONNX Runtime's part. The garbage collector frees the memory.
func (v *value) destroy() {
	if v == nil {
		return
	}
	v.ort.Destroy() // always nil: it releases a handle
	v.pins.Unpin()
}

// element holds the binding's functions for one element type. The binding has
// one Go type per element type.
type element struct {
	scalar func([]byte) (ort.Value, error) // creates a scalar with a copy of the bytes
	read   func(ort.Value) []byte          // returns a copy of a scalar's bytes
	tensor func(ort.Value) ([]byte, bool)  // returns the memory of an allocated tensor; false if it has another type
}

// elementOf returns the functions for a type. They are nil for Float16 and
// BFloat16: the binding supports these only in tensors prepared by the caller,
// and loses half of the bytes when it copies an allocated one.
func elementOf(d format.DType) element {
	switch d {
	case format.Float32:
		return elementAs[float32]()
	case format.Float64:
		return elementAs[float64]()
	case format.Int64:
		return elementAs[int64]()
	case format.Int32:
		return elementAs[int32]()
	case format.Int16:
		return elementAs[int16]()
	case format.Int8:
		return elementAs[int8]()
	case format.Uint64:
		return elementAs[uint64]()
	case format.Uint32:
		return elementAs[uint32]()
	case format.Uint16:
		return elementAs[uint16]()
	case format.Uint8:
		return elementAs[uint8]()
	case format.Bool:
		return elementAs[bool]()
	}
	return element{}
}

func elementAs[T ort.TensorData]() element {
	return element{
		scalar: func(b []byte) (ort.Value, error) { return ort.NewScalar(*(*T)(unsafe.Pointer(&b[0]))) },
		read:   func(v ort.Value) []byte { return bytesOf([]T{v.(*ort.Scalar[T]).GetData()}) },
		tensor: func(v ort.Value) ([]byte, bool) {
			t, ok := v.(*ort.Tensor[T])
			if !ok {
				return nil, false
			}
			return bytesOf(t.GetData()), true
		},
	}
}

// bytesOf returns the memory of v as bytes.
func bytesOf[T ort.TensorData](v []T) []byte {
	if len(v) == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

func dimensions(shape []int) ort.Shape {
	s := make(ort.Shape, len(shape))
	for i, d := range shape {
		s[i] = int64(d)
	}
	return s
}

// elementNumber is the number of a type in ONNX Runtime's C API.
func elementNumber(d format.DType) ort.TensorElementDataType {
	return ort.TensorElementDataType(slices.Index(declared.ElementTypes[:], d))
}
