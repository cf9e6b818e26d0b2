package decode

import (
	"fmt"
	"unsafe"

	"github.com/attnx/attnx/runtime"
)

// numbers is a device's memory as int64s that the processor writes.
type numbers struct {
	memory runtime.Memory
	values []int64 // the memory itself if the processor can write it, otherwise a copy
	bytes  []byte  // the copy as bytes; nil if nothing needs sending
}

func newNumbers(d runtime.Device, n int) (numbers, error) {
	m, err := d.Alloc(8 * n)
	if err != nil {
		return numbers{}, err
	}
	if b := m.Bytes(); b != nil {
		values, err := elementsOf[int64](b, n)
		return numbers{memory: m, values: values}, err
	}
	values := make([]int64, n)
	return numbers{memory: m, values: values, bytes: bytesOf(values)}, nil
}

// send copies values[from:to] to the device.
func (n *numbers) send(d runtime.Device, from, to int) error {
	if n.bytes == nil {
		return nil
	}
	return d.Write(n.memory, 8*from, n.bytes[8*from:8*to])
}

// elementsOf returns the first n elements of a device's memory, without a copy:
// devices use the machine's byte order.
func elementsOf[T int64 | float32](b []byte, n int) ([]T, error) {
	size := int(unsafe.Sizeof(T(0)))
	if at := uintptr(unsafe.Pointer(unsafe.SliceData(b))); len(b) < n*size || at%uintptr(size) != 0 {
		return nil, fmt.Errorf("the device gave %d bytes at %#x, want %d at a multiple of %d", len(b), at, n*size, size)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n), nil
}

// bytesOf returns the bytes of v, in place.
func bytesOf[T int64 | float32](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(T(0))))
}
