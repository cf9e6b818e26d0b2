package ref

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

const (
	// rivalsAtMost bounds the rivals of a row for which the errors are derived one by one.
	rivalsAtMost = 32
	// rivalsAll is the number of rivals of which all are derived, and rivalsAtLeast those
	// that are derived of more.
	rivalsAll, rivalsAtLeast = 8, 1
	// spare is how far beyond the largest ratio of both readings seen so far the other
	// rivals of a row must be to be left out.
	spare = 2
	// bend is how far the errors that are largest to first order may be from what they
	// do when they are put into the network, as a share.
	bend = 0.5
)

var _ runtime.Attributor = (*Oracle)(nil)

// AttributeAt implements runtime.Attributor by one pass through the derivatives.
func (o *Oracle) AttributeAt(inputs map[string]format.Tensor, n runtime.Numbers, output string, index []int) (runtime.Roundings, error) {
	b, err := o.backward(inputs, n, output)
	if err != nil {
		return runtime.Roundings{}, err
	}
	shape := b.arrays[b.output].shape
	if len(index) != len(shape) {
		return runtime.Roundings{}, fmt.Errorf("ref: %.80q has the shape %v, and no element %v", output, shape, index)
	}
	at := 0
	for i, x := range index {
		if x < 0 || x >= shape[i] {
			return runtime.Roundings{}, fmt.Errorf("ref: %.80q has the shape %v, and no element %v", output, shape, index)
		}
		at = at*shape[i] + x
	}
	r, _, err := b.of(map[int]float64{at: 1})
	if err != nil {
		return runtime.Roundings{}, err
	}
	return *r, nil
}

