package main

import (
	"fmt"
	"math"
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

// percent writes a share; "-" where there is none.
func percent(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100**share)
}

// busyProduct says why there is no share of a matrix product's speed.
func busyProduct(speed, peak float64) string {
	return fmt.Sprintf("training ran at %.0f GFLOP/s, a matrix product alone at %.0f: the machine was busy while the product was measured", speed, peak)
}

// warnBusy says that a share is missing because the machine was busy.
func warnBusy(s streams, why string) {
	if why != "" {
		fmt.Fprintf(s.err, "attnx: no share: %s\n", why)
	}
}
