package bench

import (
	"errors"
	"fmt"
	"math"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

// shareOf returns a speed as a share of the peak that was measured beside it,
// nil where there is none. What is faster than the peak is no share of it: the
// peak was measured on a machine that was busy with other work.
func shareOf(speed, peak float64) (share *float64, busy bool) {
	switch x := speed / peak; {
	case peak <= 0 || math.IsNaN(x):
		return nil, false
	case x > 1:
		return nil, true
	default:
		return &x, false
	}
}

// stepFLOP counts the floating-point operations of one training step as is
// usual: 6 for each parameter and token, and 12·L·C·T for each token's
// attention (Kaplan et al., arXiv:2001.08361, appendix B).
func stepFLOP(c *model.Checkpoint, batch, context int) (float64, error) {
	n, err := c.Parameters()
	if err != nil {
		return 0, err
	}
	tokens := float64(batch * context)
	return tokens * (6*float64(n) + 12*float64(len(c.Attentions())*c.Width()*context)), nil
}

// Pace is how fast a run computes.
type Pace struct {
	GFLOPS float64
	Share  *float64 // of the speed of a matrix product; nil where that is not known
	Busy   bool     // the product was slower than this
}

// Speedometer turns tokens a second into arithmetic.
type Speedometer struct {
	flop float64 // a token
	peak float64 // GFLOP/s of a matrix product; 0 where it was not measured
}

// NewSpeedometer measures a matrix product where ONNX Runtime trains on the
// CPU: a fifth of a second that shows how much of the machine a run makes use
// of. On a GPU the product would measure the way there.
func NewSpeedometer(c *model.Checkpoint, engine, device string) (Speedometer, error) {
	flop, err := stepFLOP(c, 1, c.Context())
	s := Speedometer{flop: flop / float64(c.Context())}
	if err != nil || engine != "ort" || device != "cpu" {
		return s, err
	}
	if s.peak, err = GEMMPeak(); errors.Is(err, runtime.ErrUnavailable) {
		err = nil
	}
	return s, err
}

// Pace returns how fast a run computes that takes so many tokens a second.
func (s Speedometer) Pace(tokensPerSecond float64) Pace {
	p := Pace{GFLOPS: tokensPerSecond * s.flop / 1e9}
	p.Share, p.Busy = shareOf(p.GFLOPS, s.peak)
	return p
}

// Busy says why there is no share of the product for a run of that speed, in
// GFLOP/s.
func (s Speedometer) Busy(speed float64) string { return busyProduct(speed, s.peak) }

func busyProduct(speed, peak float64) string {
	return fmt.Sprintf("training ran at %.0f GFLOP/s, a matrix product alone at %.0f: the machine was busy while the product was measured", speed, peak)
}
