package mutate

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// kinds are the kinds of faults: of weights, of attributes, of wiring, operators
// replaced by their neighbours, of masks, positions and caches, and those that only
// certain inputs show.
var kinds = slices.Concat(weightKinds, attributeKinds, wiringKinds, neighbourKinds, maskKinds, conditionKinds)

// nodes returns the faults that f makes of the nodes with the operators; of all
// nodes if there are none.
func nodes(w *view, ops []string, f func(n *onnx.Node) func(s *surgeon)) (all []Fault) {
	for _, n := range w.Graph.Nodes {
		if len(ops) > 0 && (!slices.Contains(ops, n.Op) || n.Domain != "") || n.Op == "Constant" {
			continue
		}
		if apply := f(n); apply != nil {
			all = append(all, Fault{Place: n.Outputs[0] + " (" + n.Op + ")", Value: n.Outputs[0], apply: apply})
		}
	}
	return all
}

// on changes the node that makes a value.
func on(n *onnx.Node, change func(s *surgeon, n *onnx.Node)) func(s *surgeon) {
	return func(s *surgeon) { change(s, s.Graph.Nodes[s.index(n.Outputs[0])]) }
}
