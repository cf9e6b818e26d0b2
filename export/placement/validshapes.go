package placement

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// declaredShapes returns the shapes that a graph says of its values, and those of
// its constants. A size without a number is -1.
func declaredShapes(g *onnx.Graph) map[string][]int64 {
	shapes := map[string][]int64{}
	for _, list := range [][]onnx.ValueInfo{g.Values, g.Inputs, g.Outputs} {
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

// axisOf are the operators with an axis of their first input. The second number
// is how far beyond the last axis it may go.
var axisOf = map[string]int64{
	"ArgMax": 0, "ArgMin": 0, "Concat": 0, "Flatten": 1, "Gather": 0, "GatherElements": 0, "Hardmax": 0, "LayerNormalization": 0, "LogSoftmax": 0,
	"LpNormalization": 0, "RMSNormalization": 0, "Scatter": 0, "ScatterElements": 0, "Softmax": 0, "Split": 0, "TopK": 0,
}

// broadcasting are the operators whose inputs broadcast, from opset 7 on.
var broadcasting = map[string]bool{
	"Add": true, "And": true, "BitwiseAnd": true, "BitwiseOr": true, "BitwiseXor": true, "Div": true, "Equal": true, "Greater": true,
	"GreaterOrEqual": true, "Less": true, "LessOrEqual": true, "Max": true, "Mean": true, "Min": true, "Mod": true, "Mul": true, "Or": true,
	"Pow": true, "Sub": true, "Sum": true, "Where": true, "Xor": true,
}

// shapeless are the operators that take any shape.
var shapeless = map[string]bool{
	"Abs": true, "Acos": true, "Acosh": true, "Asin": true, "Asinh": true, "Atan": true, "Atanh": true, "Cast": true, "Ceil": true, "Celu": true,
	"Clip": true, "Constant": true, "Cos": true, "Cosh": true, "Elu": true, "Erf": true, "Exp": true, "Floor": true, "Gelu": true, "HardSigmoid": true,
	"HardSwish": true, "Identity": true, "IsInf": true, "IsNaN": true, "LeakyRelu": true, "Log": true, "Mish": true, "Neg": true, "Not": true,
	"Reciprocal": true, "Relu": true, "Round": true, "Selu": true, "Shape": true, "Sigmoid": true, "Sign": true, "Sin": true, "Sinh": true, "Size": true,
	"Softplus": true, "Softsign": true, "Sqrt": true, "Swish": true, "Tan": true, "Tanh": true, "ThresholdedRelu": true,
}

// compared reports whether all that a node's operator expects of shapes was
// looked at.
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
	if broadcasting[n.Op] && p.schemas[i] != nil && p.schemas[i].since >= 7 {
		inputs = len(n.Inputs)
	}
	for _, in := range n.Inputs[:min(inputs, len(n.Inputs))] {
		if p.shapes[in] == nil {
			return false
		}
	}
	return inputs > 0
}

// misshapen compares the declared shapes of a node's inputs with what its
// operator makes of them.
func (p *planner) misshapen(n *onnx.Node, s *schema) string {
	if standard(n.Domain) != "" || len(n.Inputs) == 0 {
		return ""
	}
	a, known := p.shapes[n.Inputs[0]]
	rank := int64(len(a))
	for _, x := range n.Attributes {
		if over, ok := axisOf[n.Op]; ok && known && x.Name == "axis" && x.Type == onnx.AttrInt && (x.Int < -rank || x.Int > rank-1+over) {
			return fmt.Sprintf("axis %d of %.80q, which has %d axes", x.Int, n.Inputs[0], rank)
		}
		if n.Op == "Transpose" && known && x.Name == "perm" && !permutation(x.Ints, rank) {
			return fmt.Sprintf("perm %v of %.80q, which has %d axes", x.Ints, n.Inputs[0], rank)
		}
	}
	switch {
	case n.Op == "MatMul" && known && len(n.Inputs) > 1:
		if b, ok := p.shapes[n.Inputs[1]]; ok {
			return productOf(n, a, b)
		}
	case n.Op == "Concat":
		return p.unequalConcat(n)
	case broadcasting[n.Op] && s.since >= 7:
		return p.unequal(n)
	}
	return ""
}

func permutation(perm []int64, rank int64) bool {
	sorted := slices.Sorted(slices.Values(perm))
	for i, axis := range sorted {
		if axis != int64(i) {
			return false
		}
	}
	return int64(len(perm)) == rank
}

// productOf compares the inner sizes of a matrix product.
func productOf(n *onnx.Node, a, b []int64) string {
	if len(a) == 0 || len(b) == 0 {
		return "a product with a number that is not a matrix"
	}
	inner := b[max(0, len(b)-2)]
	if last := a[len(a)-1]; last >= 0 && inner >= 0 && last != inner {
		return fmt.Sprintf("%.80q has %d columns, %.80q has %d rows", n.Inputs[0], last, n.Inputs[1], inner)
	}
	return ""
}

// unequal compares the shapes of inputs that broadcast: from the last axis on
// sizes are equal, or one is 1.
func (p *planner) unequal(n *onnx.Node) string {
	wide := map[int]string{} // by axes from the last: an input with a size other than 1
	for _, x := range n.Inputs {
		shape := p.shapes[x]
		for k := 1; k <= len(shape); k++ {
			size := shape[len(shape)-k]
			if size < 0 || size == 1 {
				continue
			}
			other, ok := wide[k]
			if !ok {
				wide[k] = x
				continue
			}
			if o := p.shapes[other]; o[len(o)-k] != size {
				return fmt.Sprintf("%.80q %v and %.80q %v do not broadcast", other, o, x, shape)
			}
		}
	}
	return ""
}

// unequalConcat compares the shapes of inputs that are put one behind the other:
// only the sizes of that axis may differ.
func (p *planner) unequalConcat(n *onnx.Node) string {
	axis := int64(0)
	for _, a := range n.Attributes {
		if a.Name == "axis" {
			axis = a.Int
		}
	}
	first, known := p.shapes[n.Inputs[0]]
	for _, x := range n.Inputs[1:] {
		shape, ok := p.shapes[x]
		if !known || !ok {
			continue
		}
		if len(shape) != len(first) {
			return fmt.Sprintf("%.80q %v and %.80q %v have other numbers of axes", n.Inputs[0], first, x, shape)
		}
		for k := range shape {
			if int64(k) != axis && int64(k-len(shape)) != axis && shape[k] >= 0 && first[k] >= 0 && shape[k] != first[k] {
				return fmt.Sprintf("%.80q %v and %.80q %v differ beside axis %d", n.Inputs[0], first, x, shape, axis)
			}
		}
	}
	return ""
}
