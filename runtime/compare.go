package runtime

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
)

// Difference is the result of Compare. The zero value has compared nothing and
// is not Within.
type Difference struct {
	// MaxAbs is the largest |x' - x|, +Inf when a value is NaN or infinite and the other is not
	// the same.
	MaxAbs float64
	// MaxRel is the largest |x' - x| / max(|x|, r), where r is the root mean square
	// of the oracle's tensor. Without r, a value that is near zero by chance would
	// dominate. It is +Inf in the same cases as MaxAbs.
	MaxRel float64
	// ArgmaxChecked counts the rows (along the last axis) in which the oracle's
	// highest value leads the second by more than twice the largest error. That
	// error is the smaller of the measured and the allowed one. In other rows the
	// order of the two values is undecided. ArgmaxAgreed counts the checked rows
	// with the highest value at the same place.
	ArgmaxChecked, ArgmaxAgreed int
	Elements                    int
	WorstIndex                  []int // index of MaxAbs
	// Used is the largest |x' - x| as a share of its bound, and Bound is the bound
	// of that element. Elements whose bound is 0 or infinite are left out.
	Used, Bound  float64
	ClosestName  string    // of the tensor of that element
	ClosestIndex []int     // and its index
	Unknown      int       // elements whose bound is not known
	FirstUnknown []int     // the index of the first of them
	FirstBad     *BadValue // the first value beyond its bound, nil if all are within
	WorstBad     *BadValue // the one that is the most times its bound from the oracle's, nil if all are within
	Reason       string    // why the tensors cannot be compared, empty if they can
	Within       bool      // everything was compared and every value is within a known bound, so every checked row agrees

	sizes, bounds float64 // sums of the squares of the oracle's values and of their bounds, where both are finite
}

// BadValue is a value beyond its bound.
type BadValue struct {
	Name        string // of the tensor
	Index       []int
	Oracle, Got float64
	Bound       float64 // of the difference
}

// share returns how many times its bound a value is off.
func (b BadValue) share() float64 {
	if off := math.Abs(b.Got - b.Oracle); finite(off) && b.Bound > 0 {
		return off / b.Bound
	}
	return math.Inf(1)
}

func (b BadValue) String() string {
	text := fmt.Sprintf("%s is %.9g, the oracle says %.9g", b.Place(), b.Got, b.Oracle)
	if b.Bound > 0 && finite(b.Got) && finite(b.Oracle) {
		text += fmt.Sprintf(": off by %.2e, where rounding explains %.2e", math.Abs(b.Got-b.Oracle), b.Bound)
	}
	return text
}

// Place returns the value's name and index, such as "logits[0,3,17]".
func (b BadValue) Place() string { return place(b.Name, b.Index) }

func place(name string, index []int) string {
	if len(index) == 0 {
		return name
	}
	return name + strings.ReplaceAll(fmt.Sprint(index), " ", ",")
}

// ArgmaxAgreement returns the share of checked rows that agree, NaN if none was
// checked.
func (d Difference) ArgmaxAgreement() float64 {
	return float64(d.ArgmaxAgreed) / float64(d.ArgmaxChecked)
}

// explained returns the root mean square of the bounds as a multiple of that of the oracle's
// values, NaN if both are 0. From 1 on rounding leaves no digit: whatever is as small as the
// values is within the bounds, their negative too.
func (d Difference) explained() float64 { return math.Sqrt(d.bounds / d.sizes) }

// beyond returns the first and the worst value beyond their bounds.
func (d Difference) beyond() (bad []BadValue) {
	for _, b := range []*BadValue{d.FirstBad, d.WorstBad} {
		if b != nil {
			bad = append(bad, *b)
		}
	}
	return bad
}

// Merge combines the differences d and e. Values of d come first.
func (d Difference) Merge(e Difference) Difference {
	if d.Elements == 0 && d.Reason == "" {
		return e
	}
	if e.Elements == 0 && e.Reason == "" {
		return d
	}
	if e.MaxAbs > d.MaxAbs {
		d.MaxAbs, d.WorstIndex = e.MaxAbs, e.WorstIndex
	}
	d.MaxRel = max(d.MaxRel, e.MaxRel)
	if e.Used > d.Used {
		d.Used, d.Bound, d.ClosestName, d.ClosestIndex = e.Used, e.Bound, e.ClosestName, e.ClosestIndex
	}
	d.Unknown += e.Unknown
	if d.FirstUnknown == nil {
		d.FirstUnknown = e.FirstUnknown
	}
	d.ArgmaxChecked += e.ArgmaxChecked
	d.ArgmaxAgreed += e.ArgmaxAgreed
	d.Elements += e.Elements
	d.sizes, d.bounds = d.sizes+e.sizes, d.bounds+e.bounds
	if d.FirstBad == nil {
		d.FirstBad = e.FirstBad
	}
	if d.WorstBad == nil || e.WorstBad != nil && e.WorstBad.share() > d.WorstBad.share() {
		d.WorstBad = e.WorstBad
	}
	if d.Reason == "" {
		d.Reason = e.Reason
	}
	d.Within = d.Within && e.Within
	return d
}

