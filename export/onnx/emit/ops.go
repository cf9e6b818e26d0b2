package emit

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// write writes the node of n: one case for each operator.
func (e *emitter) write(n *graph.Node) error {
	switch op := n.Op.(type) {
	case graph.Const:
		return e.initializer(n.Name(), op.Value)
	case graph.Input, graph.Param:
		return nil // written already
	}
	inputs := names(n.Args)
	if err := e.operator(n, inputs); err != nil {
		return err
	}
	if !e.form.ValueInfo {
		return nil
	}
	for _, v := range n.Results {
		if e.isOutput(v) {
			continue
		}
		i, err := info(v.Name, v)
		if err != nil {
			return err
		}
		e.out.Values = append(e.out.Values, i)
	}
	return nil
}

func (e *emitter) isOutput(v *graph.Value) bool {
	for _, o := range e.graph.Outputs {
		if o.Name == v.Name {
			return true
		}
	}
	return false
}

func (e *emitter) operator(n *graph.Node, inputs []string) error {
	name, v := n.Op.Name(), n.Results[0]
	axis := func(a int) onnx.Attribute { return onnx.IntAttr("axis", int64(a)) }
	switch op := n.Op.(type) {
	case graph.Unary, graph.Where, graph.MatMul:
		e.node(name, v.Name, inputs)
	case graph.Binary:
		return e.binary(op, n, inputs)
	case graph.Gather:
		e.node(name, v.Name, inputs, axis(op.Axis))
	case graph.Concat:
		e.node(name, v.Name, inputs, axis(op.Axis))
	case graph.GatherElements:
		e.node(name, v.Name, inputs, axis(op.Axis))
	case graph.Softmax:
		return e.alongAxis(v, op.Axis, inputs)
	case graph.LogSoftmax:
		return e.alongAxis(v, op.Axis, inputs)
	case graph.Reduce:
		e.reduce(v, op, inputs)
	case graph.ArgMax:
		e.node(name, v.Name, inputs, axis(op.Axis), flag("keepdims", op.KeepDims))
	case graph.CumSum:
		axis, err := e.scalar(graph.N(op.Axis))
		e.node(name, v.Name, append(inputs, axis), flag("exclusive", op.Exclusive), flag("reverse", op.Reverse))
		return err
	case graph.Reshape:
		return e.reshape(v, inputs)
	case graph.Expand:
		shape, err := e.shape(op.Shape)
		e.node(name, v.Name, append(inputs, shape))
		return err
	case graph.Transpose:
		e.node(name, v.Name, inputs, onnx.IntsAttr("perm", int64s(op.Perm)...))
	case graph.Split:
		e.split(n, op, inputs)
	case graph.Slice:
		return e.slice(v, op, inputs)
	case graph.Range, graph.ConstantOfShape, graph.Trilu:
		return e.fromSizes(v, inputs)
	case graph.Cast:
		t, err := dataType(op.To)
		e.node(name, v.Name, inputs, onnx.IntAttr("to", int64(t)))
		return err
	case graph.LayerNormalization:
		last := len(n.Args[0].Shape) - 1
		e.nodeOf(n, inputs, axis(last), onnx.FloatAttr("epsilon", float32(op.Epsilon)))
	case graph.Gemm:
		e.node(name, v.Name, inputs, gemmAttributes(op)...)
	case graph.OneHot:
		e.node(name, v.Name, append(inputs, e.integers(int64(op.Depth)), e.offOn()))
	case graph.ScatterElements:
		if e.opset < 16 {
			return fmt.Errorf("before opset 16 it does not add")
		}
		e.node(name, v.Name, inputs, axis(op.Axis), onnx.StringAttr("reduction", "add"))
	case graph.LSTM:
		if op.Quantized {
			return fmt.Errorf("ONNX has none that rounds the factors of its products: export the network before it was quantized")
		}
		return e.recurrent(n, op.Activations, 3, append(recurrentAttributes(op.Reverse, op.Clip), flag("input_forget", op.InputForget))...)
	case graph.GRU:
		return e.recurrent(n, op.Activations, 2, append(recurrentAttributes(op.Reverse, op.Clip), flag("linear_before_reset", op.LinearBeforeReset))...)
	case graph.Conv, graph.MaxPool, graph.AveragePool, graph.BatchNormalization:
		e.windows(n, inputs)
	case graph.ConvTranspose:
		e.transposedConv(n, op, inputs)
	case graph.Pad:
		return e.pad(v, op, inputs)
	case graph.ScatterND:
		return e.scatterND(v, op, inputs)
	case graph.DynamicQuantizeLinear:
		e.nodeOf(n, inputs)
	case graph.QuantizeLinear:
		return e.quantizeLinear(n, op, inputs)
	default:
		return fmt.Errorf("it has no node of its own and no decomposition")
	}
	return nil
}

