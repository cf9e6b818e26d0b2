package export

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// value writes the node of one value: one case an operator.
func (e *emitter) value(v *graph.Value) error {
	if v.Op.Leaf() {
		if v.Op == graph.Const {
			return e.initializer(v.Name, v.Attr.Value)
		}
		return nil // inputs and weights are written already
	}
	inputs := make([]string, len(v.Args))
	for i, a := range v.Args {
		inputs[i] = a.Name
	}
	if err := e.operator(v, inputs); err != nil {
		return err
	}
	if !e.form.valueInfo || e.isOutput(v) {
		return nil
	}
	i, err := info(v.Name, v)
	e.out.Values = append(e.out.Values, i)
	return err
}

func (e *emitter) isOutput(v *graph.Value) bool {
	for _, o := range e.graph.Outputs {
		if o.Name == v.Name {
			return true
		}
	}
	return false
}

func (e *emitter) operator(v *graph.Value, inputs []string) error {
	name := v.Op.String()
	axis := onnx.IntAttr("axis", int64(v.Attr.Axis))
	switch v.Op {
	case graph.MatMul, graph.Sum, graph.Add, graph.Sub, graph.Mul, graph.Div,
		graph.Neg, graph.Exp, graph.Log, graph.Sqrt, graph.Tanh, graph.Relu, graph.Identity, graph.Equal, graph.Where:
		e.node(name, v.Name, inputs)
	case graph.Gather, graph.Concat, graph.GatherElements:
		e.node(name, v.Name, inputs, axis)
	case graph.Softmax, graph.LogSoftmax:
		if e.opset < 13 && v.Attr.Axis != len(v.Shape)-1 {
			return fmt.Errorf("before opset 13 it runs over all axes from %d on, not that one", v.Attr.Axis)
		}
		e.node(name, v.Name, inputs, axis)
	case graph.ReduceSum, graph.ReduceMean:
		e.reduce(v, inputs)
	case graph.Reshape:
		return e.reshape(v, inputs)
	case graph.Transpose:
		e.node(name, v.Name, inputs, onnx.IntsAttr("perm", int64s(v.Attr.Perm)...))
	case graph.Split:
		e.resultsOnce(v, inputs, len(v.Attr.Sizes), splitNode)
	case graph.Slice:
		return e.slice(v, inputs)
	case graph.Range, graph.ConstantOfShape, graph.Trilu:
		return e.fromSizes(v, inputs)
	case graph.Cast:
		t, err := dataType(v.DType)
		e.node(name, v.Name, inputs, onnx.IntAttr("to", int64(t)))
		return err
	case graph.LayerNormalization:
		e.resultsOnce(v, inputs, 3, layerNormalizationNode)
	case graph.Gemm:
		e.node(name, v.Name, inputs, gemmAttributes(v.Attr)...)
	case graph.OneHot:
		e.node(name, v.Name, append(inputs, e.integers(int64(v.Attr.Depth)), e.offOn()))
	case graph.ScatterElements:
		if e.opset < 16 {
			return fmt.Errorf("before opset 16 it does not add")
		}
		e.node(name, v.Name, inputs, axis, onnx.StringAttr("reduction", "add"))
	default:
		return fmt.Errorf("it has no node of its own in any profile: Lower writes it with others")
	}
	return nil
}

// reduce writes the axes where the operator set has them: ReduceSum takes them
// as an input from opset 13 on, ReduceMean from 18.
func (e *emitter) reduce(v *graph.Value, inputs []string) {
	keep := onnx.IntAttr("keepdims", 0)
	if v.Attr.KeepDims {
		keep.Int = 1
	}
	axes := int64s(v.Attr.Axes)
	if since := map[graph.Op]int64{graph.ReduceSum: 13, graph.ReduceMean: 18}[v.Op]; e.opset >= since {
		e.node(v.Op.String(), v.Name, append(inputs, e.integers(axes...)), keep)
		return
	}
	e.node(v.Op.String(), v.Name, inputs, onnx.IntsAttr("axes", axes...), keep)
}

