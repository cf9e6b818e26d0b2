package runtime

import (
	"errors"

	"github.com/attnx/attnx/format"
)

// fake is a session whose logits are a fixed causal function of the ids, in
// float64 for the oracle, changed by the fault under test. Every token's
// logits hang on all tokens up to it.
type fake struct {
	vocab    int
	double   bool                                       // float64 out
	fault    func(logits []float64)                     // changes the values
	run      func(format.Tensor) (format.Tensor, error) // replaces Run
	length   int                                        // the only length it takes, 0 for any
	runs     int
	closed   int
	closeErr error
}

func (f *fake) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	f.runs++
	if f.closed > 0 {
		return nil, errors.New("run after close")
	}
	in := inputs["input_ids"]
	if f.run != nil {
		t, err := f.run(in)
		return map[string]format.Tensor{"logits": t}, err
	}
	ids, err := in.Int64s()
	if err != nil {
		return nil, err
	}
	batch, length := in.Shape[0], in.Shape[1]
	if f.length != 0 && (length != f.length || batch != 1) {
		return nil, errors.New("fixed shape")
	}
	values := make([]float64, 0, batch*length*f.vocab)
	for b := range batch {
		state := uint64(0)
		for t := range length {
			state = splitMix(state + uint64(ids[b*length+t]))
			for v := range f.vocab {
				values = append(values, float64(splitMix(state+uint64(v))>>40)/0x1p22-2)
			}
		}
	}
	if f.fault != nil {
		f.fault(values)
	}
	shape := []int{batch, length, f.vocab}
	if f.double {
		return map[string]format.Tensor{"logits": format.FromFloat64s("out", shape, values)}, nil
	}
	single := make([]float32, len(values))
	for i, x := range values {
		single[i] = float32(x)
	}
	return map[string]format.Tensor{"logits": format.FromFloat32s("out", shape, single)}, nil
}

func (f *fake) Close() error { f.closed++; return f.closeErr }

// add returns a fault that adds x to one value of every run.
func add(x float64) func([]float64) {
	return func(v []float64) { v[len(v)/2] += x }
}
