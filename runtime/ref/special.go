package ref

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// An infinity or NaN of an output has the bound 0 if no rounding decides it: a logarithm of
// an exact 0, a division by an exact 0, the maximum of nothing. A runtime must then have
// the same. What overflows, or what rounding may move to the other side of a pole, keeps
// its infinite bound.

// maxSpecial bounds the elements of a graph of which special values are traced.
const maxSpecial = 1 << 22

// settle sets the bounds of special elements: 0 if no rounding decides them, otherwise
// infinity.
func (o *Oracle) settle(inputs map[string]format.Tensor, n runtime.Numbers, outputs map[string]format.Tensor, b *runtime.Bounds) error {
	var t *tracing
	for _, out := range o.graph.Outputs {
		if !out.Value.DType.Float() {
			continue
		}
		x, err := outputs[out.Name].AsFloat64s()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(x, isSpecial) {
			continue
		}
		if t == nil {
			if t, err = o.trace(inputs, n); err != nil {
				return err
			}
			of := map[string]format.Tensor{} // another arithmetic may share the map
			for k, v := range b.Of {
				of[k] = v
			}
			b.Of = of
		}
		limits := make([]float64, len(x))
		if known, there := b.Of[out.Name]; there {
			l, err := known.Float64s()
			if err != nil || len(l) != len(x) {
				return fmt.Errorf("ref: bounds of %.80q: %d for %d elements", out.Name, len(l), len(x))
			}
			copy(limits, l)
		}
		var certain []bool
		if !t.large {
			certain = t.certain(out.Value)
		}
		for i, v := range x {
			switch {
			case !isSpecial(v):
			case i < len(certain) && certain[i]:
				limits[i] = 0
			default:
				limits[i] = math.Inf(1)
			}
		}
		b.Of[out.Name] = format.FromFloat64s(out.Name, outputs[out.Name].Shape, limits)
	}
	if t != nil && !unbounded(b.Of) {
		b.Unknown = ""
	}
	return nil
}

// unbounded reports whether a bound is not finite.
func unbounded(of map[string]format.Tensor) bool {
	for _, t := range of {
		if l, err := t.Float64s(); err != nil || slices.ContainsFunc(l, isSpecial) {
			return true
		}
	}
	return false
}

func isSpecial(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }

// tracing follows special values back to what they come from.
type tracing struct {
	o      *Oracle
	values map[string]format.Tensor
	bounds runtime.Bounds           // of values between
	inputs map[string]format.Tensor // exact ones
	known  map[*graph.Value][]bool  // certain special elements
	sure   map[*graph.Value][]bool  // elements that nothing rounded decides
	read   map[*graph.Value][]float64
	limits map[*graph.Value][]float64
	large  bool // the graph is too large, or its inputs are rounded: nothing is certain
}

// trace evaluates all values of a graph and their bounds.
func (o *Oracle) trace(inputs map[string]format.Tensor, n runtime.Numbers) (*tracing, error) {
	if n.DType != format.Invalid && slices.ContainsFunc(o.graph.Inputs, func(v *graph.Value) bool { return v.DType.Float() && narrower(n.DType, v.DType) }) {
		return &tracing{large: true}, nil
	}
	shapes := map[string][]int{}
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	sizes, err := o.graph.BindInputs(shapes)
	if err != nil {
		return nil, err
	}
	total := 0
	var names []string
	for v := range o.graph.Values() {
		shape, err := v.Shape.Eval(sizes)
		if err != nil {
			return &tracing{large: true}, nil
		}
		count, _ := format.Elements(shape)
		if total += count; total > maxSpecial {
			return &tracing{large: true}, nil
		}
		if !v.Leaf() {
			names = append(names, v.Name)
		}
	}
	t := &tracing{o: o, inputs: inputs, known: map[*graph.Value][]bool{}, sure: map[*graph.Value][]bool{}, read: map[*graph.Value][]float64{}, limits: map[*graph.Value][]float64{}}
	if t.values, err = o.Values(inputs, names...); err != nil {
		return nil, err
	}
	t.bounds, err = o.ValueBounds(inputs, n, names...)
	return t, err
}

// elements returns a value's elements.
func (t *tracing) elements(v *graph.Value) []float64 {
	if out, ok := t.read[v]; ok {
		return out
	}
	x, ok := t.values[v.Name]
	if !ok {
		x, ok = t.inputs[v.Name]
	}
	if !ok {
		x, ok = v.Constant()
	}
	if !ok {
		x = t.o.weights[v]
	}
	out, err := x.AsFloat64s()
	if err != nil {
		out = nil
	}
	t.read[v] = out
	return out
}

func (t *tracing) shape(v *graph.Value) []int {
	if x, ok := t.values[v.Name]; ok {
		return x.Shape
	}
	if x, ok := t.inputs[v.Name]; ok {
		return x.Shape
	}
	if x, ok := v.Constant(); ok {
		return x.Shape
	}
	return t.o.weights[v].Shape
}

// limit returns the bound of an element; 0 for what is not computed.
func (t *tracing) limit(v *graph.Value, i int) float64 {
	if v.Leaf() {
		return 0
	}
	b, ok := t.bounds.Of[v.Name]
	if !ok {
		return 0
	}
	l, ok := t.limits[v]
	if !ok {
		l, _ = b.Float64s() // none: nothing is certain
		t.limits[v] = l
	}
	if i >= len(l) {
		return math.Inf(1)
	}
	return l[i]
}

