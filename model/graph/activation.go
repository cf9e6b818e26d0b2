package graph

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
)

// Activation is an activation function of ONNX's recurrent operators.
type Activation struct {
	Name        string // name in ONNX
	Alpha, Beta float64
}

// String returns the activation in the form that Activations reads: "Tanh" or
// "HardSigmoid(0.2,0.5)".
func (a Activation) String() string {
	if f := activations[a.Name]; f.numbers == 0 {
		return a.Name
	}
	return a.Name + "(" + float(a.Alpha) + "," + float(a.Beta) + ")"
}

// activations maps names to functions and the number of parameters they use.
var activations = map[string]struct {
	numbers int
	record  func(b *Builder, x *Value, alpha, beta *Value) *Value
}{
	"Sigmoid":  {0, func(b *Builder, x, _, _ *Value) *Value { return b.Sigmoid(x) }},
	"Tanh":     {0, func(b *Builder, x, _, _ *Value) *Value { return b.Tanh(x) }},
	"Relu":     {0, func(b *Builder, x, _, _ *Value) *Value { return b.Relu(x) }},
	"Softplus": {0, func(b *Builder, x, _, _ *Value) *Value { return b.apply(Softplus, x) }},
	"Softsign": {0, func(b *Builder, x, _, _ *Value) *Value { return b.Div(x, b.Add(b.Abs(x), b.like(x, 1))) }},
	"LeakyRelu": {1, func(b *Builder, x, alpha, _ *Value) *Value {
		return b.Where(b.Less(x, b.like(x, 0)), b.Mul(x, alpha), x)
	}},
	"ThresholdedRelu": {1, func(b *Builder, x, alpha, _ *Value) *Value {
		return b.Where(b.Greater(x, alpha), x, b.like(x, 0))
	}},
	"Elu": {1, func(b *Builder, x, alpha, _ *Value) *Value {
		below := b.Min(x, b.like(x, 0)) // so that no gradient is infinite
		return b.Where(b.Less(x, b.like(x, 0)), b.Mul(b.Sub(b.Exp(below), b.like(x, 1)), alpha), x)
	}},
	"Affine":     {2, func(b *Builder, x, alpha, beta *Value) *Value { return b.Add(b.Mul(x, alpha), beta) }},
	"ScaledTanh": {2, func(b *Builder, x, alpha, beta *Value) *Value { return b.Mul(b.Tanh(b.Mul(x, beta)), alpha) }},
	"HardSigmoid": {2, func(b *Builder, x, alpha, beta *Value) *Value {
		return b.Max(b.Min(b.Add(b.Mul(x, alpha), beta), b.like(x, 1)), b.like(x, 0))
	}},
}

// Numbers returns how many of Alpha and Beta the function uses; ok is false for an
// unknown name.
func (a Activation) Numbers() (n int, ok bool) {
	f, ok := activations[a.Name]
	return f.numbers, ok
}

// Activations parses a list of activations, such as "Sigmoid Tanh
// LeakyRelu(0.01,0)".
func Activations(text string, count int) ([]Activation, error) {
	words := strings.Fields(text)
	if len(words) != count {
		return nil, fmt.Errorf("%d activations %.80q, expected %d", len(words), text, count)
	}
	out := make([]Activation, count)
	for i, w := range words {
		name, rest, numbers := strings.Cut(w, "(")
		a := Activation{Name: name}
		if n, ok := a.Numbers(); !ok || numbers != (n > 0) {
			return nil, fmt.Errorf("activation %.80q is unknown, or has other numbers than it takes", w)
		}
		if numbers {
			parts := strings.Split(strings.TrimSuffix(rest, ")"), ",")
			values := make([]float64, 2)
			for j := range values {
				var err error
				if len(parts) != 2 {
					return nil, fmt.Errorf("activation %.80q, expected two numbers", w)
				}
				if values[j], err = strconv.ParseFloat(parts[j], 64); err != nil {
					return nil, fmt.Errorf("activation %.80q: %w", w, err)
				}
			}
			a.Alpha, a.Beta = values[0], values[1]
		}
		out[i] = a
	}
	return out, nil
}

// activate records the function of x. If clip is not 0, x is clamped to -clip
// to clip.
func (b *Builder) activate(a Activation, x *Value, clip float64) *Value {
	if clip != 0 {
		x = b.Max(b.Min(x, b.like(x, clip)), b.like(x, -clip))
	}
	return activations[a.Name].record(b, x, b.like(x, a.Alpha), b.like(x, a.Beta))
}

// recurrence holds what the recurrent operators have in common.
type recurrence struct {
	gates       int // gates in the weights
	states      int // states: h, and c for LSTM
	activations string
	count       int // number of activations
	clip        float64
	reverse     bool
	peepholes   bool
}

