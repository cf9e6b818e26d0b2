package export

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// OneHotInput is the input of a flat graph: float32 (T,V), a 1 in each row in
// the column of its token. Runtimes without Gather multiply it with the
// embedding table.
const OneHotInput = "one_hot"

// flatten writes the forward pass of a language model with matrices only, for
// runtimes that multiply nothing of higher rank: one sequence of fixed length,
// a MatMul for each head, weights cut into the columns that a head needs, no
// Gather, Split, Slice, Reshape or ReduceMean. The result is an ordinary graph
// (input OneHotInput (T,V), output logits (T,V)) with weights of its own, so
// that the oracle can show it equal to g.
func flatten(g *graph.Graph, weights []format.Tensor, length int) (*graph.Graph, []format.Tensor, error) {
	bound, err := graph.Apply(g, graph.SliceRanges, graph.Bind(oneSequence(g, length)), graph.DecomposeAll, graph.Precompute(flatLimit), graph.Merge)
	if err != nil {
		return nil, nil, err
	}
	f := &flattener{
		b:        graph.NewBuilder(),
		length:   length,
		given:    map[string]format.Tensor{},
		leaves:   map[string]*graph.Value{},
		flat:     map[*graph.Value]*sheets{},
		labelled: map[*graph.Value]bool{},
	}
	for _, t := range weights {
		f.given[t.Name] = t
	}
	for v := range bound.Values() {
		s, err := f.value(v)
		if err != nil {
			return nil, nil, fmt.Errorf("export: flat: %s (%s): %w", v.Name, v.Op().Name(), err)
		}
		f.flat[v] = s
	}
	for _, o := range bound.Outputs {
		s := f.flat[o.Value]
		if s == nil || s.given != nil || len(s.list) != 1 {
			return nil, nil, fmt.Errorf("export: flat: output %s is %s: %w", o.Name, o.Value.Type, errForm)
		}
		f.b.Output(o.Name, s.list[0].whole())
	}
	flat, err := f.b.Graph()
	if err != nil {
		return nil, nil, err
	}
	if flat, err = graph.Prune(flat); err != nil {
		return nil, nil, err
	}
	made := map[string]format.Tensor{}
	for _, t := range f.made {
		made[t.Name] = t
	}
	out := make([]format.Tensor, len(flat.Params))
	for i, p := range flat.Params {
		out[i] = made[p.Name]
	}
	return flat, out, nil
}

// flatLimit is the most elements of a constant that a flat graph computes ahead:
// the causal mask of 8,192 tokens.
const flatLimit = 1 << 26

// oneSequence gives the named dimensions of the tokens, (B,T), their sizes.
func oneSequence(g *graph.Graph, length int) map[string]int {
	sizes := map[string]int{}
	if tokens := g.Input(role.Of(role.Tokens)); tokens != nil && len(tokens.Shape) == 2 {
		for i, n := range []int{1, length} {
			sizes[tokens.Shape[i].String()] = n
		}
	}
	return sizes
}

type flattener struct {
	b        *graph.Builder
	length   int
	given    map[string]format.Tensor // the model's weights
	made     []format.Tensor          // the flat graph's, in the order of its parameters
	leaves   map[string]*graph.Value  // inputs, parameters and constants, by name
	flat     map[*graph.Value]*sheets // what stands for each value
	labelled map[*graph.Value]bool    // matrices that have the name of a value
}

// errForm says that an operator is used in a way that matrices cannot follow:
// tokens are mixed other than by a product, say.
var errForm = fmt.Errorf("the flat profile does not support this use of the operator")

// value returns what stands for v, nil for an input: its form depends on the
// use. Shapes in comments are those of the bound graph with B = 1, then those of
// the flat one.
func (f *flattener) value(v *graph.Value) (*sheets, error) {
	if _, in := graph.Is[graph.Input](v); in {
		return nil, nil
	}
	shape, fixed := v.Shape.Numbers()
	if slices.Contains(shape, 0) {
		return nil, fmt.Errorf("it is empty: %w", errForm)
	}
	if !fixed {
		return nil, fmt.Errorf("its shape %s has a size that is not the tokens': %w", v.Shape, errForm)
	}
	args := make([]*sheets, len(v.Args()))
	for i, a := range v.Args() {
		args[i] = f.flat[a]
		if _, looksUp := graph.Is[graph.Gather](v); args[i] == nil && !looksUp {
			return nil, errForm
		}
	}
	switch op := v.Op().(type) {
	case graph.Param:
		t := f.given[v.Name]
		return &sheets{shape: shape, given: &t, weight: true}, nil
	case graph.Const:
		t := op.Value.WithName(v.Name)
		return &sheets{shape: shape, given: &t}, nil
	case graph.Gather: // table (V,C), ids (1,T) → one-hot (T,V) × (V,C)
		return f.gather(v, op, args[0])
	case graph.Slice:
		start, _ := op.Start.Number()
		return f.cut(v, args[0], shape, op.Axis, start)
	case graph.Split:
		start := 0
		for _, n := range op.Sizes[:v.Index] {
			start += n
		}
		return f.cut(v, args[0], shape, op.Axis, start)
	case graph.MatMul:
		return f.matMul(v, args[0], args[1], shape)
	case graph.Binary:
		return f.arithmetic(v, op, args[0], args[1], shape)
	case graph.Unary:
		if !flatUnary[op] || args[0].given != nil {
			return nil, errForm
		}
		return f.each(v, args[0], shape, func(x *graph.Value) *graph.Value { return f.b.Apply(op, 1, x)[0] }), nil
	case graph.Softmax: // (1,H,T,S) over S → H × (T,S) over columns
		x := args[0].at(len(shape) - 2)
		if x == nil || op.Axis != len(shape)-1 {
			return nil, errForm
		}
		return f.each(v, x, shape, func(x *graph.Value) *graph.Value { return f.b.Softmax(x, 1) }), nil
	case graph.Reduce: // (1,T,C) to (1,T,1) → × (C,1)
		return f.reduce(v, op, args[0], shape)
	case graph.Reshape: // (1,T,C) ↔ (1,T,H,D): the same matrices
		return args[0].reshaped(shape)
	case graph.Transpose:
		return f.transpose(v, op.Perm, args[0], shape)
	case graph.Concat:
		return f.concat(v, op.Axis, args, shape)
	}
	return nil, fmt.Errorf("the flat profile has no form of this operator")
}