// transposedConv writes a ConvTranspose, which the derivative of Conv needs.
func (e *emitter) transposedConv(n *graph.Node, op graph.ConvTranspose, inputs []string) {
	ints := func(name string, v []int) onnx.Attribute { return onnx.IntsAttr(name, int64s(v)...) }
	e.nodeOf(n, inputs, ints("strides", op.Strides), ints("pads", op.Pads), ints("dilations", op.Dilations),
		ints("output_padding", op.OutputPadding), onnx.IntAttr("group", int64(op.Group)))
}

// pad writes a Pad, whose sizes are an input.
func (e *emitter) pad(v *graph.Value, op graph.Pad, inputs []string) error {
	if e.opset < 13 {
		return fmt.Errorf("before opset 13 it has other forms")
	}
	sizes, err := e.shape(append(append(graph.Shape{}, op.Before...), op.After...))
	if err != nil {
		return err
	}
	inputs = append([]string{inputs[0], sizes}, inputs[1:]...)
	e.node("Pad", v.Name, inputs, onnx.StringAttr("mode", op.Mode))
	return nil
}

// scatterND writes a ScatterND.
func (e *emitter) scatterND(v *graph.Value, op graph.ScatterND, inputs []string) error {
	if op.Reduction == "" {
		e.node("ScatterND", v.Name, inputs)
		return nil
	}
	if e.opset < 18 {
		return fmt.Errorf("before opset 18 it does not combine elements")
	}
	e.node("ScatterND", v.Name, inputs, onnx.StringAttr("reduction", op.Reduction))
	return nil
}

// windows writes the operators of convolutional networks.
func (e *emitter) windows(n *graph.Node, inputs []string) {
	ints := func(name string, v []int) onnx.Attribute { return onnx.IntsAttr(name, int64s(v)...) }
	sliding := func(strides, pads []int) []onnx.Attribute {
		return []onnx.Attribute{ints("strides", strides), ints("pads", pads)}
	}
	switch op := n.Op.(type) {
	case graph.Conv:
		e.nodeOf(n, inputs, append(sliding(op.Strides, op.Pads), ints("dilations", op.Dilations), onnx.IntAttr("group", int64(op.Group)))...)
	case graph.MaxPool:
		attributes := append(sliding(op.Strides, op.Pads), ints("kernel_shape", op.KernelShape), ints("dilations", op.Dilations), flag("ceil_mode", op.CeilMode))
		e.nodeOf(n, inputs, append(attributes, flag("storage_order", op.ColumnMajor))...)
	case graph.AveragePool:
		attributes := append(sliding(op.Strides, op.Pads), ints("kernel_shape", op.KernelShape), flag("ceil_mode", op.CeilMode))
		e.nodeOf(n, inputs, append(attributes, flag("count_include_pad", op.CountIncludePad))...)
	case graph.BatchNormalization:
		e.nodeOf(n, inputs, onnx.FloatAttr("epsilon", float32(op.Epsilon)))
	}
}

// binary writes a function of two arguments. Some have another name in ONNX.
func (e *emitter) binary(op graph.Binary, n *graph.Node, inputs []string) error {
	out := n.Name()
	switch op {
	case graph.Mod:
		if n.Args[0].DType.Float() {
			return fmt.Errorf("ONNX's Mod of numbers other than integers has the sign of the first")
		}
		e.node("Mod", out, inputs)
	case graph.FMod:
		e.node("Mod", out, inputs, onnx.IntAttr("fmod", 1))
	case graph.ShiftLeft:
		e.node("BitShift", out, inputs, onnx.StringAttr("direction", "LEFT"))
	case graph.ShiftRight:
		e.node("BitShift", out, inputs, onnx.StringAttr("direction", "RIGHT"))
	default:
		e.node(op.Name(), out, inputs)
	}
	return nil
}

func flag(name string, set bool) onnx.Attribute {
	if set {
		return onnx.IntAttr(name, 1)
	}
	return onnx.IntAttr(name, 0)
}