// Certificates returns a certificate for each row of an output along its last axis. The
// readings beside the probabilistic one are derived for the rows for which derived is
// true (nil: for all), where the probabilistic one is certain; elsewhere they are NaN.
//
// A row has a rival for each other element. They are derived from the closest on, in
// standard deviations, until the rest leads by more than twice what the readings have been
// beyond the standard deviation. If there are at most 8, all are derived.
func (o *Oracle) Certificates(inputs map[string]format.Tensor, n runtime.Numbers, output string, derived func(row int) bool) ([]runtime.Certificate, error) {
	scores, limits, unknown, err := o.scores(inputs, n, output)
	if err != nil {
		return nil, err
	}
	margins := marginsOf(scores, limits)
	out := make([]runtime.Certificate, len(margins))
	nan := math.NaN()
	var b *backward
	for i, m := range margins {
		out[i] = runtime.Certificate{Margin: m, Worst: nan, Executed: nan, Deviation: nan, Closest: m.Rival, ClosestLead: m.Lead}
		if math.IsInf(m.Bound, 0) {
			out[i].Unknown = unknown
		}
		if !m.Certain() || derived != nil && !derived(i) {
			continue
		}
		if b == nil {
			if b, err = o.backward(inputs, n, output); err != nil {
				return nil, err
			}
		}
		width := len(scores.f) / len(margins)
		if err := b.certify(&out[i], i*width, scores.f[i*width:(i+1)*width], limits[i*width:(i+1)*width]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// certify derives the readings of a row whose first element is number from of the
// output.
func (b *backward) certify(c *runtime.Certificate, from int, row, limits []float64) error {
	type rival struct {
		at          int
		lead, share float64 // by how many bounds it is led
	}
	var rivals []rival
	for j, x := range row {
		if j != c.Best {
			lead := row[c.Best] - x
			rivals = append(rivals, rival{j, lead, lead / limits[j]})
		}
	}
	slices.SortStableFunc(rivals, func(x, y rival) int { return cmp.Or(cmp.Compare(x.share, y.share), cmp.Compare(x.lead, y.lead)) })
	c.Any, c.Ordered = true, true
	ratio, nearest := 0.0, math.Inf(1)
	var steps map[*graph.Value][]float64
	for k, r := range rivals {
		if len(rivals) > rivalsAll && k >= rivalsAtLeast && r.share > spare*ratio {
			break
		}
		if k == rivalsAtMost {
			c.Any, c.Ordered = false, false
			c.Unknown = fmt.Sprintf("more than %d rivals are close", rivalsAtMost)
			break
		}
		found, signs, err := b.of(map[int]float64{from + c.Best: 1, from + r.at: -1})
		if err != nil {
			return err
		}
		c.Rivals++
		if found.Worst > 0 {
			ratio = max(ratio, found.Worst/limits[r.at])
		}
		if near := r.lead / found.Worst; near < nearest || k == 0 {
			nearest, steps = near, signs
			c.Worst, c.Executed, c.Deviation, c.Closest, c.ClosestLead = found.Worst, found.Executed, found.Deviation, r.at, r.lead
			c.Parts, c.Unknown = found.Top(topParts), found.Unknown
		}
		c.Any = c.Any && r.lead > found.Worst
		c.Ordered = c.Ordered && r.lead > found.Executed
		if !c.Ordered { // the rest cannot change it
			break
		}
	}
	return b.straight(c, from, steps)
}

// straight puts the errors of the closest rival into the network. Where the lead does
// not shrink by about what it does to first order, the readings are not certified.
func (b *backward) straight(c *runtime.Certificate, from int, steps map[*graph.Value][]float64) error {
	if math.IsInf(c.Worst, 0) || c.Worst == 0 {
		return nil
	}
	change, err := b.bent(steps, from+c.Best, from+c.Closest)
	if err != nil {
		return err
	}
	if off := math.Abs(change - c.Worst); !(off <= bend*c.Worst) {
		c.Unknown = fmt.Sprintf("the network is not linear in roundings of this size: to first order they move the lead by %.2e, in the network by %.2e", c.Worst, change)
		c.Worst, c.Executed, c.Any, c.Ordered = math.Inf(1), math.Inf(1), false, false
		return nil
	}
	c.Worst = max(c.Worst, change)
	c.Any = c.Any && c.ClosestLead > c.Worst
	return nil
}

// topParts is the number of parts that a report names.
const topParts = 5

// bent returns by how much the difference of two elements shrinks when each value has
// its largest error, in the direction that counts to first order. For a linear network
// that is their sum.
func (b *backward) bent(steps map[*graph.Value][]float64, best, rival int) (float64, error) {
	moved := map[*graph.Value]array{}
	left := maps.Clone(b.plan.uses)
	move := func(v *graph.Value, a array) array {
		if steps[v] == nil {
			return a
		}
		a = a.wide()
		a.f = slices.Clone(a.f)
		for i, e := range steps[v] {
			a.f[i] -= e
		}
		return a
	}
	get := func(v *graph.Value) (array, error) {
		if a, ok := moved[v]; ok {
			return a, nil
		}
		a, err := b.get(v)
		if err == nil && v.Leaf() {
			a = move(v, a)
		}
		return a, err
	}
	for _, n := range b.graph.Nodes {
		if !b.plan.runs(n) || n.Results[0].Leaf() {
			continue
		}
		changed := slices.ContainsFunc(n.Args, func(a *graph.Value) bool { return moved[a].shape != nil || a.Leaf() && steps[a] != nil })
		if changed {
			ck, err := b.call(n, b.plan, get)
			if err != nil {
				return 0, err
			}
			c, err := b.call(n, b.plan, b.get)
			if err != nil {
				return 0, err
			}
			exact := make([]array, len(n.Results))
			for i, v := range n.Results {
				exact[i] = b.arrays[v]
			}
			out, err := b.applyCopy(n, ck, c, exact)
			if err != nil {
				return math.Inf(1), nil
			}
			for i, v := range n.Results {
				moved[v] = move(v, out[i])
			}
		} else if v := n.Results[0]; steps[v] != nil {
			moved[v] = move(v, b.arrays[v])
		}
		for _, a := range n.Args {
			if left[a]--; left[a] == 0 {
				delete(moved, a)
			}
		}
	}
	exact, y := b.arrays[b.output], moved[b.output]
	if y.shape == nil {
		return 0, nil
	}
	return (exact.f[best] - exact.f[rival]) - (y.f[best] - y.f[rival]), nil
}
