package ref

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// The bounds come from Monte Carlo arithmetic (Parker, Monte Carlo arithmetic,
// UCLA 1997; Denis, de Oliveira Castro and Petit, Verificarlo, ARITH 2016) in
// float64: next to the exact values, copies of every value are computed, to each of
// which every operation adds a random error of the size of its rounding. The
// mean square of their differences at an output is the variance of the rounding
// error there, with all correlations on the way.
const (
	// sigmas is the bound in standard deviations. Of independent roundings 2 in 10⁹
	// go beyond 6; the rest of the room is for the estimate itself and for roundings
	// that are not independent.
	sigmas = 6
	// noiseUnit is the unit roundoff of the injected errors, whatever the type: so small
	// that the network is linear between the copies, and 2^20 times float64's own.
	noiseUnit = 0x1p-33
)

var _ runtime.Oracle = (*Oracle)(nil)

// unit returns the unit roundoff of the values of a graph's type; that of types
// which are exact is 0.
func unit(d format.DType) float64 {
	if !d.Float() {
		return 0
	}
	return runtime.Unit(d)
}

// tinies are the largest errors of numbers below the smallest normal one: half of
// the smallest number of float16, where subnormal numbers are always kept, and the smallest
// normal number of the others, where runtimes may flush to 0.
var tinies = map[format.DType]float64{format.Float64: 0x1p-1022, format.Float32: 0x1p-126, format.BFloat16: 0x1p-126, format.Float16: 0x1p-25}

// certified is the graph as its roundings are bounded: decomposed to operators
// that have a rule, fused or not.
type certified struct {
	graph   *graph.Graph
	weights map[*graph.Value]format.Tensor
	outside map[string]bool // values of the graph as it was given; others are inside an operator
}

// Bounds returns the outputs of Run, and for each arithmetic the bounds of their
// errors: 6 standard deviations of what independent roundings add up to, to first
// order. Rounding decisions (a comparison, the position of a maximum) within 6
// deviations make everything after them unknown, as do operators without a
// rounding rule.
func (o *Oracle) Bounds(inputs map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	return o.BoundsOf(inputs, nil, numbers...)
}

var _ runtime.Selecting = (*Oracle)(nil)

// BoundsOf implements runtime.Selecting: of a product that is an output it computes
// what is selected.
func (o *Oracle) BoundsOf(inputs map[string]format.Tensor, keep func(map[string][]int) map[string]runtime.Selection, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	if len(numbers) == 0 {
		out, err := o.Run(inputs)
		return runtime.Bounded{Outputs: out}, err
	}
	if err := runtime.CheckMask(inputs); err != nil {
		return runtime.Bounded{}, fmt.Errorf("ref: %w", err)
	}
	c, sizes, err := o.certified(inputs)
	if err != nil {
		return runtime.Bounded{}, err
	}
	wanted := make(map[string]*graph.Value, len(c.graph.Outputs))
	for _, out := range c.graph.Outputs {
		wanted[out.Name] = out.Value
	}
	var all runtime.Bounded
	var different []runtime.Numbers
	for _, n := range numbers {
		n = c.effective(n)
		if i := slices.Index(different, n); i >= 0 {
			different = append(different, n)
			all.Bounds = append(all.Bounds, all.Bounds[i])
			continue
		}
		different = append(different, n)
		s, err := c.shakeFor(inputs, sizes, n, wanted, nil, keep)
		if err != nil {
			return all, err
		}
		if all.Outputs == nil {
			if all.Outputs, err = s.outputs(); err != nil {
				return all, err
			}
		}
		bounds := s.bounds(wanted)
		if err := o.settle(inputs, n, all.Outputs, &bounds); err != nil {
			return all, err
		}
		all.Bounds = append(all.Bounds, bounds)
	}
	return all, nil
}

// effective returns an arithmetic without a type of values that changes nothing: the
// graph's own, or one with more digits.
func (c *certified) effective(n runtime.Numbers) runtime.Numbers {
	for v := range c.graph.Values() {
		if v.DType.Float() && narrower(n.DType, v.DType) {
			return n
		}
	}
	n.DType = format.Invalid
	return n
}

// Margins returns a margin for each row of an output along its last axis. Its bound is
// that of the difference of two values: errors that both share, such as those of the hidden
// state in the direction of both, cancel in it.
func (o *Oracle) Margins(inputs map[string]format.Tensor, n runtime.Numbers, output string) ([]runtime.Margin, error) {
	scores, limits, _, err := o.scores(inputs, n, output)
	if err != nil {
		return nil, err
	}
	return marginsOf(scores, limits), nil
}

// scores evaluates an output, and bounds the distance of each element to the highest of
// its row. It also returns why that is not known of some.
func (o *Oracle) scores(inputs map[string]format.Tensor, n runtime.Numbers, output string) (scores array, limits []float64, unknown string, err error) {
	c, sizes, err := o.certified(inputs)
	if err != nil {
		return array{}, nil, "", err
	}
	i := slices.IndexFunc(c.graph.Outputs, func(x graph.Output) bool { return x.Name == output })
	if i < 0 || !c.graph.Outputs[i].Value.DType.Float() {
		return array{}, nil, "", fmt.Errorf("ref: the graph gives no scores called %.80q", output)
	}
	v := c.graph.Outputs[i].Value
	s, err := c.shake(inputs, sizes, n, map[string]*graph.Value{output: v}, v)
	if err != nil {
		return array{}, nil, "", err
	}
	scores, unknown = s.held[v].array.wide(), cmp.Or(s.unknown, s.beyond)
	if s.squares[v].sums == nil && s.leafUnit(v) == 0 { // nothing rounds
		return scores, make([]float64, len(scores.f)), unknown, nil
	}
	if s.leads.sums == nil {
		return scores, slices.Repeat([]float64{math.Inf(1)}, len(scores.f)), unknown, nil
	}
	return scores, s.limits(s.leads, scores.shape), unknown, nil
}

