package bench

import (
	goruntime "runtime"
	"sync"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/speed"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// bandwidthBytes is far more than any cache can keep.
const bandwidthBytes = 512 << 20

// bandwidth returns the read bandwidth of a device's memory, in GB/s: the best
// of several passes. A device other than the CPU negates half of the bytes into
// the other half.
func bandwidth(o attnx.Options) (float64, error) {
	var seconds float64
	var err error
	if o.Device == "" || o.Device == "cpu" {
		words := make([]uint64, bandwidthBytes/8)
		for i := range words { // unwritten pages all map to one page
			words[i] = uint64(i)
		}
		seconds, err = speed.BestOf(4, func() error { readAll(words); return nil })
	} else {
		seconds, err = speed.Operator(20, func(g *graph.Graph) (runtime.Device, error) { return attnx.OpenGraph(g, o) }, func(b *graph.Builder) ([]*graph.Value, *graph.Value) {
			x := b.Input("x", format.Float32, graph.N(bandwidthBytes/2/4))
			return []*graph.Value{x}, b.Neg(x)
		})
	}
	if err != nil {
		return 0, err
	}
	return bandwidthBytes / seconds / 1e9, nil
}

// readAll reads the words on all cores. It returns a sum so that the compiler
// keeps the reads.
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
