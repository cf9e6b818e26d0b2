package runtime

import (
	"errors"
	"math"

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

// Bounds makes it an oracle whose bounds are 1e-4 of a value, or of 1, and 4e-2 in
// float16.
func (f *fake) Bounds(inputs map[string]format.Tensor, numbers ...Numbers) (Bounded, error) {
	out, err := f.Run(inputs)
	if err != nil {
		return Bounded{}, err
	}
	b := Bounded{Outputs: out, Bounds: make([]Bounds, len(numbers))}
	for i, arithmetic := range numbers {
		share := 1e-4
		if arithmetic.DType == format.Float16 {
			share = 4e-2
		}
		b.Bounds[i].Of = map[string]format.Tensor{}
		for name, t := range out {
			x, err := t.AsFloat64s()
			if err != nil {
				return b, err
			}
			limits := make([]float64, len(x))
			for j, v := range x {
				limits[j] = share * max(1, math.Abs(v))
			}
			b.Bounds[i].Of[name] = format.FromFloat64s(name, t.Shape, limits)
		}
	}
	return b, nil
}

func (f *fake) Close() error { f.closed++; return f.closeErr }

// add returns a fault that adds x to one value of every run.
func add(x float64) func([]float64) {
	return func(v []float64) { v[len(v)/2] += x }
}
