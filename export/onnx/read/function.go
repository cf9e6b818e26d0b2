package read

import (
	"github.com/attnx/attnx/export/onnx"
)

// call inlines a function of the model: its nodes are read in a new scope.
func (r *reading) call(n *node, f *onnx.Function) error {
	inner := &scope{values: map[string]*value{}, opsets: opsetsOf(f.Opsets), attrs: map[string]onnx.Attribute{}, prefix: n.name() + "/"}
	if len(n.args) > len(f.Inputs) || len(n.onnx.Outputs) > len(f.Outputs) {
		n.invalid("it has %d inputs and %d outputs, its function %d and %d", len(n.args), len(n.onnx.Outputs), len(f.Inputs), len(f.Outputs))
	}
	for i, name := range f.Inputs {
		if n.has(i) {
			inner.values[name] = n.args[i]
		}
	}
	for _, a := range f.Defaults {
		inner.attrs[a.Name] = a
	}
	for _, a := range n.onnx.Attributes {
		inner.attrs[a.Name] = a
	}
	if err := r.functionNodes(f, inner); err != nil {
		return err
	}
	results := make([]*value, len(n.onnx.Outputs))
	for i := range results {
		if results[i] = inner.lookup(f.Outputs[i]); results[i] == nil && n.onnx.Outputs[i] != "" {
			n.invalid("its function has no value %.80q", f.Outputs[i])
		}
	}
	return n.define(results)
}

// functionNodes reads the nodes of a function. Omitted inputs are also omitted
// from the nodes that would read them.
func (r *reading) functionNodes(f *onnx.Function, inner *scope) error {
	left := map[string]bool{}
	for _, name := range f.Inputs {
		left[name] = inner.values[name] == nil
	}
	nodes := f.Nodes
	for _, missing := range left {
		if missing {
			nodes = withoutInputs(f.Nodes, left)
			break
		}
	}
	return r.nodes(nodes, inner)
}

// withoutInputs returns the nodes without the omitted inputs.
func withoutInputs(nodes []*onnx.Node, left map[string]bool) []*onnx.Node {
	out := make([]*onnx.Node, len(nodes))
	for i, n := range nodes {
		c := *n
		c.Inputs = append([]string(nil), n.Inputs...)
		for j, name := range c.Inputs {
			if left[name] {
				c.Inputs[j] = ""
			}
		}
		out[i] = &c
	}
	return out
}

// hasRef reports whether an attribute of a node refers to an attribute of its
// function.
func hasRef(n *onnx.Node) bool {
	for _, a := range n.Attributes {
		if a.Ref != "" {
			return true
		}
	}
	return false
}

// withAttributes returns a function's node with references replaced by the
// attributes of the call. Attributes that the call omits are dropped.
func withAttributes(n *onnx.Node, attrs map[string]onnx.Attribute) *onnx.Node {
	out := *n
	out.Attributes = nil
	for _, a := range n.Attributes {
		if a.Ref != "" {
			given, ok := attrs[a.Ref]
			if !ok {
				continue
			}
			given.Name = a.Name
			a = given
		}
		out.Attributes = append(out.Attributes, a)
	}
	return &out
}
