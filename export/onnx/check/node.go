package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// experimental are operators of ONNX's first versions that were never
// specified. The checker accepts any node of them.
var experimental = []string{
	"ATen", "Affine", "ConstantFill", "Crop", "DynamicSlice", "GRUUnit", "GivenTensorFill", "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh",
}

// closed are the domains in which an unspecified operator is an error.
var closed = []string{"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training"}

func (c *checker) node(n *onnx.Node, where string, s *scope) {
	if n.Op == "" {
		c.bad(where, "it has no operator")
	}
	if len(n.Inputs) == 0 && len(n.Outputs) == 0 {
		c.bad(where, "it has no inputs and no outputs")
	}
	version, imported := s.opsets.of(n.Domain)
	if !imported {
		c.bad(where, "the model does not import operator set %.80q", n.Domain)
	}
	seen := map[string]bool{}
	for i := range n.Attributes {
		a := &n.Attributes[i]
		at := fmt.Sprintf("%s attribute %.80q", where, a.Name)
		if seen[a.Name] {
			c.bad(at, "it is there twice")
		}
		seen[a.Name] = true
		c.attribute(a, at, s)
		if c.full() {
			return
		}
	}
	if !imported || schema.Standard(n.Domain) == "" && slices.Contains(experimental, n.Op) {
		return
	}
	o := lookup(n, version)
	switch {
	case o == nil && slices.Contains(closed, n.Domain):
		c.bad(where, "opset %d of %s has no %.80q", version, domainName(n.Domain), n.Op)
	case o != nil && o.Deprecated:
		c.bad(where, "%.80q was removed in opset %d, the model has %d", n.Op, o.Since, version)
	case o != nil:
		if why := Signature(n, o); why != "" {
			c.bad(where, "%s", why)
		}
	}
}

func domainName(domain string) string {
	if domain == "" {
		return "ai.onnx"
	}
	return fmt.Sprintf("%.80q", domain)
}

// lookup returns the definition of a node's operator, nil if ONNX has none. The
// checker knows neither the operators of com.microsoft, which are ONNX
// Runtime's, nor those of the standard domain under its second name.
func lookup(n *onnx.Node, version int64) *schema.Operator {
	if n.Domain == "ai.onnx" || n.Domain == onnx.Microsoft {
		return nil
	}
	return schema.Lookup(n.Domain, n.Op, version)
}

// Signature returns why a node does not match an operator: the number of its
// inputs or outputs, an omitted value, or an attribute. It is empty if the node
// matches.
func Signature(n *onnx.Node, o *schema.Operator) string {
	name := fmt.Sprintf("%s-%d", n.Op, o.Since)
	switch {
	case len(n.Inputs) < o.MinInputs || len(n.Inputs) > o.MaxInputs:
		return fmt.Sprintf("%s has %s, the node has %d", name, between(o.MinInputs, o.MaxInputs, "inputs"), len(n.Inputs))
	case len(n.Outputs) < o.MinOutputs || len(n.Outputs) > o.MaxOutputs:
		return fmt.Sprintf("%s has %s, the node has %d", name, between(o.MinOutputs, o.MaxOutputs, "outputs"), len(n.Outputs))
	case !o.TakesOutputs(len(n.Outputs)):
		return fmt.Sprintf("%s has no version with %d outputs", name, len(n.Outputs))
	}
	for i, in := range n.Inputs[:min(len(n.Inputs), len(o.Inputs))] {
		if in == "" && o.Inputs[i].Option == schema.Single {
			return fmt.Sprintf("%s needs input %d (%s)", name, i, o.Inputs[i].Name)
		}
	}
	for i, out := range n.Outputs[:min(len(n.Outputs), len(o.Outputs))] {
		if out == "" && o.Outputs[i].Option == schema.Single {
			return fmt.Sprintf("%s needs output %d (%s)", name, i, o.Outputs[i].Name)
		}
	}
	return attributes(n, o, name)
}

