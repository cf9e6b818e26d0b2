package onnx

import (
	"fmt"
	"slices"
)

// label names a node for a reader: by its name, else by its first output.
func (n *Node) label(i int) string {
	switch {
	case n.Name != "":
		return fmt.Sprintf("node %q (%s)", n.Name, shown(n.Op))
	case len(n.Outputs) > 0:
		return fmt.Sprintf("node of %q (%s)", n.Outputs[0], shown(n.Op))
	}
	return fmt.Sprintf("node %d (%s)", i, shown(n.Op))
}

// node checks a node by itself; s is what its attributes' graphs may use.
func (c checker) node(n *Node, where string, s *scope) error {
	domain := standard(n.Domain)
	version := c.domains[domain]
	if version == 0 {
		return bad(where, "the model does not import operator set %q", domain)
	}
	if len(n.Outputs) == 0 {
		return bad(where, "it has no outputs")
	}
	names := make([]string, 0, len(n.Attributes))
	for _, a := range n.Attributes {
		if a.Name == "" || slices.Contains(names, a.Name) {
			return bad(where, "attribute %q has no name or is there twice", a.Name)
		}
		names = append(names, a.Name)
		if err := c.attribute(a, fmt.Sprintf("%s attribute %q", where, a.Name), s); err != nil {
			return err
		}
	}
	row, known := standardOps[n.Op]
	if domain != "" {
		if row, known = microsoftOps[n.Op]; domain != Microsoft || !known {
			return nil
		}
	}
	switch {
	case !known:
		return unsupported(where, "%q is no operator that attnx knows", n.Op)
	case version < row.since:
		return bad(where, "%s came with opset %d, the model has %d", n.Op, row.since, version)
	case len(n.Inputs) < row.minInputs || row.maxInputs >= 0 && len(n.Inputs) > row.maxInputs:
		return bad(where, "%s with %d inputs", n.Op, len(n.Inputs))
	case slices.Contains(n.Inputs[:row.minInputs], ""):
		return bad(where, "%s without input %d", n.Op, slices.Index(n.Inputs, ""))
	case row.outputs >= 0 && len(n.Outputs) > row.outputs:
		return bad(where, "%s with %d outputs", n.Op, len(n.Outputs))
	}
	for _, a := range row.requiredAttributes {
		if !slices.Contains(names, a) {
			return bad(where, "attribute %q is missing", a)
		}
	}
	if domain == Microsoft && n.Op == "MatMulNBits" {
		return c.blocks(n, where, s)
	}
	return nil
}

func (c checker) attribute(a Attribute, where string, s *scope) error {
	switch {
	case a.Type < AttrFloat || a.Type > AttrStrings:
		return bad(where, "it has type %d", a.Type)
	case a.Type == AttrTensor && a.Tensor == nil || a.Type == AttrGraph && a.Graph == nil:
		return bad(where, "it lacks its value")
	case a.Type == AttrTensor:
		return c.tensor(a.Tensor, where)
	case a.Type == AttrGraph:
		return c.graph(a.Graph, s)
	}
	return nil
}

func (c checker) tensor(t *Tensor, where string) error {
	if t.DataType == String {
		return unsupported(where, "tensors of strings are not supported")
	}
	if err := checkType(t.DataType, where); err != nil {
		return err
	}
	want, ok := t.bytes()
	switch {
	case !ok:
		return bad(where, "%s%v is no size", t.DataType, t.Dims)
	case t.External != nil:
		return t.checkExternal(c.dir)
	case int64(len(t.Raw)) != want:
		return bad(where, "%s%v wants %d bytes, has %d", t.DataType, t.Dims, want, len(t.Raw))
	}
	return nil
}
