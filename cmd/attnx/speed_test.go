package main

import "testing"

// On a GPU, and in pure Go, there is no product to take a share of; none is run.
func TestSpeedometerWithoutAProduct(t *testing.T) {
	c := tinyOf(t, 9)
	for _, on := range [][2]string{{"ort", "cuda"}, {"gorgonia", "cpu"}} {
		s, err := newSpeedometer(c, on[0], on[1])
		if err != nil {
			t.Fatal(err)
		}
		if p := s.pace(1000); p.share != nil || p.gflops <= 0 {
			t.Errorf("%s on %s: %+v", on[0], on[1], p)
		}
	}
}
