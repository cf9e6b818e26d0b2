package attnx

import (
	"math"
	"slices"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

// ranks returns the rank of each number, equal ones sharing theirs.
func ranks(x []float64) []float64 {
	out := make([]float64, len(x))
	for i, a := range x {
		for _, b := range x {
			if b < a {
				out[i]++
			} else if b == a {
				out[i] += 0.5
			}
		}
	}
	return out
}

// rankCorrelation returns Spearman's ρ.
func rankCorrelation(a, b []float64) float64 {
	a, b = ranks(a), ranks(b)
	mean := float64(len(a)) / 2
	var ab, aa, bb float64
	for i := range a {
		x, y := a[i]-mean, b[i]-mean
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}

// TestPredictedLoss: the predicted loss by layer has the order of the measured one, and
// its size where a rounding is small. A file that keeps weights until the prediction is
// below a limit loses about that when it is measured, and is what export writes.
func TestPredictedLoss(t *testing.T) {
	for name, c := range faultModels(t) {
		for _, q := range []precision.Quantize{precision.Int4, precision.Int8} {
			if !fixtures.Exhaustive() && (name != "gpt2" || q != precision.Int4) {
				continue
			}
			t.Run(name+" "+string(q), func(t *testing.T) { predictedLoss(t, c, q) })
		}
	}
}

func predictedLoss(t *testing.T, c *model.Checkpoint, q precision.Quantize) {
	x, err := newLossPredictor(c, export.Plain{Quantize: q}, idsFor(c, 1024))
	okay(t, err)
	okay(t, x.draw(t.Context()))
	r, err := x.losses(t.Context(), make([]int, len(x.layers)))
	okay(t, err)
	var predicted, measured, change, changed []float64
	for _, l := range r.Layers {
		t.Logf("%-30s %d bits: logits %.3g, measured %.3g; divergence %.3g, measured %.3g", l.Weight, l.Bits, l.Predicted.Logits, l.Measured.Logits, l.Predicted.Divergence, l.Measured.Divergence)
		predicted, measured = append(predicted, l.Predicted.Divergence), append(measured, l.Measured.Divergence)
		change, changed = append(change, l.Predicted.Logits), append(changed, l.Measured.Logits)
	}
	byLoss, byLogits := rankCorrelation(predicted, measured), rankCorrelation(change, changed)
	t.Logf("all %+v, rank correlations %.3f and %.3f; %s changes by %.3g, predicted %.3g", r.All, byLoss, byLogits, r.Logit.Place, r.Logit.Measured, r.Logit.Predicted)
	if byLoss < 0.9 || byLogits < 0.9 {
		t.Errorf("rank correlations %.3f by divergence, %.3f by logits", byLoss, byLogits)
	}
	if near := r.All.Predicted.Divergence / r.All.Measured.Divergence; near < 0.6 || near > 1.7 {
		t.Errorf("all together: predicted %.3g, measured %.3g", r.All.Predicted.Divergence, r.All.Measured.Divergence)
	}
	limit := r.All.Predicted.Divergence / 3
	chosen := x.choose(limit)
	all := func(l int) int { return chosen[l] }
	after, _, err := x.measured(all)
	okay(t, err)
	if p := x.predicted(all).Divergence; p > limit || after.Divergence > 2*limit || after.Divergence >= r.All.Measured.Divergence {
		t.Errorf("limit %.3g: predicted %.3g, measured %.3g", limit, p, after.Divergence)
	}
	keep := x.keep(chosen)
	if keep == "" {
		t.Fatal("nothing is kept")
	}
	m, _, err := ExportModel(c, export.Plain{Quantize: q, Keep: keep})
	okay(t, err)
	info, err := export.Describe(m)
	okay(t, err)
	if p := export.ProfileOf(m, info.Profile); p.Numbers().Keep != keep {
		t.Errorf("kept %s, the file says %s", keep, p.Numbers().Keep)
	}
	if found := againstCheckpoint(&exported{checkpoint: c}, "x.onnx", m, info); found.layer != runtime.IdenticalLayer {
		t.Errorf("the file with %s is not what export writes: %+v", keep, found)
	}
	m.Metadata[precision.MetaKeep] = "" // another tool's file, or a lie
	if found := againstCheckpoint(&exported{checkpoint: c}, "x.onnx", m, info); found.layer != runtime.DifferentLayer {
		t.Errorf("without a record of what was kept: %+v", found)
	}
}

func idsFor(c *model.Checkpoint, n int) [][]int64 {
	s := model.NewStream(7, "test")
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(s.IntN(uint64(i), c.Vocab()))
	}
	var out [][]int64
	for part := range slices.Chunk(ids, min(c.Context(), 32)) {
		out = append(out, part)
	}
	return out
}
