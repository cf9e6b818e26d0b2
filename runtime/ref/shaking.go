package ref

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// shaken is a value with its perturbed copies.
type shaken struct {
	array
	stack  array  // the copies; without elements of f they are equal to the value
	unsure []bool // elements of integers or truth values that rounding may change; nil: none
	doubt  array  // copies of integers that rounding may change, see doubts.go; without elements: none
	// spoilt means that nothing is known of the errors.
	spoilt bool
	// lazy computes copy k anew at each use: copies of moved weights are larger than
	// all that is kept.
	lazy func(k int) array
}

// at returns copy k.
func (s *shaken) at(k int) array {
	if s.stack.f == nil {
		return s.array
	}
	return layer(s.stack, k)
}

// shaking is an evaluation with copies.
type shaking struct {
	*certified
	plan    *plan
	inputs  map[string]format.Tensor
	numbers runtime.Numbers
	copies  int
	shrink  float64 // size of the injected errors as a share of the real ones
	held    map[*graph.Value]*shaken
	wanted  map[*graph.Value]bool
	squares map[*graph.Value]squares // of the differences at wanted values
	unsure  map[*graph.Value][]bool
	scores  *graph.Value                       // of which leads are wanted; nil: none
	chosen  map[*graph.Value]runtime.Selection // what is wanted of a large value
	picked  map[*graph.Value]bool              // values of which only that was computed: they have one axis
	leads   squares                            // of the differences of each score's distance to the highest of its row
	unknown string
	beyond  string // the first value that its type may not hold
}

// shake evaluates the graph with copies. The values of scores, if there are any, also
// get their leads.
func (c *certified) shake(inputs map[string]format.Tensor, sizes map[string]int, numbers runtime.Numbers, wanted map[string]*graph.Value, scores *graph.Value) (*shaking, error) {
	return c.shakeFor(inputs, sizes, numbers, wanted, scores, nil)
}

// shakeFor is shake for what keep selects of the wanted values.
func (c *certified) shakeFor(inputs map[string]format.Tensor, sizes map[string]int, numbers runtime.Numbers, wanted map[string]*graph.Value, scores *graph.Value, keep keeping) (*shaking, error) {
	values := slices.Collect(maps.Values(wanted))
	p, err := newPlan(c.graph, values, maps.Clone(sizes))
	if err != nil {
		return nil, err
	}
	s := &shaking{
		certified: c, plan: p, inputs: inputs, numbers: numbers, held: map[*graph.Value]*shaken{}, scores: scores,
		wanted: map[*graph.Value]bool{}, squares: map[*graph.Value]squares{}, unsure: map[*graph.Value][]bool{},
		picked: map[*graph.Value]bool{}, chosen: keep.of(wanted, p),
	}
	s.shrink = noiseUnit / s.largestUnit()
	for _, v := range values {
		s.wanted[v] = true
	}
	s.copies = manyCopies
	if scores == nil {
		s.copies = c.copiesFor(s.wanted, p)
	}
	return s, s.run()
}

// bounds returns the bounds of the wanted values under their names.
func (s *shaking) bounds(wanted map[string]*graph.Value) runtime.Bounds {
	b := runtime.Bounds{Of: map[string]format.Tensor{}, Unknown: s.unknown}
	if s.large(wanted) {
		why, err := s.bends(wanted)
		if err != nil {
			why = err.Error()
		}
		if why != "" {
			b.Unknown = why
			for _, v := range wanted {
				if a := s.held[v]; a != nil && !v.Leaf() {
					s.spoil(v, a)
				}
			}
		}
	}
	b.Unknown = cmp.Or(b.Unknown, s.beyond)
	for name, v := range wanted {
		if v.Leaf() { // an input handed out is rounded, if at all
			if a, err := s.load(v); err == nil && s.leafUnit(v) > 0 {
				s.square(v, a)
			}
		}
		if sq, ok := s.squares[v]; ok {
			shape := s.shapeOf(v)
			if s.picked[v] {
				b.Of[name] = format.FromFloat64s(name, shape, s.limitsOfLines(sq, s.chosen[v]))
				continue
			}
			b.Of[name] = format.FromFloat64s(name, shape, s.limits(sq, shape))
		} else if u := s.unsure[v]; u != nil {
			limits := make([]float64, len(u))
			for i, yes := range u {
				if yes {
					limits[i] = math.Inf(1)
				}
			}
			b.Of[name] = format.FromFloat64s(name, s.shapeOf(v), limits)
		}
	}
	return b
}

// outputs returns the exact outputs of the graph, as Run does.
func (s *shaking) outputs() (map[string]format.Tensor, error) {
	out := make(map[string]format.Tensor, len(s.graph.Outputs))
	for _, o := range s.graph.Outputs {
		a, err := s.load(o.Value)
		if err != nil {
			return nil, err
		}
		out[o.Name] = a.wide().tensor(o.Name)
	}
	return out, nil
}