// reshape writes the target with 0 for an open axis that stays in its place,
// and -1 for one that does not, of which there may be one.
func (e *emitter) reshape(v *graph.Value, inputs []string) error {
	target := make([]int64, len(v.Shape))
	moved := 0
	from := v.Args[0].Shape
	for i, d := range v.Shape {
		n, ok := d.Number()
		switch {
		case ok && n == 0:
			return fmt.Errorf("shape %s has an empty axis, which ONNX's Reshape reads as a copied one", v.Shape)
		case ok:
			target[i] = int64(n)
		case i < len(from) && from[i] == d:
			target[i] = 0
		default:
			target[i] = -1
			moved++
		}
	}
	if moved > 1 {
		return fmt.Errorf("from %s to %s more than one open axis moves", from, v.Shape)
	}
	e.node("Reshape", v.Name, append(inputs, e.integers(target...)))
	return nil
}

// resultsOnce writes one node for all results that the graph uses of an
// application of an operator, when the first of them comes by. A result that
// nothing uses is not in the graph; it gets a name of its own here.
func (e *emitter) resultsOnce(v *graph.Value, inputs []string, most int, write func(e *emitter, v *graph.Value, n *onnx.Node)) {
	names := make([]string, most)
	var first *graph.Value
	for _, w := range e.graph.Values {
		if w.Op == v.Op && slices.Equal(w.Args, v.Args) && sameApplication(w.Attr, v.Attr) && names[w.Attr.Result] == "" {
			if first == nil {
				first = w
			}
			names[w.Attr.Result] = w.Name
		}
	}
	if names[v.Attr.Result] != v.Name { // the same result a second time
		e.node("Identity", v.Name, []string{names[v.Attr.Result]})
		return
	}
	if first != v {
		return
	}
	for i := range names {
		if names[i] == "" {
			names[i] = fmt.Sprintf("%s.unused_%d", v.Name, i)
		}
	}
	n := &onnx.Node{Op: v.Op.String(), Name: v.Name, Inputs: inputs, Outputs: names}
	write(e, v, n)
	e.out.Nodes = append(e.out.Nodes, n)
}

// sameApplication reports whether attributes differ in the number of the
// result alone, of those that operators with several results have.
func sameApplication(a, b graph.Attr) bool {
	return a.Axis == b.Axis && slices.Equal(a.Sizes, b.Sizes) && a.Epsilon == b.Epsilon
}

func splitNode(e *emitter, v *graph.Value, n *onnx.Node) {
	n.Name = n.Outputs[0]
	n.Attributes = []onnx.Attribute{onnx.IntAttr("axis", int64(v.Attr.Axis))}
	if e.opset >= 13 {
		n.Inputs = append(n.Inputs, e.integers(int64s(v.Attr.Sizes)...))
	} else {
		n.Attributes = append(n.Attributes, onnx.IntsAttr("split", int64s(v.Attr.Sizes)...))
	}
}

// layerNormalizationNode leaves out the last results as long as nothing uses
// them: ONNX has them optional, and a runtime then need not compute them.
func layerNormalizationNode(e *emitter, v *graph.Value, n *onnx.Node) {
	for last := len(n.Outputs) - 1; n.Outputs[last] == fmt.Sprintf("%s.unused_%d", v.Name, last); last-- {
		n.Outputs = n.Outputs[:last]
	}
	n.Attributes = []onnx.Attribute{onnx.IntAttr("axis", int64(len(v.Args[0].Shape)-1)), onnx.FloatAttr("epsilon", float32(v.Attr.Epsilon))}
}

// gemmAttributes writes a turn only where there is one.
func gemmAttributes(a graph.Attr) (attrs []onnx.Attribute) {
	if a.TransA {
		attrs = append(attrs, onnx.IntAttr("transA", 1))
	}
	if a.TransB {
		attrs = append(attrs, onnx.IntAttr("transB", 1))
	}
	return attrs
}

func (e *emitter) slice(v *graph.Value, inputs []string) error {
	start, limit, err := e.bounds(v)
	if err != nil {
		return err
	}
	e.node("Slice", v.Name, append(inputs, start, limit, e.integers(int64(v.Attr.Axis))))
	return nil
}

// bounds returns the names of a Slice's first and last positions. The last
// positions of an open axis are counted from its end, as ONNX has it.
func (e *emitter) bounds(v *graph.Value) (start, limit string, err error) {
	axis := v.Args[0].Shape[v.Attr.Axis]
	if n, ok := v.Shape[v.Attr.Axis].Number(); ok && n > 0 && v.Attr.Limit == axis && len(axis.Symbols()) > 0 {
		return e.integers(int64(-n)), e.integers(math.MaxInt64), nil
	}
	if start, err = e.size(v.Attr.Start); err != nil {
		return "", "", err
	}
	limit, err = e.size(v.Attr.Limit)
	return start, limit, err
}

func int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}
