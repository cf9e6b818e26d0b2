package read

import "github.com/attnx/attnx/model/graph"

// trainingDomain is the domain of ONNX's optimizers.
const trainingDomain = "ai.onnx.preview.training"

// trainingFamily has ONNX's optimizers. Each takes the rate, the step number, the
// parameters, their gradients and their states, and returns the new parameters and
// states.
var trainingFamily = family{
	"Adagrad":  {read: func(n *node) []*graph.Value { return n.optimize(1, n.adagrad) }},
	"Adam":     {read: func(n *node) []*graph.Value { return n.optimize(2, n.adam) }},
	"Momentum": {read: func(n *node) []*graph.Value { return n.optimize(1, n.momentum) }},
}

// optimize calls step for every parameter, with the parameter, its gradient including
// regularization, and its states. It returns the new parameters and states.
func (n *node) optimize(states int, step func(x, g *graph.Value, state []*graph.Value) []*graph.Value) []*graph.Value {
	count := (len(n.args) - 2) / (2 + states)
	if count < 1 || 2+count*(2+states) != len(n.args) {
		n.invalid("it has %d inputs, expected a rate, a step and %d for each parameter", len(n.args), 2+states)
	}
	out := make([]*graph.Value, count*(1+states))
	decay := n.float("norm_coefficient", 0)
	for i := range count {
		x, g := n.arg(2+i), n.arg(2+count+i)
		var state []*graph.Value
		for s := range states {
			state = append(state, n.arg(2+(2+s)*count+i))
		}
		for j, y := range step(x, n.b.Add(n.scaled(x, decay), g), state) {
			out[j*count+i] = y
		}
	}
	return out
}

// scaled returns x times a number.
func (n *node) scaled(x *graph.Value, by float64) *graph.Value { return n.b.Mul(x, n.like(x, by)) }

// stepNumber returns the step number in x's type, and whether it is the first step.
func (n *node) stepNumber(x *graph.Value) (t, first *graph.Value) {
	t = n.cast(n.arg(1), x.DType)
	return t, n.b.LessOrEqual(t, n.like(x, 0))
}

func (n *node) adagrad(x, g *graph.Value, state []*graph.Value) []*graph.Value {
	b := n.b
	t, _ := n.stepNumber(x)
	rate := b.Div(n.arg(0), b.Add(n.scaled(t, n.float("decay_factor", 0)), n.like(x, 1)))
	squares := b.Add(state[0], b.Mul(g, g))
	root := b.Add(b.Sqrt(squares), n.like(x, n.float("epsilon", float64(float32(1e-6)))))
	return []*graph.Value{b.Sub(x, b.Div(b.Mul(rate, g), root)), squares}
}

func (n *node) momentum(x, g *graph.Value, state []*graph.Value) []*graph.Value {
	b, alpha := n.b, n.float("alpha", 0)
	_, first := n.stepNumber(x)
	part := b.Where(first, n.like(x, 1), n.like(x, n.float("beta", 0)))
	v := b.Add(n.scaled(state[0], alpha), b.Mul(part, g))
	change := v
	switch mode := n.text("mode", ""); mode {
	case "standard":
	case "nesterov":
		change = b.Add(g, n.scaled(v, alpha))
	default:
		n.invalid("mode %.80q", mode)
	}
	return []*graph.Value{b.Sub(x, b.Mul(n.arg(0), change)), v}
}

func (n *node) adam(x, g *graph.Value, state []*graph.Value) []*graph.Value {
	b := n.b
	alpha, beta := n.float("alpha", float64(float32(0.9))), n.float("beta", float64(float32(0.999)))
	mean := b.Add(n.scaled(state[0], alpha), n.scaled(g, 1-alpha))
	square := b.Add(n.scaled(state[1], beta), n.scaled(b.Mul(g, g), 1-beta))
	root := b.Add(b.Sqrt(square), n.like(x, n.float("epsilon", float64(float32(1e-6)))))
	t, first := n.stepNumber(x)
	unit := n.like(x, 1)
	bias := func(of float64) *graph.Value { return b.Sub(unit, b.Pow(n.like(x, of), t)) }
	rate := b.Where(first, n.arg(0), b.Div(b.Mul(n.arg(0), b.Sqrt(bias(beta))), bias(alpha)))
	next := b.Sub(x, b.Mul(rate, b.Div(mean, root)))
	return []*graph.Value{n.scaled(next, 1-n.float("norm_coefficient_post", 0)), mean, square}
}
