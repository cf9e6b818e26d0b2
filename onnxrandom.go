package attnx

import (
	"cmp"
	"fmt"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/cut"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/internal/quote"
)

// RandomError reports a file of which every output depends on random draws.
type RandomError struct{ Node string }

func (e *RandomError) Error() string {
	return fmt.Sprintf("every output depends on what node %s draws at random, so there is nothing to compare: %s", e.Node, RunAlone)
}

// Remedy is what to do about it.
func (e *RandomError) Remedy() string { return RunAlone }

// randomOutputs returns the outputs of a file that are computed from random draws, each
// with the first node that draws for it. A shape of what is drawn is among them: the
// oracle has no draw to take it from, and the number of elements may be drawn too.
func randomOutputs(m *onnx.Model) map[string]string {
	draws, parts, by, outputs := read.Draws(m), cut.Of(m), map[string]string{}, map[string]string{}
	for i, n := range m.Graph.Nodes {
		from := ""
		if draws[i] {
			from = fmt.Sprintf("%s (%s)", quote.Line(cmp.Or(n.Name, firstOf(n.Outputs)), 200), quote.Line(n.Op, 80))
		} else if len(by) > 0 {
			for _, v := range parts.Reads(i) {
				from = cmp.Or(from, by[v])
			}
		}
		if from != "" {
			for _, v := range n.Outputs {
				by[v] = from
			}
		}
	}
	for _, out := range m.Graph.Outputs {
		if from := by[out.Name]; from != "" && out.Name != "" {
			outputs[out.Name] = from
		}
	}
	return outputs
}
