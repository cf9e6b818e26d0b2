package onnx

import (
	"fmt"
	"slices"
)

// Label names a node for a reader: by its name, else by its first output.
func (n *Node) Label(i int) string {
	switch {
	case n.Name != "":
		return fmt.Sprintf("node %.80q (%s)", n.Name, shown(n.Op))
	case len(n.Outputs) > 0:
		return fmt.Sprintf("node of %.80q (%s)", n.Outputs[0], shown(n.Op))
	}
	return fmt.Sprintf("node %d (%s)", i, shown(n.Op))
}

// node checks one node; s holds the names that graphs in its attributes may
// use.
func (c *checker) node(n *Node, where string, s *scope) {
	domain := standard(n.Domain)
	if c.domains[domain] == 0 {
		c.add(bad(where, "the model does not import operator set %.80q", domain))
	}
	if len(n.Outputs) == 0 {
		c.add(bad(where, "it has no outputs"))
	}
	if len(n.Attributes) > maxPerNode {
		c.add(bad(where, "more than %d attributes", maxPerNode))
		return
	}
	if len(n.Devices) > 0 {
		c.add(unsupported(where, "device configurations are not supported"))
	}
	names := map[string]bool{}
	for _, a := range n.Attributes {
		if a.Name == "" || names[a.Name] {
			c.add(bad(where, "attribute %.80q has no name or is there twice", a.Name))
		}
		names[a.Name] = true
		c.attribute(a, fmt.Sprintf("%s attribute %.80q", where, a.Name), s)
	}
	if c.full() || c.domains[domain] == 0 || c.any {
		return
	}
	err := operator(n, c.domains[domain])
	if err != nil {
		c.add(inNode(err, where))
	} else if domain == Microsoft && n.Op == "MatMulNBits" {
		c.add(c.blocks(n, where, s))
	}
}

// inNode adds the node to an error.
func inNode(err error, where string) error {
	switch e := err.(type) {
	case *FormatError:
		e.Where = where
	case *UnsupportedError:
		e.Where = where
	}
	return err
}

// operator compares a node with the table entry of its operator, for the given
// version of the domain. It returns nil for unknown domains.
func operator(n *Node, version int64) error {
	row, known := standardOps[n.Op]
	domain := standard(n.Domain)
	if domain != "" {
		if row, known = microsoftOps[n.Op]; domain != Microsoft || !known {
			return nil
		}
	}
	switch {
	case !known:
		return unsupported("", "%.80q is not an operator that attnx knows", n.Op)
	case version < row.since:
		return bad("", "%s came with opset %d, the model has %d", n.Op, row.since, version)
	case len(n.Inputs) < row.minInputs || row.maxInputs >= 0 && len(n.Inputs) > row.maxInputs:
		return bad("", "%s with %d inputs", n.Op, len(n.Inputs))
	case slices.Contains(n.Inputs[:row.minInputs], ""):
		return bad("", "%s without input %d", n.Op, slices.Index(n.Inputs, ""))
	case row.outputs >= 0 && len(n.Outputs) > row.outputs:
		return bad("", "%s with %d outputs", n.Op, len(n.Outputs))
	}
	for _, name := range row.requiredAttributes {
		if !slices.ContainsFunc(n.Attributes, func(a Attribute) bool { return a.Name == name }) {
			return bad("", "attribute %.80q is missing", name)
		}
	}
	return nil
}

func (c *checker) attribute(a Attribute, where string, s *scope) {
	switch {
	case a.Type < AttrFloat || a.Type > AttrTypes:
		c.add(bad(where, "it has type %d", a.Type))
	case a.Ref != "":
		c.add(unsupported(where, "an attribute by reference is not supported outside a function"))
	case a.Type > AttrStrings && c.any:
		for _, g := range a.Graphs {
			c.graph(g, s)
		}
	case a.Type > AttrStrings:
		c.add(unsupported(where, "an attribute of type %s is not supported", a.Type))
	case a.Type == AttrTensor && a.Tensor == nil || a.Type == AttrGraph && a.Graph == nil:
		c.add(bad(where, "it lacks its value"))
	case a.Type == AttrTensor:
		c.add(c.tensor(a.Tensor, where))
	case a.Type == AttrGraph:
		c.graph(a.Graph, s)
	}
}

func (c *checker) tensor(t *Tensor, where string) error {
	if t.DataType == String && c.any {
		return nil
	}
	if t.DataType == String {
		return unsupported(where, "tensors of strings are not supported")
	}
	if err := c.checkType(t.DataType, where); err != nil {
		return err
	}
	want, ok := t.bytes()
	switch {
	case !ok:
		return bad(where, "%s%v is not a size", t.DataType, t.Dims)
	case len(t.Dims) > maxRank:
		return bad(where, "more than %d axes", maxRank)
	case t.Segment != nil:
		return unsupported(where, "tensors in segments are not supported")
	case t.External != nil:
		return t.checkExternal(c.dir)
	case int64(len(t.Raw)) != want:
		return bad(where, "%s%v expects %d bytes, has %d", t.DataType, t.Dims, want, len(t.Raw))
	}
	return nil
}
