package bench

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// What is faster than the peak is no share of it, in any report.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		speed, peak float64
		want        string
		busy        bool
	}{{50, 200, "25 %", false}, {200, 200, "100 %", false}, {780, 100, "-", true}, {5, 0, "-", false}, {0, 0, "-", false}, {math.NaN(), 1, "-", false}} {
		if share, busy := shareOf(c.speed, c.peak); shown(share) != c.want || busy != c.busy {
			t.Errorf("%g of %g: %s, busy %t", c.speed, c.peak, shown(share), busy)
		}
	}
	r := TrainReport{GEMMPeak: 100, Rows: []TrainRow{{GFLOPS: 50}, {GFLOPS: 120}}}
	if r.share(); r.Rows[1].GEMMShare != nil || *r.Rows[0].GEMMShare != 0.5 || !strings.Contains(r.Busy, "busy") {
		t.Errorf("%+v", r)
	}
	g := GenerateReport{Bandwidth: 10, Rows: []GenerateRow{{weights: 78}}}
	if g.share(); g.Rows[0].Share != nil || !strings.Contains(g.Busy, "busy") {
		t.Errorf("%+v", g)
	}
	if p := (Speedometer{flop: 1e9, peak: 2}).Pace(3); p.Share != nil || !p.Busy {
		t.Errorf("%+v", p)
	}
}

func shown(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100**share)
}

// On a GPU, and in pure Go, there is no product to take a share of; none is run.
func TestSpeedometerWithoutAProduct(t *testing.T) {
	c, err := Random("tiny")
	if err != nil {
		t.Fatal(err)
	}
	for _, on := range [][2]string{{"ort", "cuda"}, {"gorgonia", "cpu"}} {
		s, err := NewSpeedometer(c, on[0], on[1])
		if err != nil {
			t.Fatal(err)
		}
		if p := s.Pace(1000); p.Share != nil || p.GFLOPS <= 0 {
			t.Errorf("%s on %s: %+v", on[0], on[1], p)
		}
	}
}