func attributes(n *onnx.Node, o *schema.Operator, name string) string {
	seen := map[string]bool{}
	for i := range n.Attributes {
		a := &n.Attributes[i]
		seen[a.Name] = true
		known := o.Attribute(a.Name)
		switch {
		case known == nil && (o.AnyAttribute || strings.HasPrefix(a.Name, "__")):
		case known == nil:
			return fmt.Sprintf("%s has no attribute %.80q", name, a.Name)
		case a.Type != known.Type:
			return fmt.Sprintf("attribute %.80q is of type %s, %s has type %s", a.Name, a.Type, name, known.Type)
		case a.Ref == "" && lacksValue(a):
			return fmt.Sprintf("attribute %.80q lacks its value", a.Name)
		}
	}
	for i := range o.Attributes {
		if a := &o.Attributes[i]; a.Required && !seen[a.Name] {
			return fmt.Sprintf("attribute %.80q is missing", a.Name)
		}
	}
	return ""
}

// lacksValue reports whether an attribute whose type is a single message has no
// value.
func lacksValue(a *onnx.Attribute) bool {
	switch a.Type {
	case onnx.AttrTensor:
		return a.Tensor == nil
	case onnx.AttrGraph:
		return a.Graph == nil
	case onnx.AttrSparse:
		return len(a.Sparse) == 0
	case onnx.AttrType:
		return len(a.Types) == 0
	}
	return false
}

func between(least, most int, what string) string {
	switch {
	case most == schema.Many:
		return fmt.Sprintf("%d or more %s", least, what)
	case least == most:
		return fmt.Sprintf("%d %s", most, what)
	}
	return fmt.Sprintf("%d to %d %s", least, most, what)
}

// attribute checks an attribute and the graphs and tensors in it.
func (c *checker) attribute(a *onnx.Attribute, where string, s *scope) {
	if a.Name == "" {
		c.bad(where, "it has no name")
	}
	if a.Type < 0 || a.Type > onnx.AttrTypes || a.Type == 0 && c.ir >= 2 {
		c.bad(where, "it has type %d", a.Type)
	}
	held := valuesOf(a)
	switch {
	case len(held) == 0 && a.Mistyped:
		c.bad(where, "it has the type %s and a value of another", a.Type)
	case len(held) > 1:
		c.bad(where, "it has values of the types %s and %s", held[0], held[1])
	case len(held) == 1 && a.Type != 0 && !slices.Contains(held, a.Type):
		c.bad(where, "it has the type %s and a value of type %s", a.Type, held[0])
	case len(held) > 0 && a.Ref != "" && !s.main:
		c.bad(where, "it has a value and refers to an attribute of the function")
	}
	for _, t := range append(slices.Clip(a.Tensors), a.Tensor) {
		if t != nil {
			c.tensor(t, where)
		}
	}
	for _, t := range a.Sparse {
		c.sparse(t, where)
	}
	for _, g := range append(slices.Clip(a.Graphs), a.Graph) {
		if g != nil {
			c.graph(g, s.within())
		}
	}
}

// valuesOf returns the types of the values in an attribute. A zero number or an
// empty text looks the same as a missing one.
func valuesOf(a *onnx.Attribute) (held []onnx.AttributeType) {
	single := func(is bool, t onnx.AttributeType) {
		if is {
			held = append(held, t)
		}
	}
	single(a.Float != 0, onnx.AttrFloat)
	single(a.Int != 0, onnx.AttrInt)
	single(len(a.String) > 0, onnx.AttrString)
	single(a.Tensor != nil, onnx.AttrTensor)
	single(a.Graph != nil, onnx.AttrGraph)
	single(len(a.Floats) > 0, onnx.AttrFloats)
	single(len(a.Ints) > 0, onnx.AttrInts)
	single(len(a.Strings) > 0, onnx.AttrStrings)
	single(len(a.Tensors) > 0, onnx.AttrTensors)
	single(len(a.Graphs) > 0, onnx.AttrGraphs)
	one := func(n int, one, many onnx.AttributeType) {
		if n > 0 && (n > 1 || a.Type != one) {
			one = many
		}
		single(n > 0, one)
	}
	one(len(a.Sparse), onnx.AttrSparse, onnx.AttrSparses)
	one(len(a.Types), onnx.AttrType, onnx.AttrTypes)
	return held
}
