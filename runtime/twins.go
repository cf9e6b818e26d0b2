package runtime

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// sameValues bounds the difference between the values of two files of one
// network in one runtime, relative to the tensor's root mean square. The files
// differ in the order of their sums. The first value beyond the bound is where
// they begin to disagree.
var sameValues = map[format.DType]float64{format.Float32: 1e-5, format.Float16: 4e-3, format.BFloat16: 3e-2}

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
	d := CompareAs(t.Computed, want, got)
	return d.Reason == "" && d.MaxRel <= sameValues[t.Computed]
}

// Close does nothing: the caller closes the sessions.
func (t *Twins) Close() error { return nil }
