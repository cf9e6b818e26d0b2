package attnx

import (
	"errors"
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// player is an oracle that gives recorded outputs.
type player struct {
	outputs map[string]map[string]format.Tensor // by the name of the set
	shapes  map[string]map[string][]int         // of outputs of which a part was kept: see runtime.KeepOf
	set     string
	oracle  runtime.Oracle // of the file; nil if it does not read it
}

func played(all []recording, oracle runtime.Oracle) *player {
	p := &player{outputs: map[string]map[string]format.Tensor{}, shapes: map[string]map[string][]int{}, oracle: oracle}
	for _, r := range all {
		outputs := map[string]format.Tensor{}
		for _, t := range r.outputs {
			outputs[t.Name] = t
		}
		p.outputs[r.name] = outputs
	}
	return p
}

// For implements runtime.PerCase: several sets may have the same inputs.
func (p *player) For(c runtime.Case) runtime.Oracle {
	return &player{outputs: p.outputs, shapes: p.shapes, set: c.Name, oracle: p.oracle}
}

func (p *player) Run(map[string]format.Tensor) (map[string]format.Tensor, error) {
	if out, ok := p.outputs[p.set]; ok {
		floats := make(map[string]format.Tensor, len(out)) // what runtimes gave has their own type until now
		for name, t := range out {
			var err error
			if floats[name], err = inFloat64(t); err != nil {
				return nil, err
			}
		}
		return floats, nil
	}
	return nil, errors.New("nothing was recorded for these inputs")
}

// The criterion of ONNX's own tests for recorded outputs (onnx/backend/test/runner:
// assert_allclose).
const (
	recordedRelative = 1e-3
	recordedAbsolute = 1e-7
)

// Bounds returns the recorded outputs. Whoever recorded them rounded as the runtime
// does, so the bounds are twice the derived ones; where none is known, and for a file
// that the oracle does not read, they are those of ONNX's tests.
func (p *player) Bounds(inputs map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	out, err := p.Run(inputs)
	if err != nil {
		return runtime.Bounded{}, err
	}
	b := runtime.Bounded{Outputs: out, Bounds: make([]runtime.Bounds, len(numbers))}
	derived := b
	if p.oracle != nil {
		if derived, err = p.oracle.Bounds(inputs, numbers...); err != nil {
			return b, err
		}
	}
	for i := range numbers {
		of := map[string]format.Tensor{}
		for name, t := range out {
			if !t.DType.Float() {
				continue
			}
			x, err := t.AsFloat64s()
			if err != nil {
				return b, err
			}
			limits := make([]float64, len(x))
			bound, known := derived.Bounds[i].Of[name]
			from, err := bound.Float64s()
			exact := p.oracle != nil && !known
			for j, v := range x {
				limits[j] = recordedAbsolute + recordedRelative*math.Abs(v)
				if exact {
					limits[j] = 0
				} else if err == nil && known && len(from) == len(x) && isFinite(from[j]) {
					limits[j] = 2 * from[j]
				}
			}
			of[name] = format.FromFloat64s(name, t.Shape, limits)
		}
		b.Bounds[i].Of = of
	}
	return b, nil
}

// BoundsOf implements runtime.Selecting: what was kept is what Verify selects.
func (p *player) BoundsOf(inputs map[string]format.Tensor, keep func(map[string][]int) map[string]runtime.Selection, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	if shapes, kept := p.shapes[p.set]; kept {
		keep(shapes)
	}
	return p.Bounds(inputs, numbers...)
}

func (*player) Close() error { return nil }

// inFloat64 returns an output with floating-point numbers as F64.
func inFloat64(t format.Tensor) (format.Tensor, error) {
	if !t.DType.Float() || t.DType == format.Float64 {
		return t, nil
	}
	x, _, err := t.Convert(format.Float64)
	if err != nil {
		return t, fmt.Errorf("output %.80q: %w", t.Name, err)
	}
	return x, nil
}
