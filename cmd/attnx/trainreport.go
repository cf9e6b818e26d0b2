package main

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/cmd/attnx/internal/bench"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// trainReport is what train prints as JSON at its end. The losses are those of
// the last step and the last evaluation, null before there was one.
type trainReport struct {
	Run             string   `json:"run"`
	Checkpoint      string   `json:"checkpoint"` // the last one saved
	Step            int      `json:"step"`       // its own
	Steps           int      `json:"steps"`      // that were asked for
	Stopped         bool     `json:"stopped"`    // by a signal
	Arch            string   `json:"arch"`
	Parameters      int      `json:"parameters"`
	Vocabulary      int      `json:"vocabulary"`
	Context         int      `json:"context"`
	Fingerprint     string   `json:"fingerprint"` // of the network
	Engine          string   `json:"engine"`
	Device          string   `json:"device"`
	Loss            *float64 `json:"loss"`
	ValLoss         *float64 `json:"val_loss"`
	TokensPerSecond *float64 `json:"tokens_per_second"` // of the last step
	GFLOPS          *float64 `json:"gflops"`            // likewise
	GEMMShare       *float64 `json:"gemm_share"`        // likewise; null where it is not known
}

// network fills in what is trained.
func (r *trainReport) network(c *model.Checkpoint) {
	r.Arch, r.Vocabulary, r.Context, r.Fingerprint = c.Arch, c.Vocab(), c.Context(), graph.Fingerprint(c.Graph)
	r.Parameters, _ = c.Parameters() // it was trained, so it has some
}

// measured fills in what the last steps were like.
func (r *trainReport) measured(history []metric) {
	for _, m := range history {
		r.Loss, r.TokensPerSecond, r.GFLOPS, r.GEMMShare = finite(m.Loss), finite(m.TokensPerSecond), finite(m.GFLOPS), m.GEMMShare
		if m.ValLoss != nil {
			r.ValLoss = finite(*m.ValLoss)
		}
	}
}

// finite returns a number as JSON can have it: nil if it is none.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}

// lossNote is what a training step shows, the most important part first.
func lossNote(loss, val, tokensPerSecond float64, p bench.Pace) []string {
	note := []string{fmt.Sprintf("loss %.3f", loss)}
	if !math.IsNaN(val) {
		note = append(note, fmt.Sprintf("val %.3f", val))
	}
	note = append(note, thousands(int(tokensPerSecond))+" tokens/s", fmt.Sprintf("%.0f GFLOP/s", p.GFLOPS))
	if p.Share != nil {
		note = append(note, percent(p.Share)+" of GEMM")
	}
	return note
}
