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
		b:      graph.NewBuilder(),
		length: length,
		given:  map[string]format.Tensor{},
		params: map[string]*graph.Value{},
		flat:   map[*graph.Value]matrices{},
	}
	for _, t := range weights {
		f.given[t.Name] = t
	}
	for v := range bound.Values() {
		m, err := f.value(v)
		if err != nil {
			return nil, nil, fmt.Errorf("export: flat: %s (%s): %w", v.Name, v.Op().Name(), err)
		}
		f.flat[v] = m
		if f.err != nil {
			return nil, nil, fmt.Errorf("export: flat: %s (%s): %w", v.Name, v.Op().Name(), f.err)
		}
	}
	for _, o := range bound.Outputs {
		f.b.Output(o.Name, f.flat[o.Value].whole())
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
	b      *graph.Builder
	length int
	given  map[string]format.Tensor  // the model's weights
	made   []format.Tensor           // the flat graph's, in the order of its parameters
	params map[string]*graph.Value   // by name
	flat   map[*graph.Value]matrices // what stands for each value
	err    error                     // the first cut of a matrix that cannot be cut
}

// matrices is what stands for a value of the bound graph: one matrix, or one
// for each head. A value that has not been needed whole is made from the
// columns that are asked of it.
type matrices struct {
	heads []*graph.Value                // (1,H,M,N): H × (M,N)
	width int                           // N of a single matrix
	cols  func(lo, hi int) *graph.Value // columns lo to hi of a single matrix (M,N)
}

func (m matrices) whole() *graph.Value { return m.cols(0, m.width) }

// single wraps a matrix that exists whole. Only what a MatMul with a weight
// makes can be cut; a network that cuts anything else has no flat form.
func (f *flattener) single(v *graph.Value) matrices {
	s, _ := v.Shape.Numbers()
	return matrices{width: s[1], cols: func(lo, hi int) *graph.Value {
		if lo != 0 || hi != s[1] {
			f.err = errForm
		}
		return v
	}}
}

// value returns what stands for v. Shapes in comments are those of the bound
// graph with B = 1, then those of the flat one.
func (f *flattener) value(v *graph.Value) (matrices, error) {
	arg := func(i int) matrices { return f.flat[v.Args()[i]] }
	switch op := v.Op().(type) {
	case graph.Input, graph.Param:
		return matrices{}, nil // made where it is used: its form depends on the use
	case graph.Const:
		return f.constant(v, op.Value)
	case graph.Gather: // table (V,C), ids (1,T) → one-hot (T,V) × (V,C)
		return f.gather(v)
	case graph.Slice: // first rows of a parameter (N,C) → the parameter cut (T,C)
		return f.firstRows(v, op)
	case graph.MatMul:
		return f.matMul(v)
	case graph.Binary:
		return f.arithmetic(v, op)
	case graph.Unary:
		x := arg(0)
		if x.cols == nil || !slices.Contains([]graph.Unary{graph.Sqrt, graph.Tanh, graph.Relu, graph.Identity, graph.Exp}, op) {
			return matrices{}, errForm
		}
		return f.single(f.named(v, f.b.Apply(op, 1, x.whole())[0])), nil
	case graph.Softmax: // (1,H,T,S) over S → H × (T,S) over columns
		x := arg(0)
		if x.heads == nil {
			return matrices{}, errForm
		}
		return f.eachHead(v, func(h int) *graph.Value { return f.b.Softmax(x.heads[h], 1) }), nil
	case graph.Reduce: // (1,T,C) to (1,T,1) → × (C,1) of 1/C
		return f.mean(v, op)
	case graph.Split: // (1,T,3C) to (1,T,C) → the columns
		x := arg(0)
		if x.cols == nil || op.Axis != len(v.Shape)-1 {
			return matrices{}, errForm
		}
		lo := 0
		for _, n := range op.Sizes[:v.Index] {
			lo += n
		}
		n := op.Sizes[v.Index]
		return matrices{width: n, cols: func(a, b int) *graph.Value { return x.cols(lo+a, lo+b) }}, nil
	case graph.Reshape: // (1,T,C) ↔ (1,T,H,D): the same matrix
		if arg(0).heads != nil {
			return f.joined(arg(0)), nil
		}
		return arg(0), nil
	case graph.Transpose:
		return f.transpose(v, op)
	}
	return matrices{}, fmt.Errorf("the flat profile has no form of this operator")
}

func isParam(v *graph.Value) bool {
	_, ok := graph.Is[graph.Param](v)
	return ok
}

