package placement

import (
	"fmt"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// declaredShapes returns the declared shapes of a graph's values, and those of
// its constants. An open size is -1.
func declaredShapes(g *onnx.Graph) map[string][]int64 {
	shapes := map[string][]int64{}
	for _, list := range [][]onnx.ValueInfo{g.Values, g.Outputs, g.Inputs} { // of an input that is an output too, the input's declaration counts
		for _, v := range list {
			if v.NoShape {
				continue
			}
			shape := make([]int64, len(v.Dims))
			for i, d := range v.Dims {
				if shape[i] = d.Value; d.Open {
					shape[i] = -1
				}
			}
			shapes[v.Name] = shape
		}
	}
	for _, t := range g.Initializers {
		shapes[t.Name] = append([]int64{}, t.Dims...)
	}
	for _, n := range g.Nodes {
		for _, a := range n.Attributes {
			if constant(n) && a.Tensor != nil && len(n.Outputs) > 0 {
				shapes[n.Outputs[0]] = append([]int64{}, a.Tensor.Dims...)
			}
		}
	}
	return shapes
}

// broadcasting are the operators whose inputs broadcast, from opset 7 on.
var broadcasting = map[string]bool{
	"Add": true, "And": true, "BitwiseAnd": true, "BitwiseOr": true, "BitwiseXor": true, "Div": true, "Equal": true, "Greater": true,
	"GreaterOrEqual": true, "Less": true, "LessOrEqual": true, "Max": true, "Mean": true, "Min": true, "Mod": true, "Mul": true, "Or": true,
	"Pow": true, "Sub": true, "Sum": true, "Where": true, "Xor": true,
}

// shapeless lists the operators that accept any shape.
var shapeless = map[string]bool{
	"Abs": true, "Acos": true, "Acosh": true, "Asin": true, "Asinh": true, "Atan": true, "Atanh": true, "Cast": true, "Ceil": true, "Celu": true,
	"Clip": true, "Constant": true, "Cos": true, "Cosh": true, "Elu": true, "Erf": true, "Exp": true, "Floor": true, "Gelu": true, "HardSigmoid": true,
	"HardSwish": true, "Identity": true, "IsInf": true, "IsNaN": true, "LeakyRelu": true, "Log": true, "Mish": true, "Neg": true, "Not": true,
	"Reciprocal": true, "Relu": true, "Round": true, "Selu": true, "Shape": true, "Sigmoid": true, "Sign": true, "Sin": true, "Sinh": true, "Size": true,
	"Softplus": true, "Softsign": true, "Sqrt": true, "Swish": true, "Tan": true, "Tanh": true, "ThresholdedRelu": true,
}

// compared reports whether all conditions of a node's operator on shapes were
// checked.
func (p *planner) compared(i int) bool {
	n := p.source[i]
	if standard(n.Domain) != "" {
		return false
	}
	if shapeless[n.Op] {
		return true
	}
	rules := map[string]int{"ArgMax": 1, "ArgMin": 1, "Concat": len(n.Inputs), "Flatten": 1, "Gather": 1, "Hardmax": 1, "LogSoftmax": 1, "MatMul": 2, "Softmax": 1, "Transpose": 1}
	inputs := rules[n.Op]
	if broadcasting[n.Op] && p.schemas[i] != nil && p.schemas[i].Since >= 7 {
		inputs = len(n.Inputs)
	}
	for _, in := range n.Inputs[:min(inputs, len(n.Inputs))] {
		if p.shapes[in] == nil {
			return false
		}
	}
	return inputs > 0
}

// axisOf are the operators with an axis of their first input. The second number
// is how far beyond the last axis it may go. ONNX's own rules look at it only if
// the shapes of all inputs are known.
var axisOf = map[string]int64{
	"ArgMax": 0, "ArgMin": 0, "Concat": 0, "Flatten": 1, "Gather": 0, "GatherElements": 0, "Hardmax": 0, "LayerNormalization": 0, "LogSoftmax": 0,
	"LpNormalization": 0, "RMSNormalization": 0, "Scatter": 0, "ScatterElements": 0, "Softmax": 0, "Split": 0, "TopK": 0,
}

// misshaped returns what ONNX Runtime's own rules refuse of declared shapes, where
// ONNX's pass over it: it reads the sizes of a Resize as none if they are not known,
// and looks at the past of an Attention that gives no present.
func (p *planner) misshaped(n *onnx.Node, op *schema.Operator) string {
	if standard(n.Domain) != "" {
		return ""
	}
	for i, in := range n.Inputs {
		shape, known := p.shapes[in]
		switch {
		case in == "":
		case n.Op == "Resize" && i == 3 && op.Since >= 11 && !known:
			return fmt.Sprintf("the shape of its sizes %.80q is not known", in)
		case n.Op == "Attention" && (i == 4 || i == 5) && known && len(shape) != 4:
			return fmt.Sprintf("its past %.80q has %d axes, expects 4", in, len(shape))
		}
	}
	return ""
}

// misplaced compares an axis with the declared shape of the first input.
func (p *planner) misplaced(n *onnx.Node) string {
	over, has := axisOf[n.Op]
	if !has || standard(n.Domain) != "" || len(n.Inputs) == 0 {
		return ""
	}
	dims, known := p.shapes[n.Inputs[0]]
	rank := int64(len(dims))
	for _, a := range n.Attributes {
		if known && a.Name == "axis" && a.Type == onnx.AttrInt && (a.Int < -rank || a.Int > rank-1+over) {
			return fmt.Sprintf("axis %d of %.80q, which has %d axes", a.Int, n.Inputs[0], rank)
		}
	}
	return ""
}
