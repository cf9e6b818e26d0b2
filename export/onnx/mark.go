package onnx

import "strings"

// MarkOutputs returns the model with every wanted result of a node as a further
// output, cast to float32: what a comparison value by value needs. values gives
// the value behind each such output. A runtime fuses less in it than in the
// model itself. What the model says of the types and shapes of its values is
// left out: a tool may have changed the nodes and left it as it was.
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

// taken reports whether the name of any value ends with suffix.
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
