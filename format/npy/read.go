package npy

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/attnx/attnx/format"
)

// Read reads a .npy file of size bytes. Elements are returned row by row and
// little-endian, whatever the order in the file.
//
// void is the type of elements that numpy has no number type for: bfloat16 and
// the types of one byte are saved as V2 and V1, without their names. Where it is
// format.Invalid, or has another size, such an array is refused.
//
// Errors say what to do, and do not name the file.
func Read(r io.Reader, size int64, void format.DType) (format.Tensor, error) {
	return read(r, size, void, nil)
}

// Check refuses an array before its elements are read.
type Check func(shape []int) error

func read(r io.Reader, size int64, void format.DType, check Check) (format.Tensor, error) {
	h, err := readHeader(r)
	if err != nil {
		return format.Tensor{}, err
	}
	if h.void {
		if void.Size() != h.size {
			return format.Tensor{}, fmt.Errorf("its elements are %d bytes of no type that numpy names: convert the array with astype", h.size)
		}
		h.dtype = void
	}
	n, ok := format.Elements(h.shape)
	left := size - int64(h.length)
	switch {
	case !ok || int64(n) > max(left, 0)/int64(h.size):
		return format.Tensor{}, fmt.Errorf("its shape %v takes more than the %d bytes that are there: the file is cut short; save the array again", h.shape, max(left, 0))
	case int64(n)*int64(h.size) != left:
		return format.Tensor{}, fmt.Errorf("%d bytes follow the elements of shape %v: save the array again", left-int64(n)*int64(h.size), h.shape)
	}
	if check != nil {
		if err := check(h.shape); err != nil {
			return format.Tensor{}, err
		}
	}
	data := make([]byte, n*h.size)
	if _, err := io.ReadFull(r, data); err != nil {
		return format.Tensor{}, cut(err)
	}
	if h.swapped {
		swap(data, h.size)
	}
	if h.fortran {
		data = transposed(data, h.shape, h.size)
	}
	if h.dtype == format.Bool {
		for i, b := range data {
			if b > 1 {
				return format.Tensor{}, fmt.Errorf("element %d of type bool is the byte %d: save the array again", i, b)
			}
		}
	}
	return format.Tensor{DType: h.dtype, Shape: h.shape, Data: data}, nil
}

// ReadFile reads a .npy file: see Read. check sees its shape before memory is taken for
// its elements; nil: any shape is read.
func ReadFile(path string, void format.DType, check Check) (format.Tensor, error) {
	info, err := os.Stat(path) // before opening: opening a pipe would block
	if err != nil {
		return format.Tensor{}, err
	}
	if !info.Mode().IsRegular() {
		return format.Tensor{}, fmt.Errorf("%s: it is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return format.Tensor{}, err
	}
	defer f.Close()
	t, err := read(bufio.NewReader(f), info.Size(), void, check)
	if err != nil {
		return t, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// swap reverses the bytes of every element.
func swap(data []byte, size int) {
	for i := 0; i < len(data); i += size {
		for a, b := i, i+size-1; a < b; a, b = a+1, b-1 {
			data[a], data[b] = data[b], data[a]
		}
	}
}

// transposed returns elements whose first dimension varied fastest in the order
// in which the last one does.
func transposed(data []byte, shape []int, size int) []byte {
	if len(shape) < 2 || len(data) == 0 {
		return data
	}
	steps := make([]int, len(shape)) // bytes in the file from one index to the next
	for i, step := 0, size; i < len(shape); i++ {
		steps[i] = step
		step *= shape[i]
	}
	out := make([]byte, 0, len(data))
	index := make([]int, len(shape))
	for at := 0; len(out) < len(data); {
		out = append(out, data[at:at+size]...)
		for axis := len(shape) - 1; axis >= 0; axis-- {
			index[axis]++
			at += steps[axis]
			if index[axis] < shape[axis] {
				break
			}
			at -= steps[axis] * shape[axis]
			index[axis] = 0
		}
	}
	return out
}
