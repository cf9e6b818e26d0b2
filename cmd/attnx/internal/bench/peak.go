package bench

import (
	goruntime "runtime"
	"sync"
	"time"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// bestOf returns the shortest of some runs, in seconds: a peak is what the
// machine can do when it is left alone.
func bestOf(runs int, run func() error) (float64, error) {
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

// operator times one operator on a device. build gives the inputs, whose values
// are small integers, and the output.
func operator(runs int, o attnx.Options, build func(b *graph.Builder) (inputs []*graph.Value, output *graph.Value)) (seconds float64, err error) {
	b := graph.NewBuilder()
	values, output := build(b)
	b.Output("out", output)
	g, err := b.Graph()
	if err != nil {
		return 0, err
	}
	d, err := attnx.OpenGraph(g, o)
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
	return bestOf(runs, func() error { return d.Run(0) })
}

// GEMMPeak returns the speed of a float32 product of 1024³ on the CPU, in
// GFLOP/s: what a training step can at most come near.
func GEMMPeak() (float64, error) {
	const n = 1024
	seconds, err := operator(15, attnx.Options{}, func(b *graph.Builder) ([]*graph.Value, *graph.Value) {
		x, y := b.Input("x", format.Float32, graph.N(n), graph.N(n)), b.Input("y", format.Float32, graph.N(n), graph.N(n))
		return []*graph.Value{x, y}, b.Gemm(x, y, nil, false, false)
	})
	if err != nil {
		return 0, err
	}
	return 2 * n * n * n / seconds / 1e9, nil
}

// bandwidthBytes is far more than any cache holds.
const bandwidthBytes = 512 << 20

// bandwidth returns how fast the memory of a device is read, in GB/s: the best
// of some passes. A device other than the CPU negates half of the bytes into the
// other half.
func bandwidth(o attnx.Options) (float64, error) {
	var seconds float64
	var err error
	if o.Device == "" || o.Device == "cpu" {
		words := make([]uint64, bandwidthBytes/8)
		for i := range words { // pages that were never written are all one page
			words[i] = uint64(i)
		}
		seconds, err = bestOf(4, func() error { readAll(words); return nil })
	} else {
		seconds, err = operator(20, o, func(b *graph.Builder) ([]*graph.Value, *graph.Value) {
			x := b.Input("x", format.Float32, graph.N(bandwidthBytes/2/4))
			return []*graph.Value{x}, b.Neg(x)
		})
	}
	if err != nil {
		return 0, err
	}
	return bandwidthBytes / seconds / 1e9, nil
}

// readAll reads the words on all cores. The sum keeps the compiler from leaving
// it out.
func readAll(words []uint64) (sum uint64) {
	n := goruntime.GOMAXPROCS(0)
	sums := make([]uint64, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			part := words[len(words)*i/n : len(words)*(i+1)/n]
			var a, b, c, d, e, f, g, h uint64
			for len(part) >= 8 {
				a, b, c, d = a+part[0], b+part[1], c+part[2], d+part[3]
				e, f, g, h = e+part[4], f+part[5], g+part[6], h+part[7]
				part = part[8:]
			}
			sums[i] = a + b + c + d + e + f + g + h
		})
	}
	wg.Wait()
	for _, s := range sums {
		sum += s
	}
	return sum
}
