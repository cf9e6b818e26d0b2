// Package speed times operators, and says what share of their speed a run has.
package speed

import (
	"fmt"
	"math"
	"time"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// BestOf returns the shortest of some runs, in seconds: a peak is what the
// machine can do when it is left alone.
func BestOf(runs int, run func() error) (float64, error) {
	best := time.Duration(1 << 62)
	for range runs {
		began := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		best = min(best, time.Since(began))
	}
	return best.Seconds(), nil
}

// Open opens a graph without weights on a device.
type Open func(*graph.Graph) (runtime.Device, error)

// Operator times one operator on a device. build gives the inputs, whose values
// are small integers, and the output.
func Operator(runs int, open Open, build func(b *graph.Builder) (inputs []*graph.Value, output *graph.Value)) (seconds float64, err error) {
	b := graph.NewBuilder()
	values, output := build(b)
	b.Output("out", output)
	g, err := b.Graph()
	if err != nil {
		return 0, err
	}
	d, err := open(g)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	bind := func(i int, v *graph.Value, to func(int, runtime.Memory, int, []int) error) error {
		shape, _ := v.Shape.Numbers()
		n, _ := format.Elements(shape)
		e := make([]float32, n)
		for i := range e {
			e[i] = float32(i%7) - 3
		}
		m, err := d.Alloc(4 * n)
		if err == nil {
			err = d.Write(m, 0, format.FromFloat32s("", shape, e).Data)
		}
		if err != nil {
			return err
		}
		return to(i, m, 0, shape)
	}
	for i, v := range values {
		if err := bind(i, v, d.BindInput); err != nil {
			return 0, err
		}
	}
	if err := bind(0, output, d.BindOutput); err != nil {
		return 0, err
	}
	return BestOf(runs, func() error { return d.Run(0) })
}

// Product returns the speed of a float32 product of 1024³ on a device, in
// GFLOP/s: what a training step can at most come near.
func Product(open Open) (float64, error) {
	const n = 1024
	seconds, err := Operator(15, open, func(b *graph.Builder) ([]*graph.Value, *graph.Value) {
		x, y := b.Input("x", format.Float32, graph.N(n), graph.N(n)), b.Input("y", format.Float32, graph.N(n), graph.N(n))
		return []*graph.Value{x, y}, b.Gemm(x, y, nil, false, false)
	})
	if err != nil {
		return 0, err
	}
	return 2 * n * n * n / seconds / 1e9, nil
}

// Share returns a speed as a share of the peak that was measured beside it,
// nil where there is none. What is faster than the peak is no share of it: the
// peak was measured on a machine that was busy with other work.
func Share(speed, peak float64) (share *float64, busy bool) {
	switch x := speed / peak; {
	case peak <= 0 || math.IsNaN(x):
		return nil, false
	case x > 1:
		return nil, true
	default:
		return &x, false
	}
}

// BusyProduct says why there is no share of a matrix product's speed, both in
// GFLOP/s.
func BusyProduct(speed, peak float64) string {
	return fmt.Sprintf("training ran at %.0f GFLOP/s, a matrix product alone at %.0f: the machine was busy while the product was measured", speed, peak)
}
