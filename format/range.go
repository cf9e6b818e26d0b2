package format

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// RangeError reports that an element of an integer tensor is outside the range
// that its reader accepts, for example an id beyond the vocabulary or a
// position beyond the context.
type RangeError struct {
	Name        string // the tensor's
	Index       []int  // of the element, one number for each dimension
	Got         int64
	First, Last int64 // the accepted range
}

func (e *RangeError) Error() string {
	at := ""
	if len(e.Index) > 0 {
		at = strings.ReplaceAll(fmt.Sprint(e.Index), " ", ",")
	}
	return fmt.Sprintf("%s%s is %d: it must be from %d to %d", e.Name, at, e.Got, e.First, e.Last)
}

// CheckRange returns a *RangeError for the first element of t below first or
// above last, and another error if t is not I64 or I32.
func (t Tensor) CheckRange(first, last int64) error {
	if err := t.Check(); err != nil {
		return err
	}
	if t.DType != Int64 && t.DType != Int32 {
		return fmt.Errorf("%s is %s: it must be I64 or I32", t.Name, t.DType)
	}
	i, x := t.outside(first, last)
	if i < 0 {
		return nil
	}
	return &RangeError{Name: t.Name, Index: Index(i, t.Shape), Got: x, First: first, Last: last}
}

// outside returns index and value of the first element below first or above
// last; i is -1 if there is none.
func (t Tensor) outside(first, last int64) (i int, x int64) {
	size := t.DType.Size()
	for i := range len(t.Data) / size {
		if size == 8 {
			x = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		} else {
			x = int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		}
		if x < first || x > last {
			return i, x
		}
	}
	return -1, 0
}

// Index returns the position of element i of a row-major tensor.
func Index(i int, shape []int) []int {
	at := make([]int, len(shape))
	for a := len(shape) - 1; a >= 0; a-- {
		at[a] = i % shape[a]
		i /= shape[a]
	}
	return at
}
