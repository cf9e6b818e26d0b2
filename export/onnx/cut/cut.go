package cut

import (
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// Model is an ONNX model of which parts are taken. The model must not change.
type Model struct {
	*onnx.Model
	maker  map[string]int // node of each result
	reads  [][]string     // of each node: inputs of the graph and results, also of its subgraphs
	weighs [][]string     // of each node: stored values
	stored map[string]bool
	suffix string // of results that are read as inputs in the same part
}

// Of prepares a model. Nodes are those of its top level, in order; a node with
// subgraphs is one node.
func Of(m *onnx.Model) *Model {
	c := &Model{Model: m, maker: map[string]int{}, stored: map[string]bool{}, suffix: ".computed"}
	for _, t := range m.Graph.Initializers {
		c.stored[t.Name] = true
	}
	for _, t := range m.Graph.Sparse {
		c.stored[t.Name()] = true
	}
	for i, n := range m.Graph.Nodes {
		for _, v := range n.Outputs {
			for strings.HasSuffix(v, c.suffix) {
				c.suffix += "_"
			}
			if v != "" {
				c.maker[v] = i
			}
			if v != "" && isConstant(n) {
				c.stored[v] = true
			}
		}
	}
	for _, in := range m.Graph.Inputs {
		for strings.HasSuffix(in.Name, c.suffix) {
			c.suffix += "_"
		}
	}
	c.reads, c.weighs = make([][]string, len(m.Graph.Nodes)), make([][]string, len(m.Graph.Nodes))
	for i, n := range m.Graph.Nodes {
		for _, v := range used(n) {
			if c.stored[v] {
				c.weighs[i] = append(c.weighs[i], v)
			} else {
				c.reads[i] = append(c.reads[i], v)
			}
		}
	}
	return c
}

// isConstant reports whether a node only holds a value. It goes with every part
// that reads it, as initializers do.
func isConstant(n *onnx.Node) bool { return n.Op == "Constant" && len(n.Inputs) == 0 }

// used returns the names that a node reads, each once: its inputs, and what its
// subgraphs take from the graphs around them.
func used(n *onnx.Node) (names []string) {
	seen := map[string]bool{"": true}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, v := range n.Inputs {
		add(v)
	}
	for _, a := range n.Attributes {
		for _, g := range append([]*onnx.Graph{a.Graph}, a.Graphs...) {
			if g != nil {
				captured(g, add)
			}
		}
	}
	return names
}

// captured calls add with the names that a subgraph does not define.
func captured(g *onnx.Graph, add func(string)) {
	own := map[string]bool{}
	for _, v := range g.Inputs {
		own[v.Name] = true
	}
	for _, t := range g.Initializers {
		own[t.Name] = true
	}
	for _, t := range g.Sparse {
		own[t.Name()] = true
	}
	for _, n := range g.Nodes {
		for _, v := range n.Outputs {
			own[v] = true
		}
	}
	for _, n := range g.Nodes {
		for _, v := range used(n) {
			if !own[v] {
				add(v)
			}
		}
	}
	for _, v := range g.Outputs {
		if !own[v.Name] {
			add(v.Name)
		}
	}
}

// Maker returns the node with a result of the given name.
func (c *Model) Maker(value string) (node int, ok bool) {
	node, ok = c.maker[value]
	return node, ok
}

// Reads returns the inputs of the graph and the results that a node reads, each
// once. Stored values, which are initializers and constants, are not among them.
func (c *Model) Reads(node int) []string { return c.reads[node] }

// Stored reports whether the model holds a value: as an initializer, or as a
// constant.
func (c *Model) Stored(value string) bool { return c.stored[value] }

// Between returns the nodes that compute the given values from the fed ones, in
// order, and what they read of the fed values and of the inputs of the graph. A
// value that is both given and fed is computed.
func (c *Model) Between(give []string, fed func(value string) bool) (nodes []int, reads []string) {
	within, read := map[int]bool{}, map[string]bool{}
	var left []int
	take := func(v string) {
		if i, ok := c.maker[v]; ok && !within[i] {
			within[i] = true
			left = append(left, i)
		}
	}
	for _, v := range give {
		take(v)
	}
	for len(left) > 0 {
		i := left[len(left)-1]
		left = left[:len(left)-1]
		nodes = append(nodes, i)
		for _, v := range c.reads[i] {
			if _, made := c.maker[v]; made && !fed(v) {
				take(v)
			} else if !read[v] {
				read[v] = true
				reads = append(reads, v)
			}
		}
	}
	slices.Sort(nodes)
	slices.Sort(reads)
	return nodes, reads
}

// Part returns the model of the given nodes. Its inputs are feed, its outputs give,
// with the declared types and shapes. A result of a node that is also in feed is
// computed under another name: names maps each output to its value.
func (c *Model) Part(nodes []int, feed, give []onnx.ValueInfo) (part *onnx.Model, names map[string]string) {
	out := &onnx.Model{IRVersion: c.IRVersion, Opsets: c.Opsets, Functions: c.Functions, Devices: c.Devices,
		ProducerName: c.ProducerName, ProducerVersion: c.ProducerVersion, Graph: &onnx.Graph{Name: c.Graph.Name, Inputs: slices.Clone(feed)}}
	fed := map[string]bool{}
	for _, v := range feed {
		fed[v.Name] = true
	}
	include := map[int]bool{}
	holds := map[string]bool{}
	for _, i := range nodes {
		include[i] = true
		for _, v := range c.weighs[i] {
			if made, constant := c.maker[v]; constant {
				include[made] = true
			}
			holds[v] = true
		}
	}
	renamed := map[string]string{}
	for i, n := range c.Graph.Nodes {
		if !include[i] {
			continue
		}
		if slices.ContainsFunc(n.Outputs, func(v string) bool { return fed[v] }) {
			other := *n
			other.Outputs = slices.Clone(n.Outputs)
			for j, v := range other.Outputs {
				if fed[v] {
					renamed[v] = v + c.suffix
					other.Outputs[j] = renamed[v]
				}
			}
			n = &other
		}
		out.Graph.Nodes = append(out.Graph.Nodes, n)
	}
	for _, t := range c.Graph.Initializers {
		if holds[t.Name] {
			out.Graph.Initializers = append(out.Graph.Initializers, t)
		}
	}
	for _, t := range c.Graph.Sparse {
		if holds[t.Name()] {
			out.Graph.Sparse = append(out.Graph.Sparse, t)
		}
	}
	for _, in := range c.Graph.Inputs { // before IR version 4 each initializer is an input too
		if holds[in.Name] {
			out.Graph.Inputs = append(out.Graph.Inputs, in)
		}
	}
	names = map[string]string{}
	for _, v := range give {
		value := v.Name
		if other, ok := renamed[value]; ok {
			v.Name = other
		}
		names[v.Name] = value
		out.Graph.Outputs = append(out.Graph.Outputs, v)
	}
	return out, names
}