// marginsOf finds the closest rival of each row.
func marginsOf(scores array, limits []float64) []runtime.Margin {
	width := 1
	if len(scores.shape) > 0 {
		width = scores.shape[len(scores.shape)-1]
	}
	margins := make([]runtime.Margin, 0, len(scores.f)/max(1, width))
	for from := 0; from < len(scores.f); from += width {
		row := scores.f[from : from+width]
		m := runtime.Margin{Best: highest(row), Lead: math.Inf(1)}
		closest := math.Inf(-1)
		for j, x := range row {
			if j == m.Best {
				continue
			}
			lead, bound := row[m.Best]-x, limits[from+j]
			// The rival is the value whose lead is the smallest share of its bound; of several,
			// such as where nothing rounds, the closest.
			if share := bound / lead; share > closest || math.IsNaN(share) || share == closest && lead < m.Lead {
				closest, m.Rival, m.Lead, m.Bound = share, j, lead, bound
			}
		}
		if math.IsNaN(row[m.Best]) {
			m.Bound = math.Inf(1)
		}
		margins = append(margins, m)
	}
	return margins
}

// highest returns the position of the highest value, the first of equal ones.
func highest(row []float64) int {
	at := 0
	for i, x := range row {
		if x > row[at] {
			at = i
		}
	}
	return at
}

// ValueBounds returns the bounds of the values of the given names, as Values
// returns the values. Names that the graph has only inside a composite operator
// are left out.
func (o *Oracle) ValueBounds(inputs map[string]format.Tensor, n runtime.Numbers, names ...string) (runtime.Bounds, error) {
	c, sizes, err := o.certified(inputs)
	if err != nil {
		return runtime.Bounds{}, err
	}
	wanted := map[string]*graph.Value{}
	for _, name := range names {
		if v := c.graph.Lookup(name); v != nil {
			wanted[name] = v
		}
	}
	s, err := c.shake(inputs, sizes, n, wanted, nil)
	if err != nil {
		return runtime.Bounds{}, err
	}
	return s.bounds(wanted), nil
}

// certified returns the graph for the sizes of the inputs. Operators that unroll need
// these sizes.
func (o *Oracle) certified(inputs map[string]format.Tensor) (*certified, map[string]int, error) {
	shapes := make(map[string][]int, len(inputs))
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	sizes, err := o.graph.BindInputs(shapes)
	if err != nil {
		return nil, nil, fmt.Errorf("ref: %w", err)
	}
	o.once.Do(func() {
		if o.ruled, o.unruled = newCertified(o, graph.Decompose(fused)); o.unruled == nil {
			o.unruled = unrolls(o.ruled.graph)
		}
	})
	if o.unruled == nil {
		return o.ruled, sizes, nil
	}
	c, err := newCertified(o, graph.Bind(sizes), graph.Decompose(fused))
	return c, sizes, err
}

// unrolls returns an error if an operator of g waits for its number of steps.
func unrolls(g *graph.Graph) error {
	for _, n := range g.Nodes {
		if u, ok := n.Op.(graph.Unrolled); ok && !fused(n) && !u.Decomposes(n.Args) {
			return fmt.Errorf("ref: bounds: %.80q unrolls", n.Name())
		}
	}
	return nil
}

func newCertified(o *Oracle, passes ...graph.Pass) (*certified, error) {
	g, err := graph.Apply(o.graph, passes...)
	if err != nil {
		return nil, fmt.Errorf("ref: bounds: %w", err)
	}
	c := &certified{graph: g, weights: map[*graph.Value]format.Tensor{}, outside: o.outside}
	named := map[string]format.Tensor{}
	for p, w := range o.weights {
		named[p.Name] = w
	}
	for _, p := range g.Params {
		c.weights[p] = named[p.Name]
	}
	return c, nil
}

// singlePass writes LayerNormalization with the variance as the mean of squares
// less the square of the mean, as ONNX Runtime's kernels compute it
// (onnxruntime/core/providers/cpu/nn/layer_norm_impl.cc): where the mean is large,
// that loses more digits than the mean of squared differences.
func singlePass(g *graph.Graph) (*graph.Graph, error) {
	return graph.Rewrite(g, func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		op, ok := n.Op.(graph.LayerNormalization)
		if !ok {
			return nil
		}
		x := args[0]
		epsilon, _, err := format.FromFloat64s("", []int{}, []float64{op.Epsilon}).Convert(x.DType)
		if err != nil { // the decomposition reports it
			return nil
		}
		mean := b.ReduceMean(x, true, -1)
		variance := b.Sub(b.ReduceMean(b.Mul(x, x), true, -1), b.Mul(mean, mean))
		deviation := b.Sqrt(b.Add(variance, b.Const(epsilon)))
		y := b.Mul(b.Div(b.Sub(x, mean), deviation), args[1])
		if len(args) == 3 {
			y = b.Add(y, args[2])
		}
		return []*graph.Value{y, mean, b.Reciprocal(deviation)}[:len(n.Results)]
	})
}
