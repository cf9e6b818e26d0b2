package read

import (
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// recurrentFamily is recurrent networks.
var recurrentFamily = family{
	"LSTM": {read: func(n *node) []*graph.Value { return n.recurrent(lstmForm, n.arg(1), n.arg(2)) }},
	"GRU":  {read: func(n *node) []*graph.Value { return n.recurrent(gruForm, n.arg(1), n.arg(2)) }},
	"RNN":  {read: func(n *node) []*graph.Value { return n.recurrent(rnnForm, n.arg(1), n.arg(2)) }},
}

// recurrentForm describes a recurrent operator of ONNX.
type recurrentForm struct {
	gates       int
	states      []int    // the inputs with the initial states
	peepholes   int      // the input with the peepholes, 0 for none
	activations []string // default activations
	op          func(n *node, activations string, clip float64, reverse bool) graph.Op
}

var (
	lstmForm = recurrentForm{4, []int{5, 6}, 7, []string{"Sigmoid", "Tanh", "Tanh"}, func(n *node, activations string, clip float64, reverse bool) graph.Op {
		return graph.LSTM{Activations: activations, Clip: clip, Reverse: reverse, InputForget: n.flag("input_forget", false)}
	}}
	gruForm = recurrentForm{3, []int{5}, 0, []string{"Sigmoid", "Tanh"}, func(n *node, activations string, clip float64, reverse bool) graph.Op {
		return graph.GRU{Activations: activations, Clip: clip, Reverse: reverse, LinearBeforeReset: n.flag("linear_before_reset", false)}
	}}
	rnnForm = recurrentForm{1, []int{5}, 0, []string{"Tanh"}, func(_ *node, activations string, clip float64, reverse bool) graph.Op {
		return graph.RNN{Activations: activations, Clip: clip, Reverse: reverse}
	}}
)

// recurrent reads a recurrent operator as one operator of the graph per direction:
// w (directions,G·H,I), r (directions,G·H,H).
func (n *node) recurrent(form recurrentForm, w, r *graph.Value) []*graph.Value {
	b := n.b
	n.pass([]string{"hidden_size", "output_sequence"}) // implied by the weights; output_sequence selects the outputs before version 7
	x := n.arg(0)
	batchFirst := n.flag("layout", false)
	if batchFirst {
		x = b.Transpose(x, 1, 0, 2)
	}
	if len(x.Shape) != 3 || len(r.Shape) != 3 || len(w.Shape) != 3 {
		n.invalid("x %s, weights %s and %s: expected 3 dimensions", x.Shape, w.Shape, r.Shape)
	}
	reverse, hidden := n.reversed(), r.Shape[2]
	if !r.Shape[0].Is(len(reverse)) {
		n.invalid("weights %s of %d directions", r.Shape, len(reverse))
	}
	lengths := n.optional(4)
	if lengths == nil {
		lengths = b.Unending(x.Shape[1])
	}
	lengths = n.cast(lengths, format.Int64)
	activations := n.activations(form.activations, len(reverse))
	results := make([][]*graph.Value, 1+len(form.states))
	for d, back := range reverse {
		args := []*graph.Value{x, n.direction(w, d), n.direction(r, d), n.directionOr(3, d, hidden.Mul(graph.N(2*form.gates))), lengths}
		for _, i := range form.states {
			args = append(args, n.firstState(i, d, batchFirst, x.Shape[1], hidden))
		}
		if form.peepholes > 0 {
			args = append(args, n.directionOr(form.peepholes, d, hidden.Mul(graph.N(3))))
		}
		applied := b.Apply(form.op(n, activations[d], n.float("clip", 0), back), 0, args...)
		if b.Err() != nil {
			return nil
		}
		for i, v := range applied {
			s := append(graph.Shape{}, v.Shape...)
			axis := len(s) - 2 // (T,1,B,H), (1,B,H)
			s = append(append(s[:axis:axis], graph.N(1)), s[axis:]...)
			results[i] = append(results[i], b.Reshape(v, s...))
		}
	}
	out := make([]*graph.Value, len(results))
	for i, parts := range results {
		out[i] = parts[0]
		if len(parts) > 1 {
			out[i] = b.Concat(len(parts[0].Shape)-3, parts...)
		}
		if batchFirst && i == 0 {
			out[i] = b.Transpose(out[i], 2, 0, 1, 3)
		} else if batchFirst {
			out[i] = b.Transpose(out[i], 1, 0, 2)
		}
	}
	return out
}

// reversed returns which directions read a text from its end.
func (n *node) reversed() []bool {
	switch d := strings.ToLower(n.text("direction", "forward")); d {
	case "forward", "foward": // the misspelled default of GRU before version 3
		return []bool{false}
	case "reverse":
		return []bool{true}
	case "bidirectional":
		return []bool{false, true}
	default:
		n.invalid("direction %.80q", d)
		return nil
	}
}

// direction returns the part of x for a direction.
func (n *node) direction(x *graph.Value, d int) *graph.Value {
	return n.b.Reshape(n.b.Slice(x, 0, graph.N(d), graph.N(d+1)), x.Shape[1:]...)
}

// directionOr returns the part of argument i for a direction, or zeros.
func (n *node) directionOr(i, d int, size graph.Dim) *graph.Value {
	if n.has(i) {
		return n.direction(n.arg(i), d)
	}
	return n.b.Expand(n.like(n.arg(0), 0), size)
}

// firstState returns the initial state of a direction, (B,H).
func (n *node) firstState(i, d int, batchFirst bool, batch, hidden graph.Dim) *graph.Value {
	if !n.has(i) {
		return n.b.Expand(n.like(n.arg(0), 0), batch, hidden)
	}
	x := n.arg(i)
	if batchFirst {
		x = n.b.Transpose(x, 1, 0, 2)
	}
	return n.direction(x, d)
}

// activationDefaults are the default parameters of activations.
var activationDefaults = map[string][2]float64{
	"Affine": {1, 0}, "LeakyRelu": {float64(float32(0.01)), 0}, "ThresholdedRelu": {1, 0}, "ScaledTanh": {1, 1},
	"HardSigmoid": {float64(float32(0.2)), 0.5}, "Elu": {1, 0}, "Relu": {}, "Tanh": {}, "Sigmoid": {}, "Softsign": {}, "Softplus": {},
}

// activations returns the activations of each direction, in the graph's notation. The
// parameters belong to the activations that have some, in order.
func (n *node) activations(otherwise []string, directions int) []string {
	var names []string
	if a := n.attribute("activations", onnx.AttrStrings); a != nil {
		for _, s := range a.Strings {
			names = append(names, string(s))
		}
	}
	if len(names) == 0 {
		names = slices.Repeat(otherwise, directions)
	}
	if len(names) != len(otherwise)*directions {
		n.invalid("%d activations, expected %d", len(names), len(otherwise)*directions)
	}
	alphas, betas := n.floats("activation_alpha"), n.floats("activation_beta")
	out := make([]string, directions)
	for i, name := range names {
		a := graph.Activation{}
		for known, numbers := range activationDefaults {
			if strings.EqualFold(known, name) {
				a = graph.Activation{Name: known, Alpha: numbers[0], Beta: numbers[1]}
			}
		}
		count, ok := a.Numbers()
		if !ok {
			n.refuse("activation %.80q", name)
		}
		if count > 0 && len(alphas) > 0 {
			a.Alpha, alphas = alphas[0], alphas[1:]
		}
		if count > 1 && len(betas) > 0 {
			a.Beta, betas = betas[0], betas[1:]
		}
		d := i / len(otherwise)
		out[d] = strings.TrimSpace(out[d] + " " + a.String())
	}
	return out
}
