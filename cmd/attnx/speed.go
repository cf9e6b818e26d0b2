package main

import (
	"errors"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

// pace is how fast a run computes.
type pace struct {
	gflops float64
	share  float64 // of the speed of a matrix product; 0 where that is not known
}

// speedometer turns tokens a second into arithmetic.
type speedometer struct {
	flop float64 // a token
	peak float64 // GFLOP/s of a matrix product; 0 where it was not measured
}

// newSpeedometer measures a matrix product where ONNX Runtime trains: a fifth
// of a second that tells how much of the machine a run makes use of.
func newSpeedometer(c model.Config, engine string) (speedometer, error) {
	flop, err := stepFLOP(c, 1, c.Context)
	s := speedometer{flop: flop / float64(c.Context)}
	if err != nil || engine != "ort" {
		return s, err
	}
	if s.peak, err = gemmPeak(); errors.Is(err, runtime.ErrUnavailable) {
		err = nil
	}
	return s, err
}

func (s speedometer) pace(tokensPerSecond float64) pace {
	p := pace{gflops: tokensPerSecond * s.flop / 1e9}
	if s.peak > 0 {
		p.share = p.gflops / s.peak
	}
	return p
}
