package format

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// RangeError says that an element of a tensor of integers is outside the range
// that its reader accepts: an id that the vocabulary does not have, a position
// beyond the context.
type RangeError struct {
	Name        string // of the tensor
	Index       []int  // where the element is, one number for each dimension
	Got         int64
	First, Last int64 // what is accepted
}

func (e *RangeError) Error() string {
	at := ""
	if len(e.Index) > 0 {
		at = strings.ReplaceAll(fmt.Sprint(e.Index), " ", ",")
	}
	return fmt.Sprintf("%s%s is %d: it must be from %d to %d", e.Name, at, e.Got, e.First, e.Last)
}

// CheckRange returns a *RangeError for the first element of t, int64 or int32,
// that is not from first to last, and another error where t is no tensor of
// integers.
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

// outside returns the first element that is not from first to last, and where
// it is; i is -1 where there is none.
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

// Index returns where element i of a row-major tensor lies.
func Index(i int, shape []int) []int {
	at := make([]int, len(shape))
	for a := len(shape) - 1; a >= 0; a-- {
		at[a] = i % shape[a]
		i /= shape[a]
	}
	return at
}
