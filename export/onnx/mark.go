package onnx

import "strings"

// MarkOutputs returns the model with every wanted result of a node as an
// additional output, cast to float32, for a comparison value by value. values
// maps each such output to its value. A runtime fuses less in it than in m. It
// drops declared types and shapes of values, because a tool may have changed
// nodes without updating them.
func MarkOutputs(m *Model, wanted func(value string) bool) (marked *Model, values map[string]string) {
	out, graph := *m, *m.Graph
	out.Graph = &graph
	graph.Values = nil
	graph.Nodes = append([]*Node(nil), m.Graph.Nodes...)
	graph.Outputs = append([]ValueInfo(nil), m.Graph.Outputs...)
	suffix := ".marked"
	for taken(m.Graph, suffix) {
		suffix += "_"
	}
	values = map[string]string{}
	for _, n := range m.Graph.Nodes {
		for _, v := range n.Outputs {
			if v == "" || !wanted(v) {
				continue
			}
			name := v + suffix
			values[name] = v
			graph.Nodes = append(graph.Nodes, &Node{Op: "Cast", Name: name, Inputs: []string{v}, Outputs: []string{name}, Attributes: []Attribute{IntAttr("to", int64(Float))}})
			graph.Outputs = append(graph.Outputs, ValueInfo{Name: name, DataType: Float, NoShape: true})
		}
	}
	return &out, values
}

// taken reports whether the name of any value has the suffix.
func taken(g *Graph, suffix string) bool {
	for _, n := range g.Nodes {
		for _, v := range n.Outputs {
			if strings.HasSuffix(v, suffix) {
				return true
			}
		}
	}
	for _, t := range g.Initializers {
		if strings.HasSuffix(t.Name, suffix) {
			return true
		}
	}
	for _, v := range g.Inputs {
		if strings.HasSuffix(v.Name, suffix) {
			return true
		}
	}
	return false
}