func (e *emitter) alongAxis(v *graph.Value, axis int, inputs []string) error {
	if e.opset < 13 && axis != len(v.Shape)-1 {
		return fmt.Errorf("before opset 13 it runs over all axes from %d on, not that one", axis)
	}
	e.node(v.Op().Name(), v.Name, inputs, onnx.IntAttr("axis", int64(axis)))
	return nil
}

// reduce writes the axes in the form of the operator set: ReduceSum takes them
// as an input from opset 13 on, the others from 18.
func (e *emitter) reduce(v *graph.Value, op graph.Reduce, inputs []string) {
	since := int64(18)
	if op.Kind == graph.ReduceSum {
		since = 13
	}
	axes, keep := int64s(op.Axes), flag("keepdims", op.KeepDims)
	if e.opset >= since {
		e.node(op.Name(), v.Name, append(inputs, e.integers(axes...)), keep)
		return
	}
	e.node(op.Name(), v.Name, inputs, onnx.IntsAttr("axes", axes...), keep)
}

// reshape writes the target shape with 0 for a named dimension that keeps its
// place, and -1 for one that does not. With several of the latter, the node
// adds or removes dimensions of size 1 if that is enough; otherwise it
// computes the target from the sizes of the inputs.
func (e *emitter) reshape(v *graph.Value, inputs []string) error {
	target := make([]int64, len(v.Shape))
	moved := 0
	from := v.Args()[0].Shape
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
	if moved <= 1 {
		e.node("Reshape", v.Name, append(inputs, e.integers(target...)))
		return nil
	}
	if axes, ok := inserted(from, v.Shape); ok {
		e.node("Unsqueeze", v.Name, append(inputs, e.integers(axes...)))
		return nil
	}
	if axes, ok := inserted(v.Shape, from); ok {
		e.node("Squeeze", v.Name, append(inputs, e.integers(axes...)))
		return nil
	}
	shape, err := e.shape(v.Shape)
	if err != nil {
		return err
	}
	e.node("Reshape", v.Name, append(inputs, shape))
	return nil
}

// inserted returns the axes of size 1 in long that short lacks; ok is false if
// there are other differences.
func inserted(short, long graph.Shape) (axes []int64, ok bool) {
	i := 0
	for axis, d := range long {
		switch {
		case i < len(short) && short[i] == d:
			i++
		case d.Is(1):
			axes = append(axes, int64(axis))
		default:
			return nil, false
		}
	}
	return axes, i == len(short)
}

// split writes the sizes in the form of the operator set.
func (e *emitter) split(n *graph.Node, op graph.Split, inputs []string) {
	axis := onnx.IntAttr("axis", int64(op.Axis))
	if e.opset >= 13 {
		e.nodeOf(n, append(inputs, e.integers(int64s(op.Sizes)...)), axis)
		return
	}
	e.nodeOf(n, inputs, axis, onnx.IntsAttr("split", int64s(op.Sizes)...))
}

// gemmAttributes writes transpositions only if they are set.
func gemmAttributes(g graph.Gemm) (attrs []onnx.Attribute) {
	if g.TransA {
		attrs = append(attrs, onnx.IntAttr("transA", 1))
	}
	if g.TransB {
		attrs = append(attrs, onnx.IntAttr("transB", 1))
	}
	return attrs
}

func (e *emitter) slice(v *graph.Value, op graph.Slice, inputs []string) error {
	start, limit, err := e.bounds(v, op)
	if err != nil {
		return err
	}
	e.node("Slice", v.Name, append(inputs, start, limit, e.integers(int64(op.Axis))))
	return nil
}

// bounds returns the names of a Slice's start and end. In a named dimension
// the end counts from the end of the axis, as ONNX allows.
func (e *emitter) bounds(v *graph.Value, op graph.Slice) (start, limit string, err error) {
	size := v.Args()[0].Shape[op.Axis]
	if n, ok := v.Shape[op.Axis].Number(); ok && n > 0 && op.Limit == size && len(size.Symbols()) > 0 {
		return e.integers(int64(-n)), e.integers(math.MaxInt64), nil
	}
	if start, err = e.size(op.Start); err != nil {
		return "", "", err
	}
	limit, err = e.size(op.Limit)
	return start, limit, err
}

func int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

// offOn returns the name of the two values of a one-hot row, stored once.
func (e *emitter) offOn() string {
	const name = "float.0.1"
	if !e.shared[name] {
		e.shared[name] = true
		raw := binary.LittleEndian.AppendUint32(nil, math.Float32bits(0))
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(1))
		e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: []int64{2}, Raw: raw})
	}
	return name
}
