package graph

// Softmax is exp(x) over its sum along the axis.
type Softmax struct{ Axis int }

// LogSoftmax is the logarithm of Softmax.
type LogSoftmax struct{ Axis int }

// Name returns "Softmax".
func (Softmax) Name() string { return "Softmax" }

// Name returns "LogSoftmax".
func (LogSoftmax) Name() string { return "LogSoftmax" }

// Infer returns the argument's type.
func (s Softmax) Infer(args []Type) ([]Type, error) { return alongAxis(s.Axis, args) }

// Infer returns the argument's type.
func (s LogSoftmax) Infer(args []Type) ([]Type, error) { return alongAxis(s.Axis, args) }

func alongAxis(axis int, args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if err := expectAxis(axis, args[0].Shape); err != nil {
		return nil, err
	}
	return []Type{args[0]}, expectFloat(args...)
}

// Grad implements Differentiable: of p = softmax(x), dx = p·(dp - Σ dp·p).
func (s Softmax) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	p := n.Results[0]
	sum := b.ReduceSum(b.Mul(dy[0], p), true, s.Axis)
	return []*Value{b.Mul(p, b.Sub(dy[0], sum))}
}

// Grad implements Differentiable.
func (s LogSoftmax) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{b.Sub(dy[0], b.Mul(b.Exp(n.Results[0]), b.ReduceSum(dy[0], true, s.Axis)))}
}