// Compare measures got against oracle by the bound of every element (see Bounds)
// and the rounding to got's own element type. Both tensors are floating-point, or
// both have the same exact type, whose values must be equal. A bound without
// elements is 0. NaN and infinities are beyond every finite bound, unless the oracle has the
// same: its bound says then whether rounding could have decided it (infinite), or not (0).
func Compare(oracle, got, bound format.Tensor) Difference {
	if !got.DType.Float() && len(bound.Data) == 0 {
		return compare(oracle, got, func(int, float64) float64 { return 0 })
	}
	if len(bound.Data) == 0 {
		return compare(oracle, got, func(_ int, x float64) float64 { return Unit(got.DType) * size(x) })
	}
	b, err := bound.Float64s()
	switch {
	case err != nil:
		return Difference{Reason: "the bound's " + err.Error()}
	case len(b) != oracle.Elements():
		return Difference{Reason: fmt.Sprintf("%d bounds for %d elements", len(b), oracle.Elements())}
	case !got.DType.Float():
		return compare(oracle, got, func(i int, _ float64) float64 { return b[i] })
	}
	return compare(oracle, got, func(i int, x float64) float64 { return b[i] + Unit(got.DType)*size(x) })
}

// CompareWithin is Compare with one bound for all elements of floating-point
// tensors: |x' - x| ≤ limit·max(1, |x|). It is for values whose bound was not derived.
func CompareWithin(limit float64, oracle, got format.Tensor) Difference {
	if !got.DType.Float() {
		limit = 0
	}
	return compare(oracle, got, func(_ int, x float64) float64 { return limit * max(1, size(x)) })
}

// size is |x|, 0 for what is not finite: that has no rounding.
func size(x float64) float64 {
	if !finite(x) {
		return 0
	}
	return math.Abs(x)
}

// comparedFloats are the floating-point types of which values are compared.
var comparedFloats = []format.DType{format.Float64, format.Float32, format.Float16, format.BFloat16}

// comparable reports whether values of a type are compared.
func comparable(d format.DType) bool {
	bits, _ := d.Integer()
	return slices.Contains(comparedFloats, d) || bits >= 8 && d.Stored() || d == format.Bool
}

// compare compares with a bound for each element i, whose exact value is x.
func compare(oracle, got format.Tensor, bound func(i int, x float64) float64) Difference {
	floating := slices.Contains(comparedFloats, got.DType)
	switch {
	case !slices.Equal(oracle.Shape, got.Shape):
		return Difference{Reason: fmt.Sprintf("%s has shape %v, the oracle's has %v", got.Name, got.Shape, oracle.Shape)}
	case !comparable(got.DType):
		return Difference{Reason: fmt.Sprintf("%s holds %s: comparing it is not supported", got.Name, got.DType)}
	case floating != oracle.DType.Float() || !floating && got.DType != oracle.DType:
		return Difference{Reason: fmt.Sprintf("%s holds %s, the oracle's holds %s", got.Name, got.DType, oracle.DType)}
	}
	x, err := elements(oracle)
	if err != nil {
		return Difference{Reason: "the oracle's " + err.Error()}
	}
	y, err := elements(got)
	if err != nil {
		return Difference{Reason: err.Error()}
	}
	c := comparison{Difference: Difference{Elements: got.Elements()}, x: x, y: y, bound: bound}
	c.values(got)
	c.rows(got.Shape)
	// If no value is beyond its bound, every checked row agrees: the errors are too
	// small to reverse a lead that is larger than the bounds of both values.
	c.Within = c.FirstBad == nil && c.Unknown == 0
	return c.Difference
}

// elements returns a function that reads t's i-th element. It does not copy
// float tensors, because logits are the largest tensors.
func elements(t format.Tensor) (func(i int) float64, error) {
	switch t.DType {
	case format.Float32:
		v, err := t.Float32s()
		return func(i int) float64 { return float64(v[i]) }, err
	case format.Float64:
		v, err := t.Float64s()
		return func(i int) float64 { return v[i] }, err
	default:
		v, err := t.AsFloat64s()
		return func(i int) float64 { return v[i] }, err
	}
}

// comparison is a Difference in progress. x is the oracle's element i, y the other
// one.
type comparison struct {
	Difference
	x, y  func(i int) float64
	bound func(i int, x float64) float64
}