// flatUnary are the functions of one argument that onnx-go has.
var flatUnary = map[graph.Unary]bool{
	graph.Sqrt: true, graph.Tanh: true, graph.Relu: true, graph.Identity: true, graph.Exp: true, graph.Sigmoid: true,
	graph.Neg: true, graph.Abs: true, graph.Log: true, graph.Sin: true, graph.Cos: true,
}

// each applies make to every matrix of x.
func (f *flattener) each(v *graph.Value, x *sheets, shape []int, make func(x *graph.Value) *graph.Value) *sheets {
	out := &sheets{shape: shape, row: x.row}
	for i := range x.list {
		out.list = append(out.list, f.sheet(f.named(v, x.row, i, make(x.list[i].whole()))))
	}
	return out
}

// named gives matrix i the name of the value that it stands for, which is
// "h.0.attn.scores.head_1" where that has heads. What has a name keeps it.
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
		return nil, errForm
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
		return nil, fmt.Errorf("its table has %d rows, another one %s: %w", table.shape[0], hot.Shape[1], errForm)
	}
	return &sheets{shape: []int{1, f.length, table.shape[1]}, row: 1, list: []*sheet{f.sheet(f.named(v, 1, 0, f.b.MatMul(hot, rows)))}}, nil
}

// cut returns the positions of an axis from start on, as many as shape has.
func (f *flattener) cut(v *graph.Value, x *sheets, shape []int, axis, start int) (*sheets, error) {
	switch {
	case x.given != nil && axis == 0:
		return &sheets{shape: shape, given: rowsOf(*x.given, start, shape[0]), weight: x.weight}, nil
	case x.given != nil || axis == x.row && shape[axis] != x.shape[axis]:
		return nil, errForm
	case axis == x.row:
		return x, nil
	}
	return f.assembled(v, shape, x.row, func(at []int) (*sheets, []int) {
		at[axis] += start
		return x, at
	}), nil
}

func (f *flattener) matMul(v *graph.Value, x, w *sheets, shape []int) (*sheets, error) {
	last := len(shape) - 2
	if x.given == nil && w.given != nil && len(w.shape) == 2 { // (1,T,C) × (C,N) → only the columns asked for
		x := x.at(len(x.shape) - 2)
		if x == nil || w.given.DType != format.Float32 {
			return nil, errForm
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
		return nil, errForm
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

// other returns q for use beside p: onnx-go refuses an operator with the same
// argument twice.
func (f *flattener) other(p, q *graph.Value) *graph.Value {
	if p == q {
		return f.b.Identity(q)
	}
	return q
}

// arithmetic covers Add and its kin: matrices, parameter rows and scalars.
func (f *flattener) arithmetic(v *graph.Value, kind graph.Binary, x, y *sheets, shape []int) (*sheets, error) {
	op, ok := map[graph.Binary]func(a, b *graph.Value) *graph.Value{
		graph.Add: f.b.Add, graph.Sub: f.b.Sub, graph.Mul: f.b.Mul, graph.Div: f.b.Div,
	}[kind]
	if !ok {
		return nil, errForm
	}
	row := -1
	for _, s := range []*sheets{x, y} {
		if r := s.row + len(shape) - len(s.shape); s.given == nil && (row < 0 || s.shape[s.row] == shape[r]) {
			row = r
		}
	}
	if row < 0 {
		return nil, errForm
	}
	a, errA := f.spread(x, shape, row)
	b, errB := f.spread(y, shape, row)
	if errA != nil || errB != nil {
		return nil, errForm
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

// spread returns x broadcast into shape, with the given axis as rows: a matrix
// for each index of the axes before. A row or a column alone is left to
// broadcast.
func (f *flattener) spread(x *sheets, shape []int, row int) ([]*sheet, error) {
	before := len(shape) - len(x.shape)
	var own *sheets
	if x.given != nil {
		if x.given.DType != format.Float32 {
			return nil, errForm
		}
	} else if own = x.at(row - before); own == nil {
		return nil, errForm
	}
	full := append(ones(before), x.shape...)
	wide, width := product(full[row+1:]), product(shape[row+1:])
	var cols []int // of x, for each of shape
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

// reduce multiplies by columns of 1, or 1/C: onnx-go has neither ReduceSum nor
// ReduceMean.
func (f *flattener) reduce(v *graph.Value, op graph.Reduce, x *sheets, shape []int) (*sheets, error) {
	last := len(x.shape) - 1
	if x.given != nil || op.Kind != graph.ReduceMean && op.Kind != graph.ReduceSum || len(op.Axes) != 1 || op.Axes[0] != last || x.row == last {
		return nil, errForm
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
			return nil, errForm
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
				return nil, errForm
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
		return nil, errForm
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
