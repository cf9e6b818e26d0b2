package flat

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// OneHotInput is the input of a flat graph: float32 (T,V), with a 1 in each
// row in the column of its token. Its product with the embedding table
// replaces Gather.
const OneHotInput = "one_hot"

// Write rewrites the forward pass of a network with matrices only: one
// sequence of fixed length, a MatMul for each head, weights cut into the
// columns of each head, no Gather, Split, Slice, Reshape or ReduceMean. The
// result is an ordinary graph (input OneHotInput (T,V), output logits (T,V))
// with its own weights, so that a reference runtime can compare it with g. An
// attention mask is a second input, float32 (1,T), and logits of the whole text
// are (1,V). A network on features (B,F) keeps this input, with length as B.
func Write(g *graph.Graph, weights []format.Tensor, length int) (*graph.Graph, []format.Tensor, error) {
	bound, err := graph.Apply(g, graph.SliceRanges, graph.Bind(sizes(g, length)), graph.DecomposeAll, graph.Precompute(flatLimit), graph.Merge)
	if err != nil {
		return nil, nil, err
	}
	f := &flattener{
		b:        graph.NewBuilder(),
		length:   length,
		text:     g.Input(role.Of(role.Tokens)) != nil,
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
			return nil, nil, fmt.Errorf("export: flat: output %s is %s: %w", o.Name, o.Value.Type, ErrForm)
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

// flatLimit is the maximum number of elements of a constant that flat computes
// in advance: the causal mask of 8,192 tokens.
const flatLimit = 1 << 26

// sizes returns sizes for the named dimensions of the tokens, (B,T), or of
// features, (B,F).
func sizes(g *graph.Graph, length int) map[string]int {
	of := map[string]int{}
	if tokens := g.Input(role.Of(role.Tokens)); tokens != nil && len(tokens.Shape) == 2 {
		for i, n := range []int{1, length} {
			of[tokens.Shape[i].String()] = n
		}
	} else if x := g.Input(role.Of(role.Features)); x != nil && len(x.Shape) > 0 {
		of[x.Shape[0].String()] = length
	}
	return of
}

type flattener struct {
	b        *graph.Builder
	length   int
	text     bool                     // the network reads tokens
	given    map[string]format.Tensor // the model's weights
	made     []format.Tensor          // the flat graph's, in the order of its parameters
	leaves   map[string]*graph.Value  // inputs, parameters and constants, by name
	flat     map[*graph.Value]*sheets // the matrices of each value
	labelled map[*graph.Value]bool    // matrices that have the name of a value
}

// ErrForm reports a use of an operator that matrices cannot express, for
// example mixing tokens without a product.
var ErrForm = fmt.Errorf("the flat profile does not support this use of the operator")

// value returns the matrices of v; nil for token ids, whose form depends on
// their use, and for inputs that have none. Comments give shapes of the bound graph with B = 1, then those of the
// flat one.
func (f *flattener) value(v *graph.Value) (*sheets, error) {
	if _, in := graph.Is[graph.Input](v); in {
		return f.input(v), nil
	}
	shape, fixed := v.Shape.Numbers()
	if slices.Contains(shape, 0) {
		return nil, fmt.Errorf("it is empty: %w", ErrForm)
	}
	if !fixed {
		return nil, fmt.Errorf("its shape %s has a size that is not the tokens': %w", v.Shape, ErrForm)
	}
	args := make([]*sheets, len(v.Args()))
	for i, a := range v.Args() {
		args[i] = f.flat[a]
		if _, looksUp := graph.Is[graph.Gather](v); args[i] == nil && !looksUp {
			return nil, ErrForm
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
	case graph.Cast: // the mask counts with 0 and 1
		of := v.Args()[0]
		yes := op.To == format.Bool && (of.DType == format.Bool || of.Role().Kind == role.AttentionMask)
		if args[0].given != nil || !yes && op.To != format.Float32 {
			return nil, ErrForm
		}
		return &sheets{shape: shape, row: args[0].row, list: args[0].list}, nil
	case graph.Where:
		return f.where(v, args[0], args[1], args[2], shape)
	case graph.Binary:
		return f.arithmetic(v, op, args[0], args[1], shape)
	case graph.Unary:
		if !flatUnary[op] || args[0].given != nil {
			return nil, ErrForm
		}
		return f.each(v, args[0], shape, func(x *graph.Value) *graph.Value { return f.b.Apply(op, 1, x)[0] }), nil
	case graph.Softmax: // (1,H,T,S) over S → H × (T,S) over columns
		x := args[0].at(len(shape) - 2)
		if x == nil || op.Axis != len(shape)-1 {
			return nil, ErrForm
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
	return nil, fmt.Errorf("the flat profile does not support this operator")
}

// flatUnary lists the functions of one argument that onnx-go has.
var flatUnary = map[graph.Unary]bool{
	graph.Sqrt: true, graph.Tanh: true, graph.Relu: true, graph.Identity: true, graph.Exp: true, graph.Sigmoid: true,
	graph.Neg: true, graph.Abs: true, graph.Log: true, graph.Sin: true, graph.Cos: true,
}
