package main

import (
	"errors"
	"math"
	"time"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
)

// pace is how fast a run computes.
type pace struct {
	gflops float64
	share  *float64 // of the speed of a matrix product; nil where that is not known
	busy   bool     // the product was slower than this
}

// speedometer turns tokens a second into arithmetic.
type speedometer struct {
	flop float64 // a token
	peak float64 // GFLOP/s of a matrix product; 0 where it was not measured
}

// newSpeedometer measures a matrix product where ONNX Runtime trains on the
// CPU: a fifth of a second that tells how much of the machine a run makes use
// of. On a GPU the product would measure the way there.
func newSpeedometer(c *model.Checkpoint, engine, device string) (speedometer, error) {
	flop, err := stepFLOP(c, 1, c.Context())
	s := speedometer{flop: flop / float64(c.Context())}
	if err != nil || engine != "ort" || device != "cpu" {
		return s, err
	}
	if s.peak, err = gemmPeak(); errors.Is(err, runtime.ErrUnavailable) {
		err = nil
	}
	return s, err
}

func (s speedometer) pace(tokensPerSecond float64) pace {
	p := pace{gflops: tokensPerSecond * s.flop / 1e9}
	p.share, p.busy = shareOf(p.gflops, s.peak)
	return p
}

// gemmPeak returns the speed of a float32 product of 1024³ through ONNX
// Runtime, in GFLOP/s: what a training step can at most come near.
func gemmPeak() (float64, error) {
	lib, err := library.Find("", "cpu")
	if err != nil {
		return 0, err
	}
	const n = 1024
	b := graph.NewBuilder()
	x, y := b.Input("x", format.Float32, graph.N(n), graph.N(n)), b.Input("y", format.Float32, graph.N(n), graph.N(n))
	b.Output("z", b.Gemm(x, y, nil, false, false))
	g, err := b.Graph()
	if err != nil {
		return 0, err
	}
	data, err := export.Bytes(g, nil, export.Options{Profile: export.Train})
	if err != nil {
		return 0, err
	}
	session, err := ort.OpenBytes(data, ort.Options{Library: lib.Path})
	if err != nil {
		return 0, err
	}
	defer session.Close()
	tensor := func(name string) format.Tensor {
		e := make([]float32, n*n)
		for i := range e {
			e[i] = float32(i%7) - 3
		}
		return format.FromFloat32s(name, []int{n, n}, e)
	}
	run, release, err := session.Bind([]format.Tensor{tensor("x"), tensor("y")}, []format.Tensor{tensor("z")})
	if err != nil {
		return 0, err
	}
	defer release()
	best := math.Inf(1) // of some: a peak is what the machine can do when it is left alone
	for range 15 {
		began := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		best = min(best, time.Since(began).Seconds())
	}
	return 2 * n * n * n / best / 1e9, nil
}
