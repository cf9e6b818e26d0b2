package flat

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// rowsOf returns n rows of t, starting at start.
func rowsOf(t format.Tensor, start, n int) *format.Tensor {
	size := len(t.Data) / t.Shape[0]
	t.Data = t.Data[start*size : (start+n)*size]
	t.Shape = append([]int{n}, t.Shape[1:]...)
	if start > 0 {
		t.Name = fmt.Sprintf("%s.rows_%d_%d", t.Name, start, start+n)
	}
	return &t
}

// sheetOf returns matrix i of t, whose broadcast shape is full, with axis row
// as rows.
func sheetOf(t format.Tensor, full []int, row, i int) format.Tensor {
	n := product(full[:row])
	size := len(t.Data) / n
	t.Data = t.Data[i*size : (i+1)*size]
	t.Shape = []int{full[row], product(full[row+1:])}
	if n > 1 {
		t.Name = fmt.Sprintf("%s.head_%d", t.Name, i)
	}
	return t
}

// columns returns the given columns of a matrix, named after them; nil means
// all columns.
func columns(t format.Tensor, cols []int) format.Tensor {
	rows, width, size := t.Shape[0], t.Shape[1], t.DType.Size()
	if cols == nil || isAll(cols, width) {
		return t
	}
	out := format.Tensor{Name: t.Name + ".columns_" + spelled(cols), DType: t.DType, Shape: []int{rows, len(cols)}}
	out.Data = make([]byte, 0, rows*len(cols)*size)
	for r := range rows {
		for _, c := range cols {
			out.Data = append(out.Data, t.Data[(r*width+c)*size:][:size]...)
		}
	}
	return out
}

// spelled formats consecutive columns as "8_16", from and to, and others one
// by one.
func spelled(cols []int) string {
	first, text := cols[0], ""
	for i, c := range cols {
		if c != first+i {
			for _, c := range cols {
				text += fmt.Sprintf(".%d", c)
			}
			return text[1:]
		}
	}
	return fmt.Sprintf("%d_%d", first, first+len(cols))
}

func isAll(cols []int, width int) bool {
	for i, c := range cols {
		if c != i {
			return false
		}
	}
	return len(cols) == width
}

// compose returns the asked columns among cols; nil means all.
func compose(cols, asked []int) []int {
	if asked == nil {
		return cols
	}
	out := make([]int, len(asked))
	for i, a := range asked {
		out[i] = cols[a]
	}
	return out
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// indices returns the index of element i of a shape; place returns the element
// at an index, in a shape that broadcasts.
func indices(i int, shape []int) []int {
	at := make([]int, len(shape))
	for axis, d := range slices.Backward(shape) {
		at[axis] = i % d
		i /= d
	}
	return at
}

func place(at, shape []int) int {
	at = at[len(at)-len(shape):]
	i := 0
	for axis, d := range shape {
		i *= d
		if d > 1 {
			i += at[axis]
		}
	}
	return i
}

func ones(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = 1
	}
	return out
}
