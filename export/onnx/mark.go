package onnx

// MarkOutputs returns the model with every float value that value_info names
// as a further output: what a comparison value by value needs. A runtime fuses
// less in it than in the model itself.
func MarkOutputs(m *Model) *Model {
	out, graph := *m, *m.Graph
	out.Graph = &graph
	graph.Outputs = append([]ValueInfo(nil), m.Graph.Outputs...)
	taken := map[string]bool{}
	for _, o := range graph.Outputs {
		taken[o.Name] = true
	}
	for _, v := range m.Graph.Values {
		if v.DataType == Float && !taken[v.Name] {
			taken[v.Name] = true
			graph.Outputs = append(graph.Outputs, v)
		}
	}
	return &out
}
