package bench

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/internal/speed"
)

// What is faster than the peak is no share of it, in any report.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		speed, peak float64
		want        string
		busy        bool
	}{{50, 200, "25 %", false}, {200, 200, "100 %", false}, {780, 100, "-", true}, {5, 0, "-", false}, {0, 0, "-", false}, {math.NaN(), 1, "-", false}} {
		if share, busy := speed.Share(c.speed, c.peak); shown(share) != c.want || busy != c.busy {
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
}

func shown(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100**share)
}
