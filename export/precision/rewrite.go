package precision

import (
	"maps"
	"strconv"

	"github.com/attnx/attnx/export/onnx"
)

// rewrite is a model being written node by node. It does not change the
// original, and shares unchanged tensors with it.
type rewrite struct {
	from    *onnx.Model
	nodes   []*onnx.Node
	tensors map[string]*onnx.Tensor  // initializers of both models
	order   []string                 // their names
	taken   map[string]bool          // all names in use
	types   map[string]onnx.DataType // by value; new nodes give float32
}

func newRewrite(m *onnx.Model, types map[string]onnx.DataType) *rewrite {
	r := &rewrite{from: m, tensors: map[string]*onnx.Tensor{}, taken: map[string]bool{}, types: types}
	for _, v := range m.Graph.Inputs {
		r.taken[v.Name] = true
	}
	for _, t := range m.Graph.Initializers {
		r.put(t)
	}
	for _, n := range m.Graph.Nodes {
		for _, o := range n.Outputs {
			r.taken[o] = true
		}
	}
	return r
}

// put adds an initializer, or replaces the one with its name.
func (r *rewrite) put(t *onnx.Tensor) {
	if r.tensors[t.Name] == nil {
		r.order = append(r.order, t.Name)
	}
	r.tensors[t.Name] = t
	r.taken[t.Name] = true
}

// name returns want, or want with a number if that name is taken.
func (r *rewrite) name(want string) string {
	name := want
	for i := 2; r.taken[name]; i++ {
		name = want + "_" + strconv.Itoa(i)
	}
	r.taken[name] = true
	return name
}

// node adds a node with one float32 output, named after it, and returns that
// name.
func (r *rewrite) node(op, output string, inputs []string, attrs ...onnx.Attribute) string {
	r.types[output] = onnx.Float
	return r.integers(op, output, inputs, attrs...)
}

// integers is node for an integer output.
func (r *rewrite) integers(op, output string, inputs []string, attrs ...onnx.Attribute) string {
	r.nodes = append(r.nodes, &onnx.Node{Op: op, Name: output, Inputs: inputs, Outputs: []string{output}, Attributes: attrs})
	return output
}

// model returns the result without unused nodes and initializers, with
// additional metadata. It declares operator sets other than the standard one
// only if used.
func (r *rewrite) model(metadata map[string]string) *onnx.Model {
	out, graph := *r.from, *r.from.Graph
	out.Graph = &graph
	graph.Nodes = r.used()
	graph.Initializers = nil
	needed := map[string]bool{}
	domains := map[string]bool{}
	for _, n := range graph.Nodes {
		domains[n.Domain] = true
		for _, in := range n.Inputs {
			needed[in] = true
		}
	}
	for _, o := range graph.Outputs {
		needed[o.Name] = true
	}
	for _, name := range r.order {
		if needed[name] {
			graph.Initializers = append(graph.Initializers, r.tensors[name])
		}
	}
	made := map[string]bool{}
	for _, n := range graph.Nodes {
		for _, o := range n.Outputs {
			made[o] = true
		}
	}
	graph.Values = nil
	for _, v := range r.from.Graph.Values {
		if made[v.Name] {
			graph.Values = append(graph.Values, v)
		}
	}
	out.Opsets = append([]onnx.Opset(nil), r.from.Opsets...)
	for _, o := range out.Opsets {
		domains[o.Domain] = false
	}
	if domains[onnx.Microsoft] {
		out.Opsets = append(out.Opsets, onnx.Opset{Domain: onnx.Microsoft, Version: 1})
	}
	out.Metadata = maps.Clone(r.from.Metadata)
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	maps.Copy(out.Metadata, metadata)
	return &out
}

// used returns the nodes on which the outputs depend.
func (r *rewrite) used() []*onnx.Node {
	needed := map[string]bool{}
	for _, o := range r.from.Graph.Outputs {
		needed[o.Name] = true
	}
	keep := make([]bool, len(r.nodes))
	for i := len(r.nodes) - 1; i >= 0; i-- {
		for _, o := range r.nodes[i].Outputs {
			keep[i] = keep[i] || needed[o]
		}
		if keep[i] {
			for _, in := range r.nodes[i].Inputs {
				needed[in] = true
			}
		}
	}
	var nodes []*onnx.Node
	for i, n := range r.nodes {
		if keep[i] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
