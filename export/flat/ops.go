package flat

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// each applies change to every matrix of x.
func (f *flattener) each(v *graph.Value, x *sheets, shape []int, change func(x *graph.Value) *graph.Value) *sheets {
	out := &sheets{shape: shape, row: x.row}
	for i := range x.list {
		out.list = append(out.list, f.sheet(f.named(v, x.row, i, change(x.list[i].whole()))))
	}
	return out
}

// named gives matrix i the name of its value, such as "h.0.attn.scores.head_1"
// if the value has heads. A named matrix keeps its name.
func (f *flattener) named(v *graph.Value, row, i int, flat *graph.Value) *graph.Value {
	if f.labelled[flat] || flat.Leaf() {
		return flat
	}
	f.labelled[flat] = true
	if before, _ := v.Shape[:row].Numbers(); row < 2 && product(before) == 1 {
		return f.b.Name(v.Name, flat)
	}
	return f.b.Name(fmt.Sprintf("%s.head_%d", v.Name, i), flat)
}

func (f *flattener) gather(v *graph.Value, op graph.Gather, table *sheets) (*sheets, error) {
	ids := v.Args()[1]
	if ids.Role() != role.Of(role.Tokens) || table == nil || table.given == nil || len(table.shape) != 2 || op.Axis != 0 {
		return nil, ErrForm
	}
	hot := f.leaves[OneHotInput]
	if hot == nil {
		hot = f.b.Input(OneHotInput, format.Float32, graph.N(f.length), graph.N(table.shape[0]))
		f.leaves[OneHotInput] = hot
	}
	rows, err := f.leaf(*table.given, table.weight)
	if err != nil {
		return nil, err
	}
	if !hot.Shape[1].Is(table.shape[0]) {
		return nil, fmt.Errorf("its table has %d rows, another has %s: %w", table.shape[0], hot.Shape[1], ErrForm)
	}
	return &sheets{shape: []int{1, f.length, table.shape[1]}, row: 1, list: []*sheet{f.sheet(f.named(v, 1, 0, f.b.MatMul(hot, rows)))}}, nil
}

// cut returns the part of an axis that starts at start and has the size in
// shape.
func (f *flattener) cut(v *graph.Value, x *sheets, shape []int, axis, start int) (*sheets, error) {
	switch {
	case x.given != nil && axis == 0:
		return &sheets{shape: shape, given: rowsOf(*x.given, start, shape[0]), weight: x.weight}, nil
	case x.given != nil:
		return nil, ErrForm
	case axis == x.row && shape[axis] == x.shape[axis]:
		return x, nil
	case axis == x.row: // (1,T,C) to (1,N,C): (N,T) × (T,C)
		rows := f.rows(x.shape[axis], start, shape[axis])
		return f.each(v, x, shape, func(x *graph.Value) *graph.Value { return f.b.MatMul(rows, x) }), nil
	}
	return f.assembled(v, shape, x.row, func(at []int) (*sheets, []int) {
		at[axis] += start
		return x, at
	}), nil
}

func (f *flattener) matMul(v *graph.Value, x, w *sheets, shape []int) (*sheets, error) {
	last := len(shape) - 2
	if x.given == nil && w.given != nil && len(w.shape) == 2 { // (1,T,C) × (C,N) → only the columns needed
		x := x.at(len(x.shape) - 2)
		if x == nil || w.given.DType != format.Float32 {
			return nil, ErrForm
		}
		out := &sheets{shape: shape, row: last}
		for _, s := range x.list {
			out.list = append(out.list, f.lazy(w.shape[1], func(cols []int) *graph.Value {
				part, _ := f.leaf(columns(*w.given, cols), w.weight)
				return f.b.MatMul(s.whole(), part)
			}))
		}
		return out, nil
	}
	a, b := x.at(len(x.shape)-2), w.at(len(w.shape)-2)
	if a == nil || b == nil || last < 0 {
		return nil, ErrForm
	}
	out := &sheets{shape: shape, row: last} // (1,H,M,K) × (1,H,K,N) → H × (M,N)
	n := product(shape[:last])
	for i := range n {
		at := indices(i, shape[:last])
		p, q := a.list[place(at, a.shape[:a.row])].whole(), b.list[place(at, b.shape[:b.row])].whole()
		out.list = append(out.list, f.sheet(f.named(v, last, i, f.b.MatMul(p, f.other(p, q)))))
	}
	return out, nil
}