// values compares the elements one by one.
func (c *comparison) values(got format.Tensor) {
	squares := 0.0
	for i := range c.Elements {
		if x := c.x(i); finite(x) {
			squares += x * x
		}
	}
	rms := math.Sqrt(squares / float64(c.Elements))
	worst, closest := -1, -1
	for i := range c.Elements {
		x, y := c.x(i), c.y(i)
		abs := math.Abs(y - x)
		rel := 0.0
		if abs > 0 {
			rel = abs / max(math.Abs(x), rms)
		}
		bound := c.bound(i, x)
		bad := abs > bound
		if finite(x) && finite(bound) {
			c.sizes, c.bounds = c.sizes+x*x, c.bounds+bound*bound
		}
		switch {
		case !finite(x) && (x == y || math.IsNaN(x) && math.IsNaN(y)): // alike
			abs, rel, bad = 0, 0, false
			if bound == 0 { // no rounding decides it
				break
			}
			if c.Unknown++; c.Unknown == 1 { // no bound says how far apart they may be
				c.FirstUnknown = unravel(i, got.Shape)
			}
		case !finite(bound):
			if c.Unknown++; c.Unknown == 1 {
				c.FirstUnknown = unravel(i, got.Shape)
			}
			if bad = false; !finite(x) || !finite(y) {
				abs, rel = math.Inf(1), math.Inf(1)
			}
		case !finite(x) || !finite(y):
			abs, rel, bad = math.Inf(1), math.Inf(1), true
		case bound > 0 && abs > c.Used*bound:
			c.Used, c.Bound, closest = abs/bound, bound, i
		}
		if worst < 0 || abs > c.MaxAbs {
			c.MaxAbs, worst = abs, i
		}
		c.MaxRel = max(c.MaxRel, rel)
		if bad {
			c.beyond(i, BadValue{Name: got.Name, Oracle: x, Got: y, Bound: bound}, got.Shape)
		}
	}
	if worst >= 0 {
		c.WorstIndex = unravel(worst, got.Shape)
	}
	if closest >= 0 {
		c.ClosestName, c.ClosestIndex = got.Name, unravel(closest, got.Shape)
	}
}

// beyond enters element i, which is beyond its bound.
func (c *comparison) beyond(i int, bad BadValue, shape []int) {
	if c.FirstBad != nil && bad.share() <= c.WorstBad.share() {
		return
	}
	bad.Index = unravel(i, shape)
	c.WorstBad = &bad
	if c.FirstBad == nil {
		c.FirstBad = &bad
	}
}

// rows compares the index of the highest value along the last axis. In a row of
// one value the lead is infinite.
func (c *comparison) rows(shape []int) {
	width := 1
	if len(shape) > 0 {
		width = shape[len(shape)-1]
	}
	for start := 0; start < c.Elements; start += width {
		first, second := math.Inf(-1), math.Inf(-1)
		best, at, high, numbers := 0, 0, math.Inf(-1), true
		for i := range width {
			x, y := c.x(start+i), c.y(start+i)
			switch {
			case x > first:
				best, first, second = i, x, first
			case x > second:
				second = x
			}
			if y > high {
				at, high = i, y
			}
			numbers = numbers && finite(y)
		}
		if !(first-second > 2*c.MaxAbs) && !c.decided(start, width, best) {
			continue
		}
		c.ArgmaxChecked++
		if at == best && numbers {
			c.ArgmaxAgreed++
		}
	}
}

// decided reports whether the bounds of a row leave its highest value the highest.
func (c *comparison) decided(start, width, best int) bool {
	x := c.x(start + best)
	least := x - c.bound(start+best, x)
	for i := range width {
		if x := c.x(start + i); i != best && !(x+c.bound(start+i, x) < least) {
			return false
		}
	}
	return true
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// unravel returns the index of element i of a tensor of the given shape.
func unravel(i int, shape []int) []int {
	index := make([]int, len(shape))
	for axis := len(shape) - 1; axis >= 0; axis-- {
		index[axis] = i % shape[axis]
		i /= shape[axis]
	}
	return index
}

// FirstDifference returns the name of the first tensor of oracle, in graph
// order, with a value beyond its bound in the tensor of the same name in got. It
// skips values that got lacks, because the runtime fused them away, and values
// whose bound is not known. It returns "" if no tensor differs.
func FirstDifference(oracle []format.Tensor, bounds Bounds, got []format.Tensor) string {
	byName := make(map[string]format.Tensor, len(got))
	for _, t := range got {
		byName[t.Name] = t
	}
	for _, t := range oracle {
		other, ok := byName[t.Name]
		if !ok {
			continue
		}
		if d := Compare(t, other, bounds.Of[t.Name]); d.FirstBad != nil || d.Reason != "" {
			return t.Name
		}
	}
	return ""
}
