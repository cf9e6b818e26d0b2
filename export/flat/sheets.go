package flat

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// sheets are the matrices of a value of the bound graph. One axis is the rows,
// the axes after it are the columns, and there is a matrix for each index of
// the axes before it. (1,T,C) with row 1 is a matrix (T,C), and so is
// (1,T,H,D); (1,H,T,D) with row 2 is H matrices (T,D).
type sheets struct {
	shape []int // of the value
	row   int
	list  []*sheet

	given  *format.Tensor // a weight or a constant instead: its form depends on its use
	weight bool
}

// sheet is a matrix whose columns can be requested separately, so that a
// product with a weight computes only the columns needed.
type sheet struct {
	width int
	lazy  bool
	build func(cols []int) *graph.Value // nil: all columns
	made  map[string]*graph.Value
}

// take returns columns of s, nil for all. It builds each request once.
func (s *sheet) take(cols []int) *graph.Value {
	if isAll(cols, s.width) {
		cols = nil
	}
	key := fmt.Sprint(cols)
	if s.made[key] == nil {
		s.made[key] = s.build(cols)
	}
	return s.made[key]
}

func (s *sheet) whole() *graph.Value { return s.take(nil) }

// lazy returns a matrix built column by column on request.
func (f *flattener) lazy(width int, build func(cols []int) *graph.Value) *sheet {
	return &sheet{width: width, lazy: true, build: build, made: map[string]*graph.Value{}}
}

// column returns a matrix of one column that represents width equal ones.
func (f *flattener) column(s *sheet, width int) *sheet {
	return f.lazy(width, func([]int) *graph.Value { return s.whole() })
}

// sheet wraps a complete matrix. Its columns are selected by a product with a
// matrix of 0 and 1.
func (f *flattener) sheet(v *graph.Value) *sheet {
	shape, _ := v.Shape.Numbers()
	s := f.lazy(shape[1], func(cols []int) *graph.Value {
		if cols == nil {
			return v
		}
		return f.b.MatMul(v, f.selection(shape[1], cols))
	})
	s.lazy = false
	return s
}

// selection returns the matrix (width,len(cols)) that selects the given
// columns in a product.
func (f *flattener) selection(width int, cols []int) *graph.Value {
	one := make([]float32, width*len(cols))
	for i, c := range cols {
		one[c*len(cols)+i] = 1
	}
	v, _ := f.leaf(format.FromFloat32s(fmt.Sprintf("columns_of_%d.%s", width, spelled(cols)), []int{width, len(cols)}, one), false)
	return v
}

// at returns x with another axis as rows; nil if that changes the matrices.
// Axes of size 1 are interchangeable.
func (x *sheets) at(row int) *sheets {
	if x.given != nil || row < 0 || row >= len(x.shape) {
		return nil
	}
	if row != x.row && slices.ContainsFunc(x.shape[min(row, x.row):max(row, x.row)+1], func(n int) bool { return n != 1 }) {
		return nil
	}
	return &sheets{shape: x.shape, row: row, list: x.list}
}

// reshaped returns the same matrices in another shape in which the rows are
// still one axis.
func (x *sheets) reshaped(shape []int) (*sheets, error) {
	if x.given != nil {
		t := *x.given
		t.Shape = shape
		return &sheets{shape: shape, given: &t, weight: x.weight}, nil
	}
	for row := len(shape) - 1; row >= 0; row-- {
		if product(shape[:row]) == len(x.list) && shape[row] == x.shape[x.row] {
			return &sheets{shape: shape, row: row, list: x.list}, nil
		}
	}
	return nil, ErrForm
}

// assembled returns a value of the given shape. source maps each index of it
// to an element. Each row must come from one row of a source.
func (f *flattener) assembled(v *graph.Value, shape []int, row int, source func(at []int) (*sheets, []int)) *sheets {
	out := &sheets{shape: shape, row: row}
	for i := range product(shape[:row]) {
		places := make([]columnOf, product(shape[row+1:]))
		for c := range places {
			at := append(append(indices(i, shape[:row]), 0), indices(c, shape[row+1:])...)
			x, from := source(at)
			places[c] = columnOf{x.list[place(from[:x.row], x.shape[:x.row])], place(from[x.row+1:], x.shape[x.row+1:])}
		}
		out.list = append(out.list, f.lazy(len(places), func(cols []int) *graph.Value {
			m := f.together(places, cols)
			if cols == nil {
				m = f.named(v, row, i, m)
			}
			return m
		}))
	}
	return out
}

// columnOf is a column of a matrix.
type columnOf struct {
	sheet  *sheet
	column int
}

// together returns a matrix whose columns come from other matrices: the elements
// of places that cols selects.
func (f *flattener) together(places []columnOf, cols []int) *graph.Value {
	if cols != nil {
		asked := make([]columnOf, len(cols))
		for i, c := range cols {
			asked[i] = places[c]
		}
		places = asked
	}
	type run struct {
		sheet *sheet
		cols  []int
	}
	var runs []run
	start := map[*sheet]int{} // where each matrix starts in the concatenation
	var all []*graph.Value
	width := 0
	for _, p := range places {
		if n := len(runs); n > 0 && runs[n-1].sheet == p.sheet {
			runs[n-1].cols = append(runs[n-1].cols, p.column)
		} else {
			runs = append(runs, run{p.sheet, []int{p.column}})
		}
		if _, ok := start[p.sheet]; !ok {
			start[p.sheet] = width
			width += p.sheet.width
		}
	}
	if len(runs) == len(start) {
		for _, r := range runs {
			all = append(all, r.sheet.take(r.cols))
		}
		return f.sideBySide(all)
	}
	done := map[*sheet]bool{}
	order := make([]int, len(places))
	for i, p := range places {
		if !done[p.sheet] {
			done[p.sheet] = true
			all = append(all, p.sheet.whole())
		}
		order[i] = start[p.sheet] + p.column
	}
	return f.b.MatMul(f.sideBySide(all), f.selection(width, order))
}

// sideBySide concatenates matrices by columns.
func (f *flattener) sideBySide(all []*graph.Value) *graph.Value {
	for i, v := range all {
		if slices.Contains(all[:i], v) { // onnx-go rejects an operator with the same argument twice
			all[i] = f.b.Identity(v)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return f.b.Concat(1, all...)
}

// leaf returns the parameter or constant that holds t as a matrix, created on
// first use. A scalar becomes (1,1) and a vector a row, because not all
// operators broadcast other shapes.
func (f *flattener) leaf(t format.Tensor, weight bool) (*graph.Value, error) {
	for len(t.Shape) < 2 {
		t.Shape = append([]int{1}, t.Shape...)
	}
	if len(t.Shape) > 2 || t.DType != format.Float32 {
		return nil, ErrForm
	}
	key := fmt.Sprint(t.Name, t.Shape)
	if v := f.leaves[key]; v != nil {
		return v, nil
	}
	if weight {
		f.leaves[key] = f.b.Param(t.Name, graph.Init{}, t.Shape...)
		f.made = append(f.made, t)
	} else {
		f.leaves[key] = f.b.Const(t)
	}
	return f.leaves[key], nil
}
