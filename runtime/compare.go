package runtime

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
)

// Tolerance is how far a value of one element type may be from the oracle.
type Tolerance struct {
	DType  format.DType
	Bound  float64 // x' is within the tolerance if |x' - x| ≤ Bound·max(1, |x|), where x is the oracle's value
	Reason string
}

// tolerances is the only table of tolerances.
var tolerances = [...]Tolerance{
	{format.Float32, 1e-4, "a product of K float32 terms is off by about √K·6e-8, 3e-6 for K = 3072, and a dozen layers add up to less than 1e-4; " +
		"a wrong formula shows: the tanh form of GELU alone is 5e-4 from the exact one"},
	{format.Float64, 1e-9, "the same sums at 1.1e-16 a term stay below 1e-11; any step done in float32 is off by 6e-8 and shows"},
	{format.Float16, 4e-2, "a value is rounded to 2^-11 = 4.9e-4 of its size some 8 times a layer; twelve layers add up to √96·4.9e-4 = 5e-3 of the " +
		"largest values that meet in a sum, which may be several times its result: 1.1e-2 was the most in two layers of logits up to 5. " +
		"A transposed weight or a lost mask shows, one form of GELU for the other does not: float32 is there for that"},
	{format.BFloat16, 3.2e-1, "8 times that of float16: a rounding is 2^-8"},
	{format.Int64, 0, "integers and truth values are exact"},
	{format.Int32, 0, "integers and truth values are exact"},
	{format.Int16, 0, "integers and truth values are exact"},
	{format.Int8, 0, "integers and truth values are exact"},
	{format.Uint64, 0, "integers and truth values are exact"},
	{format.Uint32, 0, "integers and truth values are exact"},
	{format.Uint16, 0, "integers and truth values are exact"},
	{format.Uint8, 0, "integers and truth values are exact"},
	{format.Bool, 0, "integers and truth values are exact"},
}

// ToleranceOf returns the row for d; ok is false when values of d are not compared.
func ToleranceOf(d format.DType) (t Tolerance, ok bool) {
	i := slices.IndexFunc(tolerances[:], func(t Tolerance) bool { return t.DType == d })
	if i < 0 {
		return Tolerance{}, false
	}
	return tolerances[i], true
}

// Difference is the result of Compare. The zero value has compared nothing and
// is not Within.
type Difference struct {
	// MaxAbs is the largest |x' - x|, +Inf when a value is NaN or infinite.
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
	WorstIndex                  []int     // index of MaxAbs
	FirstBad                    *BadValue // the first value beyond the tolerance, nil if all are within
	Reason                      string    // why the tensors cannot be compared, empty if they can
	Within                      bool      // everything was compared and every value is within the tolerance, so every checked row agrees
}

// BadValue is a value beyond the tolerance.
type BadValue struct {
	Name        string // of the tensor
	Index       []int
	Oracle, Got float64
}

func (b BadValue) String() string {
	return fmt.Sprintf("%s is %.9g, the oracle says %.9g", b.Place(), b.Got, b.Oracle)
}

// Place returns the value's name and index, such as "logits[0,3,17]".
func (b BadValue) Place() string {
	if len(b.Index) == 0 {
		return b.Name
	}
	return b.Name + strings.ReplaceAll(fmt.Sprint(b.Index), " ", ",")
}

// ArgmaxAgreement returns the share of checked rows that agree, NaN if none was
// checked.
func (d Difference) ArgmaxAgreement() float64 {
	return float64(d.ArgmaxAgreed) / float64(d.ArgmaxChecked)
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
	d.ArgmaxChecked += e.ArgmaxChecked
	d.ArgmaxAgreed += e.ArgmaxAgreed
	d.Elements += e.Elements
	if d.FirstBad == nil {
		d.FirstBad = e.FirstBad
	}
	if d.Reason == "" {
		d.Reason = e.Reason
	}
	d.Within = d.Within && e.Within
	return d
}

// Compare measures got against oracle by the tolerance of got's element type.
// Both tensors are floating-point, or both have the same exact type. NaN and
// infinities are beyond every tolerance, even where the oracle has them too: a
// correct model never outputs them.
func Compare(oracle, got format.Tensor) Difference { return CompareAs(got.DType, oracle, got) }

// CompareAs is Compare with the tolerance of the type that got was computed in.
// That type may be less exact than the element type: a float16 model returns
// float32 logits.
func CompareAs(computed format.DType, oracle, got format.Tensor) Difference {
	tolerance, ok := ToleranceOf(computed)
	switch {
	case !slices.Equal(oracle.Shape, got.Shape):
		return Difference{Reason: fmt.Sprintf("%s has shape %v, the oracle's has %v", got.Name, got.Shape, oracle.Shape)}
	case !ok:
		return Difference{Reason: fmt.Sprintf("%s holds %s: comparing it is not supported", got.Name, computed)}
	case oracle.DType != got.DType && !(oracle.DType.Float() && got.DType.Float()):
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
	c := comparison{Difference: Difference{Elements: got.Elements()}, x: x, y: y, bound: tolerance.Bound}
	c.values(got)
	c.rows(got.Shape)
	// If no value is beyond the tolerance, every checked row agrees: the error is
	// too small to reverse a lead of more than twice its size.
	c.Within = c.FirstBad == nil
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
	bound float64
	high  float64 // the largest |x|
}

// values compares the elements one by one.
func (c *comparison) values(got format.Tensor) {
	squares := 0.0
	for i := range c.Elements {
		x := c.x(i)
		squares += x * x
		c.high = max(c.high, math.Abs(x))
	}
	rms := math.Sqrt(squares / float64(c.Elements))
	worst := -1
	for i := range c.Elements {
		x, y := c.x(i), c.y(i)
		abs := math.Abs(y - x)
		rel := 0.0
		if abs > 0 {
			rel = abs / max(math.Abs(x), rms)
		}
		bad := abs > c.bound*max(1, math.Abs(x))
		if !finite(x) || !finite(y) {
			abs, rel, bad = math.Inf(1), math.Inf(1), true
		}
		if worst < 0 || abs > c.MaxAbs {
			c.MaxAbs, worst = abs, i
		}
		c.MaxRel = max(c.MaxRel, rel)
		if bad && c.FirstBad == nil {
			c.FirstBad = &BadValue{Name: got.Name, Index: unravel(i, got.Shape), Oracle: x, Got: y}
		}
	}
	if worst >= 0 {
		c.WorstIndex = unravel(worst, got.Shape)
	}
}

// rows compares the index of the highest value along the last axis. In a row of
// one value the lead is infinite.
func (c *comparison) rows(shape []int) {
	width := 1
	if len(shape) > 0 {
		width = shape[len(shape)-1]
	}
	margin := 2 * min(c.MaxAbs, c.bound*max(1, c.high))
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
		if !(first-second > margin) {
			continue
		}
		c.ArgmaxChecked++
		if at == best && numbers {
			c.ArgmaxAgreed++
		}
	}
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
// order, whose values differ from the tensor of the same name in got. It
// applies the tolerance of the type the tensors were computed in. It skips
// values that got lacks, because the runtime fused them away. It returns "" if
// no tensor differs.
func FirstDifference(computed format.DType, oracle, got []format.Tensor) string {
	byName := make(map[string]format.Tensor, len(got))
	for _, t := range got {
		byName[t.Name] = t
	}
	for _, t := range oracle {
		if other, ok := byName[t.Name]; ok && !CompareAs(computed, t, other).Within {
			return t.Name
		}
	}
	return ""
}
