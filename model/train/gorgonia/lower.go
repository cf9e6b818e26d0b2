package gorgonia

import (
	"fmt"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// lowering writes a graph with bound sizes as a Gorgonia graph, with one or a
// few nodes for each value. Like graph.Builder it keeps its first error.
type lowering[E element] struct {
	graph *G.ExprGraph
	nodes map[*graph.Value]*G.Node
	leafs map[*G.Node]*graph.Value // inputs, parameters and constants
	ops   uint32                   // number of operators
	err   error
}

func newLowering[E element]() *lowering[E] {
	return &lowering[E]{
		graph: G.NewGraph(),
		nodes: map[*graph.Value]*G.Node{},
		leafs: map[*G.Node]*graph.Value{},
	}
}

// lower records the nodes of n, whose arguments are already lowered.
func (l *lowering[E]) lower(n *graph.Node) {
	args := make(G.Nodes, len(n.Args))
	for i, a := range n.Args {
		args[i] = l.nodes[a]
	}
	if split, ok := n.Op.(graph.Split); ok {
		l.split(n, split, args[0])
	} else {
		l.nodes[n.Results[0]] = l.value(n.Results[0], args)
	}
	if l.err != nil {
		l.err = &graph.UnsupportedError{Node: n.Name(), Err: fmt.Errorf("%w (value %.80q)", l.err, n.Name())}
	}
}

// native reports whether the engine has a kernel for n. Other nodes are
// decomposed.
func native(n *graph.Node) bool {
	switch op := n.Op.(type) {
	case graph.LayerNormalization:
		return len(n.Args) == 3 && len(n.Results) == 1
	case graph.Gelu:
		return op.Approximate == "tanh"
	case graph.TrackMoment: // its derivative is its own
		return true
	case graph.Attention: // as many heads of keys as of queries, with one width
		q, k, v := n.Args[0], n.Args[1], n.Args[2]
		if len(n.Args) == 4 {
			mask := n.Args[3]
			scores := graph.Shape{q.Shape[0], graph.N(1), q.Shape[2], k.Shape[2]}
			if !mask.Shape.Equal(scores) && !mask.Shape.Equal(scores[2:]) {
				return false
			}
		}
		return !op.Causal && q.Shape[1] == k.Shape[1] && k.Shape.Equal(v.Shape) && (len(n.Args) == 3 || n.Args[3].DType.Float())
	case graph.SoftmaxCrossEntropyLoss, graph.OneHot: // they reject ids that are not classes
		return true
	}
	return false
}

// inForms rewrites operators to the form that the kernels have: causal
// attention with an explicit mask, which is constant once the sizes are bound,
// and Gather along the first axis.
func inForms(g *graph.Graph) (*graph.Graph, error) {
	return graph.Rewrite(g, func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		switch op := n.Op.(type) {
		case graph.Attention:
			if op.Causal {
				return []*graph.Value{b.Attention(graph.Attention{Scale: op.Scale}, args[0], args[1], args[2], op.Bias(b, args))}
			}
		case graph.Gather:
			if op.Axis != 0 {
				y := b.Gather(b.Transpose(args[0], moved(len(args[0].Shape), op.Axis, 1, 0)...), args[1])
				return []*graph.Value{b.Transpose(y, moved(len(y.Shape), 0, len(args[1].Shape), op.Axis)...)}
			}
		}
		return nil
	})
}

// moved returns the permutation of rank axes that moves count axes at from to
// to.
func moved(rank, from, count, to int) []int {
	perm := make([]int, rank)
	for i := range perm {
		perm[i] = i
	}
	some := slices.Clone(perm[from : from+count])
	return slices.Insert(slices.Delete(perm, from, from+count), to, some...)
}

// value maps each operator to its kernel.
func (l *lowering[E]) value(v *graph.Value, args G.Nodes) *G.Node {
	switch op := v.Op().(type) {
	case graph.Input, graph.Param, graph.Const, graph.Range, graph.ConstantOfShape:
		return l.leaf(v)
	case graph.Unary:
		if op.Float() == nil && op != graph.Not && op != graph.Identity {
			break
		}
		return l.unary(op, v, args[0])
	case graph.Binary:
		if op.Float() == nil && op.Compare() == nil && op.Logic() == nil {
			break
		}
		return l.binaryOf(op, v, args[0], args[1])
	case graph.Where:
		return l.where(v, args[0], args[1], args[2])
	case graph.Cast:
		return l.cast(v, args[0])
	case graph.Gather:
		return l.gather(v, args[0], args[1])
	case graph.GatherElements:
		return l.gatherElements(op, v, args[0], args[1])
	case graph.ScatterElements:
		return l.scatterElements(op, v, args[0], args[1], args[2])
	case graph.OneHot:
		return l.oneHot(op, v, args[0])
	case graph.MatMul:
		return l.matMul(v, args[0], args[1])
	case graph.Softmax:
		return l.softmax(v, op.Axis, args[0])
	case graph.LogSoftmax:
		return l.logSoftmax(v, op.Axis, args[0])
	case graph.Reduce:
		return l.reduce(op, v, args[0])
	case graph.Reshape:
		return l.view(args[0], 0, l.sizes(v))
	case graph.Expand:
		return l.expand(args[0], l.sizes(v.Args()[0]), l.sizes(v))
	case graph.Transpose:
		return l.transpose(args[0], l.sizes(v.Args()[0]), op.Perm)
	case graph.Concat:
		return l.concat(op.Axis, v, args)
	case graph.Slice:
		return l.slice(op, v, args[0])
	case graph.Trilu:
		return l.trilu(op, v, args[0])
	case graph.CumSum:
		return l.cumSum(op, args[0], l.sizes(v))
	case graph.ArgMax:
		return l.argMax(op, v, args[0])
	case graph.LayerNormalization:
		return l.layerNormalization(op, v, args[0], args[1], args[2])
	case graph.Gelu:
		return l.gelu(args[0])
	case graph.TrackMoment:
		return l.track(op.Weight, args[0], args[1], args[2])
	case graph.Attention:
		return l.attention(op, v, args)
	case graph.SoftmaxCrossEntropyLoss:
		return l.crossEntropy(op, v, args[0], args[1])
	}
	return l.fail("%s is not supported by the Gorgonia engine", v.Op().Name())
}

