package main

import (
	goruntime "runtime"
	"sync"
	"time"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
)

// bandwidthBytes is far more than any cache holds.
const bandwidthBytes = 512 << 20

// bandwidth returns how fast the memory of the device of that name, cpu or
// cuda, is read, in GB/s: the best of some passes. d says which library opens it.
func bandwidth(name string, d device) (float64, error) {
	if name == "cuda" {
		return cudaBandwidth(d.library)
	}
	words := make([]uint64, bandwidthBytes/8)
	for i := range words { // pages that were never written are all one page
		words[i] = uint64(i)
	}
	best := time.Duration(1 << 62)
	for range 4 {
		began := time.Now()
		readAll(words)
		best = min(best, time.Since(began))
	}
	return bandwidthBytes / best.Seconds() / 1e9, nil
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

// cudaBandwidth has the GPU read and write: ONNX Runtime's Neg of half the
// bytes.
func cudaBandwidth(path string) (float64, error) {
	lib, err := library.Find(path, "cuda")
	if err != nil {
		return 0, err
	}
	const n = bandwidthBytes / 2 / 4
	b := graph.NewBuilder()
	b.Output("y", b.Neg(b.Input("x", format.Float32, graph.N(n))))
	g, err := b.Graph()
	if err != nil {
		return 0, err
	}
	data, err := export.Bytes(g, nil, export.Options{Profile: export.Train})
	if err != nil {
		return 0, err
	}
	d, err := ort.OpenDeviceBytes(data, ort.Options{Library: lib.Path, Device: "cuda"})
	if err != nil {
		return 0, err
	}
	defer d.Close()
	for _, bind := range []func(int, runtime.Memory, int, []int) error{d.BindInput, d.BindOutput} {
		m, err := d.Alloc(4 * n)
		if err == nil {
			err = bind(0, m, 0, []int{n})
		}
		if err != nil {
			return 0, err
		}
	}
	best := time.Duration(1 << 62)
	for range 20 {
		began := time.Now()
		if err := d.Run(0); err != nil {
			return 0, err
		}
		best = min(best, time.Since(began))
	}
	return bandwidthBytes / best.Seconds() / 1e9, nil
}
