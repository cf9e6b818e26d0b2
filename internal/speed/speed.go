// Package speed times operators and computes what share of their speed a run
// reaches.
package speed

import (
	"fmt"
	"math"
	"time"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// BestOf returns the shortest of several runs, in seconds. The shortest is the
// one least disturbed by other work.
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

// Operator times one operator on a device. build returns the inputs, which are
// filled with small integers, and the output.
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

// Product returns the speed of a float32 matrix product of 1024³ on a device,
// in GFLOP/s, the best of so many runs: the upper bound for a training step.
func Product(runs int, open Open) (float64, error) {
	const n = 1024
	seconds, err := Operator(runs, open, func(b *graph.Builder) ([]*graph.Value, *graph.Value) {
		x, y := b.Input("x", format.Float32, graph.N(n), graph.N(n)), b.Input("y", format.Float32, graph.N(n), graph.N(n))
		return []*graph.Value{x, y}, b.Gemm(x, y, nil, false, false)
	})
	if err != nil {
		return 0, err
	}
	return 2 * n * n * n / seconds / 1e9, nil
}

// Share returns speed as a share of the measured peak; nil if there is none,
// or if speed exceeds the peak. busy reports the latter: other work slowed the
// machine while the peak was measured.
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

// BusyProduct explains why the share of a matrix product's speed is unknown;
// both are in GFLOP/s.
func BusyProduct(speed, peak float64) string {
	return fmt.Sprintf("training ran at %.0f GFLOP/s, a matrix product alone at %.0f: the machine was busy while the product was measured", speed, peak)
}
