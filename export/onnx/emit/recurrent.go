package emit

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// recurrent writes an LSTM or a GRU in ONNX's form, whose weights, states and results
// have an axis for the direction. Lengths beyond the last step, and states and
// peepholes of zeros, are what ONNX takes if they are left out.
func (e *emitter) recurrent(n *graph.Node, activations string, count int, attributes ...onnx.Attribute) error {
	acts, err := graph.Activations(activations, count)
	if err != nil {
		return err
	}
	out := n.Name()
	direction := func(i int, x *graph.Value) string {
		name := fmt.Sprintf("%s.input_%d", out, i)
		e.node("Unsqueeze", name, []string{x.Name, e.integers(0)})
		return name
	}
	inputs := []string{n.Args[0].Name}
	for i, w := range n.Args[1:4] { // W, R and B
		inputs = append(inputs, direction(1+i, w))
	}
	for i, x := range n.Args[4:] {
		switch {
		case leftOut(n, 4+i):
			inputs = append(inputs, "")
		case i == 0:
			name := out + ".sequence_lens"
			e.node("Cast", name, []string{x.Name}, onnx.IntAttr("to", int64(onnx.Int32)))
			inputs = append(inputs, name)
		default: // states and peepholes
			inputs = append(inputs, direction(4+i, x))
		}
	}
	for inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	hidden, ok := n.Args[2].Shape[1].Number()
	if !ok {
		return fmt.Errorf("the size of its state is %s: expected a number", n.Args[2].Shape[1])
	}
	attributes = append(attributes, onnx.IntAttr("hidden_size", int64(hidden)))
	if text := plainly(acts); text != nil {
		attributes = append(attributes, onnx.StringsAttr("activations", text...))
	} else {
		return fmt.Errorf("activations %.80q have numbers of their own", activations)
	}
	outputs := make([]string, len(n.Results))
	for i, v := range n.Results {
		outputs[i] = v.Name + ".of_direction"
	}
	e.out.Nodes = append(e.out.Nodes, &onnx.Node{Op: n.Op.Name(), Name: outputs[0], Inputs: inputs, Outputs: outputs, Attributes: attributes})
	for i, v := range n.Results {
		axis := int64(0) // (1,B,H)
		if i == 0 {
			axis = 1 // (T,1,B,H)
		}
		e.node("Squeeze", v.Name, []string{outputs[i], e.integers(axis)})
	}
	return nil
}

// leftOut reports whether the node of n has no input for argument i: lengths, states or
// peepholes that ONNX takes by itself.
func leftOut(n *graph.Node, i int) bool {
	switch n.Op.(type) {
	case graph.LSTM, graph.GRU:
		return i == 4 && graph.IsUnending(n.Args[0], n.Args[4]) || i > 4 && graph.IsZero(n.Args[i])
	}
	return false
}

// needed returns the values that the nodes of a graph, as they are written, read, and
// its outputs.
func needed(g *graph.Graph) map[*graph.Value]bool {
	reads := map[*graph.Value]bool{}
	for _, o := range g.Outputs {
		reads[o.Value] = true
	}
	for _, n := range slices.Backward(g.Nodes) {
		if !slices.ContainsFunc(n.Results, func(v *graph.Value) bool { return reads[v] }) {
			continue
		}
		for i, a := range n.Args {
			reads[a] = reads[a] || !leftOut(n, i)
		}
	}
	return reads
}

// writable reports whether ONNX's node can have the activations. Those with numbers of
// their own are decomposed.
func writable(activations string, count int) bool {
	acts, err := graph.Activations(activations, count)
	return err == nil && plainly(acts) != nil
}

// plainly returns the names of activations without numbers; nil if one has some.
func plainly(acts []graph.Activation) (names []string) {
	for _, a := range acts {
		if n, _ := a.Numbers(); n > 0 {
			return nil
		}
		names = append(names, a.Name)
	}
	return names
}

// recurrentAttributes returns the direction and the bound of the activations'
// arguments, if there are any.
func recurrentAttributes(reverse bool, clip float64) (attributes []onnx.Attribute) {
	if reverse {
		attributes = append(attributes, onnx.StringAttr("direction", "reverse"))
	}
	if clip != 0 {
		attributes = append(attributes, onnx.FloatAttr("clip", float32(clip)))
	}
	return attributes
}