// fail keeps the first error.
func (l *lowering[E]) fail(format string, args ...any) *G.Node {
	if l.err == nil {
		l.err = fmt.Errorf("train: "+format, args...)
	}
	return nil
}

// float returns the Gorgonia name of E.
func (l *lowering[E]) float() tensor.Dtype {
	if _, ok := any(*new(E)).(float64); ok {
		return tensor.Float64
	}
	return tensor.Float32
}

// dtype returns the type in which the engine computes t: every floating-point
// type in E.
func (l *lowering[E]) dtype(t format.DType) tensor.Dtype {
	switch t {
	case format.Float32, format.Float64:
		return l.float()
	case format.Int64:
		return tensor.Int64
	case format.Bool:
		return tensor.Bool
	}
	l.fail("element type %s is not supported by the Gorgonia engine", t)
	return l.float()
}

// sizes returns the shape of v for Gorgonia: a scalar has one axis of length
// 1, because Gorgonia's scalars are a separate type.
func (l *lowering[E]) sizes(v *graph.Value) []int {
	s, ok := v.Shape.Numbers()
	if !ok {
		l.fail("shape %s is not bound", v.Shape)
	}
	for _, d := range s {
		if d < 1 {
			l.fail("shape %v has an empty axis", s)
		}
	}
	if len(s) == 0 {
		return []int{1}
	}
	return s
}

// leaf records an input, a parameter or a constant.
func (l *lowering[E]) leaf(v *graph.Value) *G.Node {
	s := l.sizes(v)
	t := l.dtype(v.DType)
	if l.err != nil {
		return nil
	}
	n := G.NewTensor(l.graph, t, len(s), G.WithShape(s...), G.WithName(v.Name))
	l.leafs[n] = v
	return n
}

// apply records one operator.
func (l *lowering[E]) apply(name string, t tensor.Dtype, shape []int, k kernel[E], r rule, args ...*G.Node) *G.Node {
	return l.record(&operator[E]{name: name, dtype: t, shape: shape, kernel: k, rule: r}, args)
}

// view records the elements of x from offset on in another shape. It costs
// nothing at run time. Its gradient is zero for the other elements of x.
func (l *lowering[E]) view(x *G.Node, offset int, shape []int) *G.Node {
	if l.err != nil {
		return nil
	}
	from := x.Shape().Clone()
	return l.record(&operator[E]{name: "View", dtype: x.Dtype(), shape: shape, offset: offset, rule: func(_ G.Nodes, _, grad *G.Node) G.Nodes {
		if tensor.Shape(shape).TotalSize() == from.TotalSize() {
			return G.Nodes{l.view(grad, 0, from)}
		}
		return G.Nodes{l.apply("Pad", l.float(), from, func(out operand[E], in []operand[E]) error {
			clear(out.f)
			copy(out.f[offset:], in[0].f)
			return nil
		}, nil, grad)}
	}}, []*G.Node{x})
}

// result records the first of several results that an operator packs into one
// value. Only the operator's rule knows the others; it gets the gradient of
// the first unchanged.
func (l *lowering[E]) result(packed *G.Node, shape []int) *G.Node {
	if l.err != nil {
		return nil
	}
	first := &operator[E]{name: "Result", dtype: packed.Dtype(), shape: shape, rule: func(_ G.Nodes, _, grad *G.Node) G.Nodes {
		return G.Nodes{grad}
	}}
	return l.record(first, []*G.Node{packed})
}

func (l *lowering[E]) record(o *operator[E], args []*G.Node) *G.Node {
	if l.err != nil {
		return nil
	}
	l.ops++
	o.serial = l.ops
	for _, a := range args {
		o.in = append(o.in, hm.Type(G.TensorType{Dims: a.Dims(), Of: a.Dtype()}))
	}
	n, err := G.ApplyOp(o, args...)
	if err != nil {
		return l.fail("Gorgonia refuses %s: %v", o.name, err)
	}
	return n
}