// errForm says that an operator is used in a form that no network of ours has.
var errForm = fmt.Errorf("the flat profile does not support this use of the operator")

// named gives the flat value the name of the one it stands for.
func (f *flattener) named(v, flat *graph.Value) *graph.Value { return f.b.Name(v.Name, flat) }

// eachHead makes one matrix for each head, named "h.0.attn.scores.head_1".
func (f *flattener) eachHead(v *graph.Value, make func(h int) *graph.Value) matrices {
	var m matrices
	n, _ := v.Shape[1].Number()
	for h := range n {
		m.heads = append(m.heads, f.b.Name(fmt.Sprintf("%s.head_%d", v.Name, h), make(h)))
	}
	return m
}

// constant stores a scalar as (1,1): a tensor without axes is not broadcast
// everywhere.
func (f *flattener) constant(v *graph.Value, t format.Tensor) (matrices, error) {
	shape := t.Shape
	switch len(shape) {
	case 0:
		shape = []int{1, 1}
	case 2:
	default:
		return matrices{}, nil // not a matrix: an error if anything uses it
	}
	return f.single(f.b.Const(format.Tensor{Name: v.Name, DType: t.DType, Shape: shape, Data: t.Data})), nil
}

// firstRows cuts a parameter to the rows that a sequence of this length uses.
func (f *flattener) firstRows(v *graph.Value, op graph.Slice) (matrices, error) {
	start, _ := op.Start.Number()
	limit, _ := op.Limit.Number()
	table := v.Args()[0]
	if !isParam(table) || op.Axis != 0 || start != 0 || len(v.Shape) != 2 {
		return matrices{}, errForm
	}
	t := f.given[table.Name]
	t.Data = t.Data[:len(t.Data)/t.Shape[0]*limit]
	t.Shape = []int{limit, t.Shape[1]}
	return f.single(f.param(t)), nil
}

func (f *flattener) gather(v *graph.Value) (matrices, error) {
	table, ids := v.Args()[0], v.Args()[1]
	if _, given := graph.Is[graph.Input](ids); !given || !isParam(table) || len(table.Shape) != 2 {
		return matrices{}, errForm
	}
	hot := f.params[OneHotInput]
	if hot == nil {
		hot = f.b.Input(OneHotInput, format.Float32, graph.N(f.length), table.Shape[0])
		f.params[OneHotInput] = hot
	}
	return f.single(f.named(v, f.b.MatMul(hot, f.param(f.given[table.Name])))), nil
}

func (f *flattener) matMul(v *graph.Value) (matrices, error) {
	x, w := v.Args()[0], v.Args()[1]
	switch {
	case f.flat[x].cols != nil && isParam(w): // (1,T,C) × (C,N) → only the columns asked for
		x := f.flat[x].whole()
		t := f.given[w.Name]
		return memoized(t.Shape[1], func(lo, hi int) *graph.Value {
			return f.b.MatMul(x, f.param(columns(t, lo, hi)))
		}), nil
	case f.flat[x].cols != nil && f.flat[w].cols != nil: // (1,T,C) × (C,N)
		return f.single(f.named(v, f.b.MatMul(f.flat[x].whole(), f.flat[w].whole()))), nil
	case f.flat[x].heads != nil && f.flat[w].heads != nil: // (1,H,M,K) × (1,H,K,N) → H × (M,N)
		a, b := f.flat[x].heads, f.flat[w].heads
		return f.eachHead(v, func(h int) *graph.Value { return f.b.MatMul(a[h], b[h]) }), nil
	}
	return matrices{}, errForm
}

// memoized is a matrix made by ranges of columns, each range once.
func memoized(width int, make func(lo, hi int) *graph.Value) matrices {
	done := map[[2]int]*graph.Value{}
	return matrices{width: width, cols: func(lo, hi int) *graph.Value {
		key := [2]int{lo, hi}
		if done[key] == nil {
			done[key] = make(lo, hi)
		}
		return done[key]
	}}
}

