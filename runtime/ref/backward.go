package ref

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"runtime/debug"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// backward bounds the rounding error of numbers that an output holds, one at a time:
// Σ over all values of |∂number/∂value| times the rounding error of that value. The
// forward pass keeps every value and its errors; each number takes one pass through
// the graph's derivatives.
type backward struct {
	*shaking // for the roundings of the arithmetic, and the sizes
	output   *graph.Value
	arrays   map[*graph.Value]array
	slips    map[*graph.Value]valueErrors
	rounded  map[*graph.Value]bool // floats that roundings reach, and integers and truth values that they may change
	adjoints *graph.Adjoints
	after    *plan                  // of the derivatives
	fixed    map[*graph.Value]array // derivatives that do not depend on the seed
}

// valueErrors are the rounding errors of a value's elements: the largest in any order, the
// largest in order, and the standard deviations.
type valueErrors struct {
	readings
	deviation []float64
}

// primitive reports whether both tables have the rounding errors of a node.
func primitive(n *graph.Node) bool {
	of := reflect.TypeOf(n.Op)
	_, sized := largestRules[of]
	r, ok := roundingRules[of]
	return n.Results[0].Leaf() || ok && (sized || r.exact)
}

// backward evaluates the graph up to an output.
func (o *Oracle) backward(inputs map[string]format.Tensor, n runtime.Numbers, output string) (*backward, error) {
	shapes := make(map[string][]int, len(inputs))
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	sizes, err := o.graph.BindInputs(shapes)
	if err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	c, err := newCertified(o, graph.Bind(sizes), singlePass, graph.Decompose(primitive))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.graph.Outputs, func(x graph.Output) bool { return x.Name == output })
	if i < 0 || !c.graph.Outputs[i].Value.DType.Float() {
		return nil, fmt.Errorf("ref: the graph gives no numbers called %.80q", output)
	}
	b := &backward{
		shaking: &shaking{certified: c, inputs: inputs, numbers: n},
		output:  c.graph.Outputs[i].Value, arrays: map[*graph.Value]array{}, slips: map[*graph.Value]valueErrors{}, rounded: map[*graph.Value]bool{},
	}
	if b.plan, err = newPlan(c.graph, []*graph.Value{b.output}, sizes); err != nil {
		return nil, err
	}
	if err := b.roomy(); err != nil {
		return nil, err
	}
	if err := b.forward(); err != nil {
		return nil, err
	}
	return b, b.derive()
}

// roomy refuses a network whose values, with three errors each, take more than half of
// what a run may take.
func (b *backward) roomy() error {
	bytes, limit := int64(0), min(MaxBytes, debug.SetMemoryLimit(-1))/2
	for _, n := range b.graph.Nodes {
		if n.Results[0].Leaf() || !b.plan.runs(n) {
			continue
		}
		for _, v := range n.Results {
			elements, _ := format.Elements(b.plan.shapes[v])
			if bytes += 4 * 8 * int64(elements); bytes > limit {
				return fmt.Errorf("ref: the errors of all values up to %.80q take more than %d bytes: take a shorter text", v.Name, limit)
			}
		}
	}
	return nil
}

// get returns a value that was computed, or a leaf.
func (b *backward) get(v *graph.Value) (array, error) {
	if a, ok := b.arrays[v]; ok {
		return a, nil
	}
	if a, ok := b.fixed[v]; ok {
		return a, nil
	}
	a, err := loadLeaf(v, b.inputs, b.weights)
	if err != nil {
		return a, err
	}
	b.arrays[v] = a
	if u := b.leafUnit(v); u > 0 && a.kind == floats {
		to := units{value: u, tiny: tinies[b.numbers.DType]}
		l := alike(a.len(), func(i int) float64 { return to.rounded(a.at(i)) })
		b.slips[v] = valueErrors{l, scaled(l.any, uniform)}
	}
	return a, nil
}

// at returns element i of an array of floats in storage order; the sizes of a turned one's elements
// are asked for after wide.
func (a array) at(i int) float64 {
	if a.s != nil {
		return float64(a.s[i])
	}
	return a.f[i]
}

func scaled(x []float64, by float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v * by
	}
	return y
}

