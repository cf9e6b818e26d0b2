package runtime

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
)

// sameValues bounds the difference between the values of two files of one
// network in one runtime, relative to the tensor's root mean square. The files
// differ in the order of their sums. The first value beyond the bound is where
// they begin to disagree.
var sameValues = map[format.DType]float64{format.Float64: 1e-12, format.Float32: 1e-5, format.Float16: 4e-3, format.BFloat16: 3e-2}

// sameResults bounds the difference between a runtime's result of one node, or of a
// few, and the oracle's for the same inputs, relative to the tensor's root mean
// square. It covers a sum of 100,000 products in float32 (2e-5) and the
// approximations that runtimes use for Exp, Tanh and Erf.
var sameResults = map[format.DType]float64{format.Float64: 1e-9, format.Float32: 1e-4, format.Float16: 2e-2, format.BFloat16: 1.6e-1}

// SameValue reports whether an intermediate value of two files of one network is
// equal up to rounding. computed is the less exact of the types that they compute in.
func SameValue(computed format.DType, want, got format.Tensor) (Difference, bool) {
	return sameWithin(sameValues, 1, computed, want, got)
}

// SameResult reports whether a runtime's result of some nodes, one after the other,
// is the oracle's for the same inputs, up to rounding. A type that is not compared
// counts as the same.
func SameResult(computed format.DType, nodes int, want, got format.Tensor) (Difference, bool) {
	return sameWithin(sameResults, math.Sqrt(float64(max(1, nodes))), computed, want, got)
}

// SameOutput is SameResult for an output of the file: nothing after it makes up for a
// huge number in the place of an infinity.
func SameOutput(computed format.DType, nodes int, want, got format.Tensor) (Difference, bool) {
	d, same := SameResult(computed, nodes, want, got)
	if !same || !got.DType.Float() || !want.DType.Float() || !comparable(got.DType) {
		return d, same
	}
	x, err := want.AsFloat64s()
	if err != nil {
		return d, same
	}
	y, err := got.AsFloat64s()
	if err != nil {
		return d, same
	}
	for i := range x {
		if math.IsInf(x[i], 0) != math.IsInf(y[i], 0) {
			bad := BadValue{Name: got.Name, Index: unravel(i, got.Shape), Oracle: x[i], Got: y[i]}
			return Difference{FirstBad: &bad, MaxRel: math.Inf(1)}, false
		}
	}
	return d, same
}

func sameWithin(bounds map[format.DType]float64, times float64, computed format.DType, want, got format.Tensor) (Difference, bool) {
	if !got.DType.Float() {
		computed = got.DType
	} else if bounds[computed] < bounds[got.DType] {
		computed = got.DType
	}
	if !comparable(got.DType) {
		return Difference{Reason: "it is not compared"}, true
	}
	if want.DType.Float() && got.DType.Float() && slices.Equal(want.Shape, got.Shape) {
		want, got = settled(want, got)
	}
	d := CompareWithin(math.Inf(1), want, got)
	return d, d.Reason == "" && d.MaxRel <= times*bounds[computed]
}

// beyond is the size from which on an element stands for infinity, as in masks.
const beyond = 1e30

// settled replaces elements that are NaN in both tensors, or beyond all ordinary
// sizes with the same sign, by zeros: within a network they may be right.
func settled(want, got format.Tensor) (x, y format.Tensor) {
	a, err := want.AsFloat64s()
	if err != nil {
		return want, got
	}
	b, err := got.AsFloat64s()
	if err != nil {
		return want, got
	}
	a, b = slices.Clone(a), slices.Clone(b)
	changed := false
	for i := range a {
		far := math.Abs(a[i]) >= beyond && math.Abs(b[i]) >= beyond && (a[i] > 0) == (b[i] > 0)
		if far || math.IsNaN(a[i]) && math.IsNaN(b[i]) {
			a[i], b[i], changed = 0, 0, true
		}
	}
	if !changed {
		return want, got
	}
	return format.FromFloat64s(want.Name, want.Shape, a), format.FromFloat64s(got.Name, got.Shape, b)
}

// Marked is a session of a model with intermediate values as extra outputs.
type Marked struct {
	Session
	Values map[string]string // names of the values, keyed by output name
}

// split separates the outputs of the model from its intermediate values.
func (m Marked) split(out map[string]format.Tensor) (outputs, values map[string]format.Tensor) {
	outputs, values = map[string]format.Tensor{}, map[string]format.Tensor{}
	for name, t := range out {
		if v, ok := m.Values[name]; ok {
			values[v] = t.WithName(v)
		} else {
			outputs[name] = t
		}
	}
	return outputs, values
}

// Twins is a Session that runs two models of one network side by side and finds
// the first value in which they differ.
type Twins struct {
	Got, Want Marked
	Order     []string     // names of the values in graph order
	Computed  format.DType // the type that both compute in
	First     string       // the first differing value of the first run with a difference, "" if none differed
}

// Run runs both models and returns the outputs of Want.
func (t *Twins) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	out, err := t.Want.Run(inputs)
	if err != nil {
		return nil, fmt.Errorf("the model as it is exported: %w", err)
	}
	outputs, want := t.Want.split(out)
	if t.First != "" {
		return outputs, nil
	}
	out, err = t.Got.Run(inputs)
	if err != nil {
		return nil, err
	}
	_, got := t.Got.split(out)
	for _, name := range t.Order {
		x, ok := want[name]
		y, there := got[name]
		if ok && there && !t.same(x, y) {
			t.First = name
			break
		}
	}
	return outputs, nil
}

// same reports whether two values are equal up to rounding.
func (t *Twins) same(want, got format.Tensor) bool {
	d := CompareWithin(math.Inf(1), want, got)
	return d.Reason == "" && d.MaxRel <= sameValues[t.Computed]
}

// Close does nothing: the caller closes the sessions.
func (t *Twins) Close() error { return nil }