// certain reports for each element of a value whether it is special and no rounding
// decides that.
func (t *tracing) certain(v *graph.Value) []bool {
	if c, ok := t.known[v]; ok {
		return c
	}
	x := t.elements(v)
	c := make([]bool, len(x))
	t.known[v] = c
	if v.Leaf() {
		for i := range x {
			c[i] = isSpecial(x[i])
		}
		return c
	}
	n := v.Node
	shape := t.shape(v)
	if r, is := n.Op.(graph.Reduce); is {
		if (r.Kind == graph.ReduceMax || r.Kind == graph.ReduceMin) && len(t.elements(n.Args[0])) == 0 {
			for i := range x {
				c[i] = isSpecial(x[i])
			}
		}
		return c
	}
	for i := range x {
		if !isSpecial(x[i]) {
			continue
		}
		arg := make([]operand, len(n.Args))
		for j, a := range n.Args {
			if arg[j] = t.operand(a, shape, i); !arg[j].ok {
				return c
			}
		}
		c[i] = decided(n.Op, arg)
	}
	return c
}

// operand is an element of an argument.
type operand struct {
	x, bound float64
	special  bool // and certain
	sure     bool // nothing rounded decides it
	ok       bool
}

// fixed reports whether the operand is what the oracle has, bit for bit.
func (a operand) fixed() bool { return a.special || a.sure }

// finite reports whether the operand is a number in every arithmetic.
func (a operand) finite() bool { return !isSpecial(a.x) && !isSpecial(a.bound) }

// nan reports whether the operand is NaN for certain, and so the result.
func (a operand) nan() bool { return a.special && math.IsNaN(a.x) }

// operand returns the element of an argument that meets element i of a result, with the
// argument broadcast.
func (t *tracing) operand(v *graph.Value, shape []int, i int) operand {
	own := t.shape(v)
	if len(own) > len(shape) {
		return operand{}
	}
	at, step := 0, 1
	for axis := len(shape) - 1; axis >= 0; axis-- {
		k := i % shape[axis]
		i /= shape[axis]
		if a := axis - (len(shape) - len(own)); a >= 0 {
			if own[a] != 1 && own[a] != shape[axis] {
				return operand{}
			}
			if own[a] != 1 {
				at += k * step
			}
			step *= own[a]
		}
	}
	x := t.elements(v)
	if at >= len(x) {
		return operand{}
	}
	return operand{x: x[at], bound: t.limit(v, at), special: isSpecial(x[at]) && t.certain(v)[at], sure: t.exact(v)[at], ok: true}
}

// exact reports for each element of a value whether it is a number that nothing rounded
// decides: its bound is 0, and so are those of what it is computed from. A bound of 0
// alone is one of first order, which says less.
func (t *tracing) exact(v *graph.Value) []bool {
	if c, ok := t.sure[v]; ok {
		return c
	}
	x := t.elements(v)
	c := make([]bool, len(x))
	t.sure[v] = c
	if v.Leaf() {
		for i := range x {
			c[i] = !isSpecial(x[i])
		}
		return c
	}
	elementwise := true
	switch v.Node.Op.(type) {
	case graph.Unary, graph.Binary, graph.Where:
	default:
		elementwise = false
		for _, a := range v.Node.Args {
			if slices.Contains(t.exact(a), false) {
				return c
			}
		}
	}
	shape := t.shape(v)
	for i := range x {
		c[i] = !isSpecial(x[i]) && t.limit(v, i) == 0
		for j := 0; j < len(v.Node.Args) && c[i] && elementwise; j++ {
			a := t.operand(v.Node.Args[j], shape, i)
			c[i] = a.ok && a.fixed()
		}
	}
	return c
}

// decided reports whether the special result of an operator on elements follows from the
// operands alone, in IEEE 754's arithmetic.
func decided(op graph.Op, a []operand) bool {
	switch op {
	case graph.Log, graph.Sqrt, graph.Reciprocal, graph.Neg, graph.Abs, graph.Identity, graph.Relu:
		below := !isSpecial(a[0].bound) && a[0].x+a[0].bound < 0 && (op == graph.Log || op == graph.Sqrt) // NaN for certain
		return a[0].fixed() || below
	case graph.Div:
		if a[1].fixed() && a[1].x == 0 && a[0].finite() { // the sign of the numerator decides, or 0/0
			return a[0].fixed() || math.Abs(a[0].x) > a[0].bound
		}
		return a[0].nan() || a[1].nan() || a[0].special && (a[1].fixed() || a[1].finite() && math.Abs(a[1].x) > a[1].bound)
	case graph.Mul:
		return a[0].nan() || a[1].nan() || a[0].special && (a[1].fixed() || a[1].finite() && math.Abs(a[1].x) > a[1].bound) || a[1].special && (a[0].fixed() || a[0].finite() && math.Abs(a[0].x) > a[0].bound)
	case graph.Add, graph.Sub:
		return a[0].nan() || a[1].nan() || a[0].special && (a[1].special || a[1].finite()) || a[1].special && a[0].finite()
	}
	return false
}