// forward computes every value, and its rounding errors.
func (b *backward) forward() error {
	for _, n := range b.graph.Nodes {
		if !b.plan.runs(n) || n.Results[0].Leaf() {
			continue
		}
		c, err := b.call(n, b.plan, b.get)
		if err != nil {
			return err
		}
		out, err := apply(n, c)
		if err == nil {
			err = b.plan.count(n, out)
		}
		if err != nil {
			return fmt.Errorf("ref: %s %.80q: %w", n.Op.Name(), n.Name(), err)
		}
		out = out[:len(n.Results)]
		for i, v := range n.Results {
			b.arrays[v], c.shapes[i] = out[i], out[i].shape
		}
		b.errorsOf(n, c, out)
	}
	return nil
}

// call returns the application of a node.
func (b *backward) call(n *graph.Node, p *plan, get func(*graph.Value) (array, error)) (c call, err error) {
	c = call{args: make([]array, len(n.Args)), shapes: make([][]int, len(n.Results)), sizes: p.sizes}
	for i, a := range n.Args {
		if c.args[i], err = get(a); err != nil {
			return c, err
		}
	}
	for i, v := range n.Results {
		if c.shapes[i], err = p.shape(v); err != nil {
			return c, err
		}
		c.types = append(c.types, v.DType)
	}
	return c, nil
}

// errorsOf enters the rounding errors of a node's results. Those of an operator without
// rules are unknown. So are those of steps, and of what depends on an integer or a truth
// value that rounded numbers decide: here no noise says which decisions are firm.
func (b *backward) errorsOf(n *graph.Node, c call, out []array) {
	reached, decided := false, false
	for _, a := range n.Args {
		if b.rounded[a] || b.slips[a].deviation != nil {
			reached = true
			decided = decided || !a.DType.Float()
		}
	}
	if n.Op == graph.IsNaN { // no rounding makes a number none
		reached = false
	}
	defer func() {
		for _, v := range n.Results {
			b.rounded[v] = reached || b.slips[v].deviation != nil
		}
	}()
	if reached && (decided || steps(n.Op)) && out[0].kind == floats {
		b.doubt(n, "it depends on a comparison of rounded numbers")
		return
	}
	c.args = slices.Clone(c.args)
	for i := range c.args {
		if !kernels[reflect.TypeOf(n.Op)].narrow {
			c.args[i] = c.args[i].wide()
		}
	}
	first := n.Results[0]
	rule, ok := roundingRules[reflect.TypeOf(n.Op)]
	if !ok {
		b.doubt(n, unruled(n.Op))
		return
	}
	if rule.exact || out[0].kind != floats {
		return
	}
	sized, ok := largestRules[reflect.TypeOf(n.Op)]
	if !ok {
		b.doubt(n, "no rounding rule")
		return
	}
	u := b.units(n)
	slips := rule.slip(n.Op, c, out, u)
	large := slips[0].partial != nil || mayOverflow(out[0], u.most*farther)
	if slips[0].deviation == nil {
		if !large {
			return
		}
		slips[0] = newSlip(out[0].len())
	}
	e := valueErrors{sized(n.Op, c, out[0], u), slips[0].deviation}
	if large {
		e = b.overflown(n, e, out[0].f, slips[0].partial, u.most)
	}
	for i, p := range e.sums { // in the worst order, all terms of one sign come first
		if p >= u.most && !math.IsInf(out[0].f[i], 0) {
			e.any[i], e.ordered[i] = math.Inf(1), math.Inf(1)
			b.beyond = cmp.Or(b.beyond, tooLarge(n))
		}
	}
	e.sums = nil
	for i, y := range out[0].f {
		if math.IsInf(y, 0) { // an infinity has no rounding error
			e.deviation[i] = 0
			if e.any != nil {
				e.any[i], e.ordered[i] = 0, 0
			}
		}
	}
	if slices.ContainsFunc(e.deviation, func(x float64) bool { return x != 0 }) {
		b.slips[first] = e
	}
}

// doubt makes the errors of a node's results unknown.
func (b *backward) doubt(n *graph.Node, why string) {
	if b.unknown == "" {
		b.unknown = fmt.Sprintf("%s of %s: %s", n.Name(), n.Op.Name(), why)
	}
	for _, v := range n.Results {
		if a := b.arrays[v]; a.kind == floats {
			inf := slices.Repeat([]float64{math.Inf(1)}, a.len())
			b.slips[v] = valueErrors{readings{any: inf, ordered: inf}, inf}
		}
	}
}