func (s *shaking) shapeOf(v *graph.Value) []int { return s.held[v].shape }

// largestUnit returns the unit roundoff that the noise is scaled by.
func (s *shaking) largestUnit() float64 {
	largest := unit(s.numbers.DType)
	if s.numbers.TF32 {
		largest = max(largest, tf32)
	}
	for v := range s.graph.Values() {
		largest = max(largest, unit(v.DType))
	}
	return cmp.Or(largest, unit(format.Float32))
}

// tf32 is the unit roundoff of a factor in TF32: 10 explicit bits.
const tf32 = 0x1p-11

// leafUnit returns the unit roundoff by which a leaf is rounded: that of the
// runtime's type if the graph's has more digits.
func (s *shaking) leafUnit(v *graph.Value) float64 {
	if !v.DType.Float() || !narrower(s.numbers.DType, v.DType) {
		return 0
	}
	if op, ok := v.Op().(graph.Const); ok && op.Value.Elements() == 1 && op.Value.DType.Float() { // numbers of operators, and masks
		return 0
	}
	return unit(s.numbers.DType)
}

// units returns the roundings of a node's results.
func (s *shaking) units(n *graph.Node) units { return s.unitsOf(n, s.outside[n.Results[0].Name]) }

// unitsOf returns the roundings of a node's results, or those of values inside an
// operator.
func (s *shaking) unitsOf(n *graph.Node, outside bool) units {
	d := n.Results[0].DType
	for _, v := range n.Results {
		if v.DType.Float() {
			d = v.DType
		}
	}
	sums := s.numbers.Sums
	if sums == format.Invalid {
		if sums = format.Float32; d == format.Float64 {
			sums = d
		}
	}
	to := d
	if narrower(s.numbers.DType, d) && d != format.Float64 {
		to = s.numbers.DType
		if !outside {
			to = d
		}
	}
	u := units{value: unit(to), tiny: tinies[to], sums: unit(sums), most: overflows(to), room: overflows(sums)}
	if narrower(sums, to) {
		u.sums, u.room = u.value, u.most
	}
	if s.numbers.TF32 && d == format.Float32 {
		u.factor = tf32
	}
	return u
}

// run evaluates the nodes in order.
func (s *shaking) run() error {
	left := maps.Clone(s.plan.uses)
	var dropped garbage
	for i, n := range s.graph.Nodes {
		if !s.plan.runs(n) || n.Results[0].Leaf() {
			continue
		}
		if err := s.node(n, uint64(i), left); err != nil {
			return err
		}
		for _, a := range n.Args {
			left[a]--
			held := s.held[a]
			if held == nil {
				continue
			}
			switch left[a] {
			case 0:
				delete(s.held, a)
				dropped.drop(held.array, held.stack, held.doubt)
			case usesOf(s.wanted, a): // only its bounds are wanted, and they are known
				dropped.drop(held.stack)
				held.stack = array{}
			}
		}
	}
	return nil
}

// load returns a value in memory, a leaf at its first use.
func (s *shaking) load(v *graph.Value) (*shaken, error) {
	if a, ok := s.held[v]; ok {
		return a, nil
	}
	a, err := loadLeaf(v, s.inputs, s.weights)
	if err != nil {
		return nil, err
	}
	s.held[v] = &shaken{array: a}
	return s.held[v], nil
}

// copyOf returns copy k of an argument. Rounded leaves have none in memory: theirs
// are a function of the leaf and k.
func (s *shaking) copyOf(v *graph.Value, a *shaken, k int) array {
	if a.lazy != nil {
		return a.lazy(k)
	}
	u := 0.0
	if v.Leaf() {
		u = s.leafUnit(v)
	}
	if u == 0 || a.kind != floats {
		return a.at(k)
	}
	out := array{shape: a.shape, kind: floats, dtype: a.dtype, f: slices.Clone(a.wide().f)}
	d := make([]float64, 0, 64)
	to := units{value: u, tiny: tinies[s.numbers.DType]}
	signs := newSigns(hash(v.Name), k)
	for from := 0; from < len(out.f); from += 64 {
		part := out.f[from:min(from+64, len(out.f))]
		d = d[:len(part)]
		for i, x := range part {
			d[i] = to.rounded(x) * uniform
		}
		signs.add(part, d, s.shrink, from/64)
	}
	if most := overflows(s.numbers.DType); mayOverflow(a.array, most) {
		s.overflowCopy(k, out.f, a.wide().f, most)
	}
	return out
}