// other returns q for use together with p: onnx-go rejects an operator with
// the same argument twice.
func (f *flattener) other(p, q *graph.Value) *graph.Value {
	if p == q {
		return f.b.Identity(q)
	}
	return q
}

// reduce multiplies by columns of 1 or 1/C, because onnx-go has neither
// ReduceSum nor ReduceMean.
func (f *flattener) reduce(v *graph.Value, op graph.Reduce, x *sheets, shape []int) (*sheets, error) {
	last := len(x.shape) - 1
	if x.given != nil || op.Kind != graph.ReduceMean && op.Kind != graph.ReduceSum || len(op.Axes) != 1 || op.Axes[0] != last || x.row == last {
		return nil, ErrForm
	}
	n, width := x.shape[last], product(x.shape[x.row+1:])
	weight, name := float32(1/float64(n)), fmt.Sprintf("mean_%d", n)
	if op.Kind == graph.ReduceSum {
		weight, name = 1, fmt.Sprintf("sum_%d", n)
	}
	if width != n {
		name += fmt.Sprintf("_of_%d", width)
	}
	c := make([]float32, width*(width/n))
	for i := range width {
		c[i*(width/n)+i/n] = weight
	}
	by, err := f.leaf(format.FromFloat32s(name, []int{width, width / n}, c), false)
	if err != nil {
		return nil, err
	}
	return f.each(v, x, shape, func(x *graph.Value) *graph.Value { return f.b.MatMul(x, by) }), nil
}

func (f *flattener) transpose(v *graph.Value, perm []int, x *sheets, shape []int) (*sheets, error) {
	last := len(shape) - 1
	if x.given != nil {
		if last != 1 {
			return nil, ErrForm
		}
		m, err := f.leaf(*x.given, x.weight) // a tied head
		if err != nil {
			return nil, err
		}
		x = &sheets{shape: x.shape, list: []*sheet{f.sheet(m)}}
		if perm[0] == 0 {
			return x, nil
		}
	}
	swapped := last > 0 && perm[last] == last-1 && perm[last-1] == last
	if m := x.at(last - 1); swapped && m != nil {
		for i, p := range perm[:last-1] {
			if i != p {
				return nil, ErrForm
			}
		}
		return f.each(v, m, shape, func(x *graph.Value) *graph.Value { return f.b.Transpose(x, 1, 0) }), nil
	}
	row := 0
	for perm[row] != x.row {
		row++
	}
	return f.assembled(v, shape, row, func(at []int) (*sheets, []int) {
		from := make([]int, len(at))
		for i, p := range perm {
			from[p] = at[i]
		}
		return x, from
	}), nil
}

func (f *flattener) concat(v *graph.Value, axis int, args []*sheets, shape []int) (*sheets, error) {
	row := -1
	for _, x := range args {
		if x.given == nil {
			row = x.row
		}
	}
	if row < 0 || row == axis {
		return nil, ErrForm
	}
	parts := make([]*sheets, len(args))
	for i, x := range args {
		list, err := f.spread(x, x.shape, row)
		if err != nil {
			return nil, err
		}
		parts[i] = &sheets{shape: x.shape, row: row, list: list}
	}
	return f.assembled(v, shape, row, func(at []int) (*sheets, []int) {
		i := 0
		for ; at[axis] >= parts[i].shape[axis]; i++ {
			at[axis] -= parts[i].shape[axis]
		}
		return parts[i], at
	}), nil
}