// arithmetic covers a + b and its kin: b a matrix, a parameter row, or a
// scalar; a one matrix or one for each head.
func (f *flattener) arithmetic(v *graph.Value, kind graph.Binary) (matrices, error) {
	op, ok := map[graph.Binary]func(a, b *graph.Value) *graph.Value{
		graph.Add: f.b.Add, graph.Sub: f.b.Sub, graph.Mul: f.b.Mul, graph.Div: f.b.Div,
	}[kind]
	if !ok {
		return matrices{}, errForm
	}
	right := v.Args()[1]
	x, y := f.flat[v.Args()[0]], f.flat[right]
	switch {
	case x.heads != nil && y.cols != nil: // (1,H,T,S) and (T,S) or a scalar
		return f.eachHead(v, func(h int) *graph.Value { return op(x.heads[h], y.whole()) }), nil
	case x.cols != nil && isParam(right): // (1,T,C) and (C) → (T,C) and (1,C)
		t := f.given[right.Name]
		if len(t.Shape) != 1 {
			return matrices{}, errForm
		}
		t.Shape = []int{1, t.Shape[0]}
		return memoized(x.width, func(lo, hi int) *graph.Value {
			z := op(x.cols(lo, hi), f.param(columns(t, lo, hi)))
			if lo == 0 && hi == x.width {
				z = f.named(v, z)
			}
			return z
		}), nil
	case x.cols != nil && y.cols != nil:
		a, b := x.whole(), y.whole()
		if a == b { // onnx-go refuses an operator with the same argument twice
			b = f.b.Identity(b)
		}
		return f.single(f.named(v, op(a, b))), nil
	}
	return matrices{}, errForm
}

// mean multiplies by a column of 1/C: onnx-go has no ReduceMean.
func (f *flattener) mean(v *graph.Value, op graph.Reduce) (matrices, error) {
	x := f.flat[v.Args()[0]]
	if x.cols == nil || op.Kind != graph.ReduceMean || len(op.Axes) != 1 || op.Axes[0] != len(v.Shape)-1 || !op.KeepDims {
		return matrices{}, errForm
	}
	name := fmt.Sprintf("mean_%d", x.width)
	ones := f.params[name]
	if ones == nil {
		c := make([]float32, x.width)
		for i := range c {
			c[i] = float32(1 / float64(x.width))
		}
		ones = f.b.Const(format.FromFloat32s(name, []int{x.width, 1}, c))
		f.params[name] = ones
	}
	return f.single(f.named(v, f.b.MatMul(x.whole(), ones))), nil
}

func (f *flattener) transpose(v *graph.Value, op graph.Transpose) (matrices, error) {
	from := v.Args()[0]
	x := f.flat[from]
	switch perm := fmt.Sprint(op.Perm); {
	case isParam(from) && perm == "[1 0]": // a tied head
		return f.single(f.named(v, f.b.Transpose(f.param(f.given[from.Name]), 1, 0))), nil
	case x.cols != nil && perm == "[0 2 1 3]": // (1,T,H,D) to (1,H,T,D) → the columns of each head
		d, _ := v.Shape[3].Number()
		return f.eachHead(v, func(h int) *graph.Value { return x.cols(h*d, (h+1)*d) }), nil
	case x.heads != nil && perm == "[0 2 1 3]": // (1,H,T,D) to (1,T,H,D) → the heads, still apart
		return x, nil
	case x.heads != nil && perm == "[0 1 3 2]":
		return f.eachHead(v, func(h int) *graph.Value { return f.b.Transpose(x.heads[h], 1, 0) }), nil
	}
	return matrices{}, errForm
}

// joined puts the heads' columns side by side: H × (T,D) to (T,C).
func (f *flattener) joined(m matrices) matrices {
	if len(m.heads) == 1 {
		return f.single(m.heads[0])
	}
	return f.single(f.b.Concat(1, m.heads...))
}

// param returns the parameter that holds t, made at its first use.
func (f *flattener) param(t format.Tensor) *graph.Value {
	if p := f.params[t.Name]; p != nil {
		return p
	}
	p := f.b.Param(t.Name, graph.Init{}, t.Shape...)
	f.params[t.Name] = p
	f.made = append(f.made, t)
	return p
}

// columns returns columns lo to hi of a matrix, under a name that says so; all
// of them are the matrix itself.
func columns(t format.Tensor, lo, hi int) format.Tensor {
	rows, width, size := t.Shape[0], t.Shape[1], t.DType.Size()
	if lo == 0 && hi == width {
		return t
	}
	out := format.Tensor{Name: fmt.Sprintf("%s.columns_%d_%d", t.Name, lo, hi), DType: t.DType, Shape: []int{rows, hi - lo}}
	out.Data = make([]byte, 0, rows*(hi-lo)*size)
	for r := range rows {
		out.Data = append(out.Data, t.Data[(r*width+lo)*size:(r*width+hi)*size]...)
	}
	return out
}