// stacksOf returns the copies of the arguments; those without elements are equal to
// the argument.
func (s *shaking) stacksOf(n *graph.Node, args []*shaken) []array {
	stacks := make([]array, len(args))
	for i, a := range args {
		rounded := a.lazy != nil || n.Args[i].Leaf() && a.kind == floats && s.leafUnit(n.Args[i]) > 0
		if stacks[i] = a.stack; rounded {
			stacks[i] = stackOf(s.copies, a.array)
			for k := range s.copies {
				copy(layer(stacks[i], k).f, s.copyOf(n.Args[i], a, k).wide().f)
			}
		}
	}
	return stacks
}

// node evaluates one node and its copies.
func (s *shaking) node(n *graph.Node, index uint64, left map[*graph.Value]int) error {
	args := make([]*shaken, len(n.Args))
	c := call{args: make([]array, len(n.Args)), shapes: make([][]int, len(n.Results)), sizes: s.plan.sizes}
	perturbed, spoilt := false, false
	var unsure []*shaken
	for i, a := range n.Args {
		var err error
		if args[i], err = s.load(a); err != nil {
			return err
		}
		c.args[i] = args[i].array
		perturbed = perturbed || args[i].stack.f != nil || args[i].lazy != nil || a.Leaf() && s.leafUnit(a) > 0
		spoilt = spoilt || args[i].spoilt
		if args[i].unsure != nil {
			unsure = append(unsure, args[i])
		}
	}
	for i, v := range n.Results {
		var err error
		if c.shapes[i], err = s.plan.shape(v); err != nil {
			return err
		}
		c.types = append(c.types, v.DType)
	}
	if !spoilt && len(unsure) == 0 && left[n.Results[0]] == usesOf(s.wanted, n.Results[0]) {
		if picked, err := s.pick(n, c, args, index); picked || err != nil {
			return err
		}
	}
	exact, err := apply(n, c)
	if err == nil {
		err = s.plan.count(n, exact)
	}
	if err != nil {
		return failed(n, err)
	}
	exact = exact[:len(n.Results)] // a kernel may compute optional results too
	results := make([]*shaken, len(exact))
	for i, a := range exact {
		results[i] = &shaken{array: a, spoilt: spoilt}
		c.shapes[i] = a.shape
	}
	if !spoilt {
		if why := s.evaluate(n, c, args, unsure, perturbed, results, index, left); why != "" {
			spoilt = true
			if s.unknown == "" {
				s.unknown = fmt.Sprintf("%s of %s: %s", n.Name(), n.Op.Name(), why)
			}
		}
	}
	for i, v := range n.Results {
		r := results[i]
		if spoilt {
			*r = shaken{array: r.array, spoilt: true}
			if s.wanted[v] {
				s.spoil(v, r)
			}
		}
		if r.unsure != nil && s.wanted[v] {
			s.unsure[v] = r.unsure
		}
		if r.doubt.f != nil && s.wanted[v] {
			s.unsure[v] = s.doubted(r)
		}
		if left[v] > 0 {
			s.held[v] = r
		}
	}
	return nil
}

// spoil makes all bounds of a wanted value infinite.
func (s *shaking) spoil(v *graph.Value, r *shaken) {
	if r.kind == floats {
		s.squares[v] = squares{sums: slices.Repeat([]float64{math.NaN()}, r.len())}
		return
	}
	s.unsure[v] = slices.Repeat([]bool{true}, r.len())
}