// derive records the derivatives by the values that have errors, and computes those that
// are the same for every number.
func (b *backward) derive() error {
	var err error
	b.adjoints, err = graph.Adjoint(b.graph, b.output, func(v *graph.Value) bool { _, ok := b.slips[v]; return ok })
	if err != nil {
		return fmt.Errorf("ref: %w", err)
	}
	wanted := slices.Collect(maps.Values(b.adjoints.By))
	if b.after, err = newPlan(b.adjoints.Graph, wanted, b.plan.sizes); err != nil {
		return err
	}
	depends := map[*graph.Value]bool{b.adjoints.Seed: true}
	b.fixed = map[*graph.Value]array{}
	for _, n := range b.laterNodes() {
		seeded := slices.ContainsFunc(n.Args, func(a *graph.Value) bool { return depends[a] })
		for _, v := range n.Results {
			depends[v] = seeded
		}
		if seeded {
			continue
		}
		c, err := b.call(n, b.after, b.get)
		if err != nil {
			return err
		}
		out, err := apply(n, c)
		if err != nil {
			return fmt.Errorf("ref: %s %.80q: %w", n.Op.Name(), n.Name(), err)
		}
		for i, v := range n.Results {
			b.fixed[v] = out[i]
		}
	}
	return nil
}

// laterNodes returns the nodes of the derivatives.
func (b *backward) laterNodes() (later []*graph.Node) {
	for _, n := range b.adjoints.Graph.Nodes {
		if _, done := b.arrays[n.Results[0]]; !done && b.after.runs(n) && !n.Results[0].Leaf() {
			later = append(later, n)
		}
	}
	return later
}

// of bounds the error of Σ seed·output.
func (b *backward) of(seed map[int]float64) (*runtime.Roundings, map[*graph.Value][]float64, error) {
	start := newArray(floats, b.arrays[b.output].shape)
	for i, x := range seed {
		start.f[i] = x
	}
	held := map[*graph.Value]array{b.adjoints.Seed: start}
	users := map[*graph.Value][]*graph.Value{}
	// In the order of the graph: the sums of the parts have the same bits in each run.
	for _, n := range b.adjoints.Graph.Nodes {
		for _, v := range n.Results {
			if d := b.adjoints.By[v]; d != nil {
				users[d] = append(users[d], v)
			}
		}
	}
	r := &runtime.Roundings{Unknown: b.unknown}
	signs := map[*graph.Value][]float64{}
	use := func(d *graph.Value, a array) {
		for _, v := range users[d] {
			part, steps := b.part(v, a.wide())
			if signs[v] = steps; part.Deviation > 0 || part.Worst > 0 || math.IsNaN(part.Worst) {
				r.Parts = append(r.Parts, part)
			}
		}
	}
	use(b.adjoints.Seed, start)
	left := maps.Clone(b.after.uses)
	get := func(v *graph.Value) (array, error) {
		if a, ok := held[v]; ok {
			return a, nil
		}
		return b.get(v)
	}
	for _, n := range b.laterNodes() {
		if _, done := b.fixed[n.Results[0]]; done {
			for _, v := range n.Results {
				use(v, b.fixed[v])
			}
			continue
		}
		c, err := b.call(n, b.after, get)
		if err != nil {
			return nil, nil, err
		}
		var out []array
		if _, converts := n.Op.(graph.Cast); converts && c.args[0].kind == floats { // a derivative keeps its digits
			x := c.args[0].wide()
			x.dtype = c.types[0]
			out = []array{x}
		} else if out, err = apply(n, c); err != nil {
			return nil, nil, fmt.Errorf("ref: %s %.80q: %w", n.Op.Name(), n.Name(), err)
		}
		for i, v := range n.Results {
			if use(v, out[i]); left[v] > 0 {
				held[v] = out[i]
			}
		}
		for _, a := range n.Args {
			if left[a]--; left[a] == 0 {
				delete(held, a)
			}
		}
	}
	if r.Sum(); math.IsInf(r.Worst, 0) {
		r.Unknown = cmp.Or(r.Unknown, b.beyond)
	}
	return r, signs, nil
}

// part returns what the rounding of one value does to the number with derivative d, and
// the steps that do the most to it.
func (b *backward) part(v *graph.Value, d array) (runtime.Part, []float64) {
	p := runtime.Part{Value: v.Name, Op: v.Op().Name()}
	e := b.slips[v]
	steps := make([]float64, len(d.f))
	for i, x := range d.f {
		dev := e.deviation[i]
		if dev == 0 || x == 0 {
			continue
		}
		p.Deviation += square(x * dev)
		p.Worst += math.Abs(x) * e.any[i]
		p.Executed += math.Abs(x) * e.ordered[i]
		steps[i] = math.Copysign(e.any[i], x)
	}
	p.Deviation = math.Sqrt(p.Deviation)
	return p, steps
}
