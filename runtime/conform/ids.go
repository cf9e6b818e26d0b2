package conform

import (
	"errors"
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// refuses runs s with each of some integers in place of the last element of an
// input. It expects a *format.RangeError for each, and a working session
// afterwards.
func refuses(t *testing.T, s runtime.Session, inputs map[string]format.Tensor, name string, bad ...int64) {
	t.Helper()
	for _, x := range bad {
		ids, err := inputs[name].Int64s()
		if err != nil {
			t.Fatal(err)
		}
		given := copied(inputs)
		spoiled := append([]int64{}, ids...)
		spoiled[len(spoiled)-1] = x
		given[name] = format.FromInt64s(name, inputs[name].Shape, spoiled)
		_, err = s.Run(given)
		var out *format.RangeError
		if !errors.As(err, &out) || out.Got != x {
			t.Errorf("%s with %d at the end: %v, want a *format.RangeError", name, x, err)
		}
	}
	if _, err := s.Run(copied(inputs)); err != nil {
		t.Errorf("after the ids that were refused: %v", err)
	}
}

// outside returns integers outside 0 to n-1.
func outside(n int) []int64 {
	return []int64{-1, int64(-n), int64(n), math.MinInt64, math.MaxInt64}
}

// step returns the inputs of a graph with a past for one token after one column
// of past.
func step(g *graph.Graph) (map[string]format.Tensor, error) {
	inputs := map[string]format.Tensor{}
	for _, in := range g.Inputs {
		sizes := map[string]int{}
		for _, d := range in.Shape {
			for _, l := range d.Symbols() {
				sizes[l] = 1
			}
		}
		shape, err := in.Shape.Eval(sizes)
		if err != nil {
			return nil, err
		}
		n, _ := format.Elements(shape)
		t := format.FromFloat32s(in.Name, shape, make([]float32, n))
		if in.DType == format.Int64 {
			ones := make([]int64, n)
			for i := range ones {
				ones[i] = 1
			}
			t = format.FromInt64s(in.Name, shape, ones)
		}
		inputs[in.Name] = t
	}
	return inputs, nil
}
