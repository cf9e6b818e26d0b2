package runtime

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// sameValues is how far the values of two files of one network may be from one
// another in one runtime, over the root mean square of the tensor: they differ
// in the order of their sums. A value that is further off is where the files
// begin to differ.
var sameValues = map[format.DType]float64{format.Float32: 1e-5, format.Float16: 4e-3, format.BFloat16: 3e-2}

// Marked is a session of a model that gives values besides its outputs.
type Marked struct {
	Session
	Values map[string]string // the values' names, by the outputs'
}

// split separates the outputs of the model from its values.
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

// Twins is a Session that runs two models of one network side by side, and
// finds the first value in which they differ.
type Twins struct {
	Got, Want Marked
	Order     []string     // the names of the values, in the order of the graph
	Computed  format.DType // what both compute in
	First     string       // the first value that differed in the first run in which one did; "" if none did
}

// Run runs both and gives what Want gives.
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

// same reports whether two values are the same but for rounding.
func (t *Twins) same(want, got format.Tensor) bool {
	d := CompareAs(t.Computed, want, got)
	return d.Reason == "" && d.MaxRel <= sameValues[t.Computed]
}

// Close does nothing: the sessions are the caller's.
func (t *Twins) Close() error { return nil }