// evaluate computes the copies of a node's results. It returns why nothing is
// known of them, "" if something is.
func (s *shaking) evaluate(n *graph.Node, c call, args, unsure []*shaken, perturbed bool, results []*shaken, index uint64, left map[*graph.Value]int) string {
	exact := make([]array, len(results))
	for i, r := range results {
		exact[i] = r.array
	}
	u := s.units(n)
	var stacks []array
	slips := make([]slip, len(results))
	var beyond atomic.Bool
	fused, isFused := fusedRules[reflect.TypeOf(n.Op)]
	rule, ok := roundingRules[reflect.TypeOf(n.Op)]
	switch {
	case isFused && len(unsure) > 0:
		return "it depends on a comparison within rounding"
	case isFused:
		stacks = fused(n.Op, fusedCall{call: c, exact: exact, copies: s.stacksOf(n, args), count: s.copies, u: u, inner: s.unitsOf(n, false), seed: index, shrink: s.shrink, beyond: &beyond})
		if beyond.Load() && s.beyond == "" {
			s.beyond = tooLarge(n)
		}
	case ok:
		slips = rule.slip(n.Op, c, exact, u)
	default:
		return unruled(n.Op)
	}
	doubted := slices.ContainsFunc(args, func(a *shaken) bool { return a.doubt.f != nil })
	var doubts array // of what becomes floating-point numbers
	if doubted {
		known := false
		if doubts, known = s.carry(n, c, args, results, index); isFused || !known {
			return "it depends on a quantized number within rounding"
		}
	}
	if len(unsure) > 0 {
		if !s.spread(n, c, args, results, slips, u) {
			return "it depends on a comparison within rounding"
		}
		for _, r := range results {
			if !slices.Contains(r.unsure, true) { // what may change was not chosen
				r.unsure = nil
			}
		}
	}
	if _, ok := n.Op.(graph.Requantize); ok && !doubted && !s.requantized(n, c, args, results[0], index) {
		return "it depends on a quantized number within rounding"
	}
	if perturbed {
		s.decide(n, c, args, results)
	}
	if s.tie(n, c, results) || perturbed {
		s.doubt(n, args, results, index)
	}
	if perturbed {
		s.poles(n, args, results, slips)
	}
	for i, r := range results {
		if r.kind == floats && r.unsure != nil { // a step that rounding may take
			slips[i] = newSlip(r.len())
			for j, yes := range r.unsure {
				if yes {
					slips[i].deviation[j] = math.NaN()
				}
			}
			r.unsure = nil
		}
	}
	moved := perturbed || isFused || doubts.f != nil
	large := make([]bool, len(results))
	for i, r := range results {
		large[i] = r.kind == floats && (slips[i].partial != nil || mayOverflow(r.array, u.most))
		moved = moved || slips[i].deviation != nil || large[i]
	}
	if !moved || !slices.ContainsFunc(results, func(r *shaken) bool { return r.kind == floats }) {
		return ""
	}
	if s.isLazy(n, args, slips) {
		results[0].lazy = func(k int) array {
			ck := c
			ck.args = []array{s.copyOf(n.Args[0], args[0], k)}
			out, err := apply(n, ck)
			if err != nil { // it moved the exact elements
				panic("ref: " + err.Error())
			}
			return out[0]
		}
		return ""
	}
	if stacks == nil && perturbed {
		var err error
		if stacks, err = s.copiesOf(n, c, args, exact); err != nil {
			return err.Error()
		}
	}
	for i, v := range n.Results {
		if exact[i].kind != floats {
			continue
		}
		var stack array
		switch {
		case stacks == nil:
			stack = repeated(s.copies, exact[i])
		case (slips[i].deviation != nil || large[i] || doubts.f != nil) && shares(stacks[i], args):
			stack = stacks[i]
			stack.f = slices.Clone(stack.f)
		default:
			stack = stacks[i]
		}
		for j, d := range doubts.f { // of the only result
			stack.f[j] += d
		}
		if large[i] {
			s.overflow(n, stack, exact[i], slips[i].partial, u.most)
		}
		if _, ok := n.Op.(graph.RoundTo8Bits); ok {
			s.dither(stack, c.args[0], exact[0], slips[0])
		} else {
			s.jolt(stack, exact[i], slips[i], seedOf(n, index, i))
		}
		if left[v] > usesOf(s.wanted, v) {
			results[i].stack = stack
		}
		if s.wanted[v] {
			s.add(v, exact[i], stack)
		}
	}
	return ""
}

// isLazy reports whether a node only moves the elements of a weight.
func (s *shaking) isLazy(n *graph.Node, args []*shaken, slips []slip) bool {
	if len(n.Args) != 1 || len(n.Results) != 1 || slips[0].deviation != nil || s.wanted[n.Results[0]] {
		return false
	}
	return n.Args[0].Leaf() || args[0].lazy != nil
}

// usesOf counts a wanted value's use as an output.
func usesOf(wanted map[*graph.Value]bool, v *graph.Value) int {
	if wanted[v] {
		return 1
	}
	return 0
}

// applyCopy computes a node on perturbed arguments. A conversion to fewer digits
// hides small differences, so its copies keep them.
func (s *shaking) applyCopy(n *graph.Node, ck, c call, exact []array) ([]array, error) {
	if keepsCopies(n.Op, c, exact) {
		out := newArray(floats, exact[0].shape)
		for i, y := range exact[0].f {
			out.f[i] = y
			if !steps(n.Op) {
				out.f[i] += ck.args[0].f[i] - c.args[0].f[i]
			}
		}
		out.dtype = exact[0].dtype
		return []array{out}, nil
	}
	if _, quantizes := n.Op.(graph.DynamicQuantizeLinear); quantizes {
		return quantizedCopy(ck.args[0], c.args[0], exact), nil
	}
	out, err := apply(n, ck)
	if err != nil {
		return nil, fmt.Errorf("with roundings: %w", err)
	}
	out = out[:len(exact)]
	for i := range out {
		if !slices.Equal(out[i].shape, exact[i].shape) {
			return nil, fmt.Errorf("rounding changes its size")
		}
	}
	return out, nil
}
