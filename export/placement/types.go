package placement

import (
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// declaredTypes returns the declared element types of a graph's values.
func declaredTypes(g *onnx.Graph) map[string]string {
	types := map[string]string{}
	for _, list := range [][]onnx.ValueInfo{g.Values, g.Outputs} {
		for _, v := range list {
			if v.DataType != 0 {
				types[v.Name] = v.DataType.String()
			}
		}
	}
	return types
}

// infer finds the element types of a node's outputs: from the node, or else from
// the graph. What neither gives stays out of p.types.
func (p *planner) infer(n *onnx.Node, s *schema.Operator, declared map[string]string) {
	for i, out := range n.Outputs {
		t := outputType(n, s, i, p.types)
		switch d := declared[out]; {
		case t == "":
			t = d
		case d != "" && d != t:
			p.other[out] = d
		}
		if out != "" && t != "" {
			p.types[out] = t
		}
	}
}

// outputType returns the type of a node's i-th output, "" if it does not
// follow from the node: from its signature, an attribute, or an input of the
// same type variable.
func outputType(n *onnx.Node, s *schema.Operator, i int, types map[string]string) string {
	if s == nil {
		return ""
	}
	p := s.Output(i)
	switch {
	case p == nil:
		return ""
	case len(p.Types) == 1:
		return p.Types[0]
	case p.Mixed:
		return ""
	}
	rule := attributeTypes[output{operator{standard(n.Domain), n.Op}, p.Name}]
	for _, a := range n.Attributes {
		switch {
		case a.Name != rule.attribute:
		case a.Type == onnx.AttrTensor:
			return a.Tensor.DataType.String()
		case a.Type == onnx.AttrInt && a.Int != 0:
			return onnx.DataType(a.Int).String()
		}
	}
	for j, in := range n.Inputs {
		if q := s.Input(j); in != "" && q != nil && q.Variable == p.Variable && !q.Mixed {
			return types[in]
		}
	}
	return rule.otherwise
}

// output identifies an output of an operator.
type output struct {
	operator
	name string
}

// attributeTypes lists the outputs whose type an attribute determines: as the
// number of an element type, or as a tensor of it. From ONNX's
// docs/Operators.md.
var attributeTypes = map[output]struct {
	attribute string
	otherwise string // without the attribute and without an input of the same type variable
}{
	{operator{"", "Cast"}, "output"}:                  {"to", ""},
	{operator{"", "ConstantOfShape"}, "output"}:       {"value", "float"},
	{operator{"", "LayerNormalization"}, "Mean"}:      {"stash_type", "float"},
	{operator{"", "LayerNormalization"}, "InvStdDev"}: {"stash_type", "float"},
	{operator{"", "QuantizeLinear"}, "y"}:             {"output_dtype", "uint8"},
}

// constants maps the attribute of a Constant to the type of its output; a
// tensor has its own type.
var constants = map[string]string{
	"value": "", "value_int": "int64", "value_ints": "int64", "value_float": "float", "value_floats": "float",
	"value_string": "string", "value_strings": "string",
}