// infer checks x (T,B,I), the weights (G·H,I) and (G·H,H), the biases (2·G·H), the
// lengths (B), the states (B,H) and the peepholes (3·H).
func (r recurrence) infer(args []Type) ([]Type, error) {
	n := 5 + r.states
	if r.peepholes {
		n++
	}
	if err := expect(args, n); err != nil {
		return nil, err
	}
	if _, err := Activations(r.activations, r.count); err != nil || r.clip < 0 {
		return nil, fmt.Errorf("clip %g, %w", r.clip, err)
	}
	x, w, rec := args[0], args[1], args[2]
	if len(x.Shape) != 3 || len(w.Shape) != 2 || len(rec.Shape) != 2 {
		return nil, fmt.Errorf("x %s, weights %s and %s: expected 3, 2 and 2 dimensions", x.Shape, w.Shape, rec.Shape)
	}
	hidden := rec.Shape[1]
	all := hidden.Mul(N(r.gates))
	want := []Shape{x.Shape, {all, x.Shape[2]}, {all, hidden}, {all.Mul(N(2))}, {x.Shape[1]}}
	for range r.states {
		want = append(want, Shape{x.Shape[1], hidden})
	}
	if r.peepholes {
		want = append(want, Shape{hidden.Mul(N(3))})
	}
	for i, s := range want {
		if !args[i].Shape.Equal(s) {
			return nil, fmt.Errorf("argument %d is %s, expected %s", i, args[i].Shape, s)
		}
	}
	if lengths := args[4]; lengths.DType != format.Int64 {
		return nil, fmt.Errorf("the lengths are %s, expected I64", lengths.DType)
	}
	out := []Type{{x.DType, Shape{x.Shape[0], x.Shape[1], hidden}}}
	for range r.states {
		out = append(out, Type{x.DType, Shape{x.Shape[1], hidden}})
	}
	return out, expectFloat(slices.Delete(slices.Clone(args), 4, 5)...)
}

// unroll records each step: from the input's part of the gates (B,G·H), without
// biases, and the states (B,H) to the next states.
func (r recurrence) unroll(b *Builder, args []*Value, step func(x *Value, states []*Value) []*Value) []*Value {
	x, lengths, states := args[0], args[4], slices.Clone(args[5:5+r.states])
	count, ok := x.Shape[0].Number()
	if !ok || count == 0 {
		b.fail("graph: a recurrence over %s steps: bind the named dimensions first", x.Shape[0])
		return append([]*Value{x}, states...)
	}
	inputs := b.MatMul(x, b.Transpose(args[1], 1, 0)) // (T,B,G·H)
	unending := unending(lengths, count)
	rows := make([]*Value, count)
	for i := range rows {
		t := i
		if r.reverse {
			t = count - 1 - i
		}
		part := b.Reshape(b.Slice(inputs, 0, N(t), N(t+1)), inputs.Shape[1:]...)
		next := step(part, states)
		if unending {
			states = next
			rows[t] = b.Reshape(states[0], append(Shape{N(1)}, states[0].Shape...)...)
			continue
		}
		going := b.Reshape(b.Less(b.integer(int64(t)), lengths), x.Shape[1], N(1)) // (B,1): the text has not ended
		rows[t] = b.Where(going, next[0], b.like(x, 0))
		for j := range states {
			states[j] = b.Where(going, next[j], states[j])
		}
		rows[t] = b.Reshape(rows[t], append(Shape{N(1)}, states[0].Shape...)...)
	}
	y := rows[0]
	if count > 1 {
		y = b.Concat(0, rows...)
	}
	return append([]*Value{y}, states...)
}

// unrolls reports whether the number of steps of x (T,B,I) is known.
func unrolls(args []*Value) bool {
	count, ok := args[0].Shape[0].Number()
	return ok && count > 0
}

// Unending returns the lengths, int64 (B), of texts that do not end before the last
// step of a recurrent operator.
func (b *Builder) Unending(batch Dim) *Value {
	return b.Expand(b.integer(math.MaxInt32), batch)
}

// IsUnending reports whether the lengths of texts are at least those of x (T,B,I),
// as far as the graph says so.
func IsUnending(x, lengths *Value) bool {
	count, ok := x.Shape[0].Number()
	if !ok {
		count = math.MaxInt32
	}
	return unending(lengths, count)
}

func unending(lengths *Value, count int) bool {
	if _, ok := Is[Expand](lengths); ok {
		lengths = lengths.Args()[0]
	}
	t, ok := lengths.Constant()
	if !ok {
		return false
	}
	all, err := t.Int64s()
	return err == nil && !slices.ContainsFunc(all, func(n int64) bool { return n < int64(count) })
}

// IsZero reports whether every element of x is 0, as far as the graph says so.
func IsZero(x *Value) bool {
	if _, ok := Is[Expand](x); ok {
		x = x.Args()[0]
	}
	return everyElement(x, 0)
}

// parts splits x into count equal parts along its last axis.
func (b *Builder) parts(x *Value, count int) []*Value {
	last := len(x.Shape) - 1
	size, _ := x.Shape[last].Number()
	sizes := make([]int, count)
	for i := range sizes {
		sizes[i] = size / count
	}
	if count == 1 {
		return []*Value{x}
	}
	return b.Split(x, last, sizes...)
}
