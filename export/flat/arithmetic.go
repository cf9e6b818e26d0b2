package flat

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// arithmetic covers Add and similar operators: matrices, parameter rows and
// scalars.
func (f *flattener) arithmetic(v *graph.Value, kind graph.Binary, x, y *sheets, shape []int) (*sheets, error) {
	op, ok := map[graph.Binary]func(a, b *graph.Value) *graph.Value{
		graph.Add: f.b.Add, graph.Sub: f.b.Sub, graph.Mul: f.b.Mul, graph.Div: f.b.Div,
	}[kind]
	if !ok {
		return nil, ErrForm
	}
	row := -1
	for _, s := range []*sheets{x, y} {
		if r := s.row + len(shape) - len(s.shape); s.given == nil && (row < 0 || s.shape[s.row] == shape[r]) {
			row = r
		}
	}
	if row < 0 {
		return nil, ErrForm
	}
	a, errA := f.spread(x, shape, row)
	b, errB := f.spread(y, shape, row)
	if errA != nil || errB != nil {
		return nil, ErrForm
	}
	out := &sheets{shape: shape, row: row}
	for i := range a {
		p, q := a[i], b[i]
		if cuts := p.lazy && y.given != nil || q.lazy && x.given != nil; cuts {
			out.list = append(out.list, f.lazy(product(shape[row+1:]), func(cols []int) *graph.Value {
				z := op(p.take(cols), q.take(cols))
				if cols == nil {
					z = f.named(v, row, i, z)
				}
				return z
			}))
			continue
		}
		m := p.whole()
		out.list = append(out.list, f.sheet(f.named(v, row, i, op(m, f.other(m, q.whole())))))
	}
	return out, nil
}

// spread returns x broadcast to shape, with the given axis as rows: a matrix
// for each index of the axes before. A single row or column is left to
// broadcast.
func (f *flattener) spread(x *sheets, shape []int, row int) ([]*sheet, error) {
	before := len(shape) - len(x.shape)
	var own *sheets
	if x.given != nil {
		if x.given.DType != format.Float32 {
			return nil, ErrForm
		}
	} else if own = x.at(row - before); own == nil {
		return nil, ErrForm
	}
	full := append(ones(before), x.shape...)
	wide, width := product(full[row+1:]), product(shape[row+1:])
	var cols []int // column of x for each column of shape
	if wide != 1 && wide != width {
		for i := range width {
			cols = append(cols, place(indices(i, shape[row+1:]), full[row+1:]))
		}
	}
	out := make([]*sheet, product(shape[:row]))
	for i := range out {
		at := place(indices(i, shape[:row]), full[:row])
		if own == nil {
			t := columns(sheetOf(*x.given, full, row, at), cols)
			out[i] = f.lazy(t.Shape[1], func(cols []int) *graph.Value {
				part, _ := f.leaf(columns(t, cols), x.weight)
				return part
			})
			if t.Shape[1] == 1 {
				out[i] = f.column(out[i], width)
			}
			continue
		}
		out[i] = own.list[at]
		if s := out[i]; cols != nil {
			out[i] = f.lazy(width, func(asked []int) *graph.Value { return s.take(compose(cols, asked)) })
		} else if wide == 1 && width != 1 {
			out[i] = f.column(s, width)
		}
	}
	return out, nil
}
