package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// table returns a session whose logits after a token are a row of a table.
func table(vocab int, rows []float64) *fake {
	return &fake{run: func(in format.Tensor) (format.Tensor, error) {
		ids, err := in.Int64s()
		var out []float64
		for _, id := range ids {
			out = append(out, rows[int(id)*vocab:][:vocab]...)
		}
		return format.FromFloat64s("logits", []int{1, len(ids), vocab}, out), err
	}}
}

// NumPy's figures.
func TestQualityGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/quality.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Vocab             int
		Oracle, Candidate []float64
		Sequences         [][]int64
		Positions         int
		OraclePerplexity  float64 `json:"oracle_perplexity"`
		Perplexity        float64
		ArgmaxAgreed      int `json:"argmax_agreed"`
		Divergence        float64
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	q, err := MeasureQuality(t.Context(), table(g.Vocab, g.Oracle), table(g.Vocab, g.Candidate), g.Sequences)
	if err != nil {
		t.Fatal(err)
	}
	if q.Sequences != len(g.Sequences) || q.Positions != g.Positions || q.ArgmaxAgreed != g.ArgmaxAgreed {
		t.Errorf("got %+v, want %+v", q, g)
	}
	for what, x := range map[string][2]float64{
		"oracle perplexity": {q.OraclePerplexity, g.OraclePerplexity}, "perplexity": {q.Perplexity, g.Perplexity}, "divergence": {q.Divergence, g.Divergence},
	} {
		if math.Abs(x[0]-x[1]) > 1e-12*x[1] { // sums of some hundred terms in float64
			t.Errorf("%s: got %.17g, want %.17g", what, x[0], x[1])
		}
	}
	if g.ArgmaxAgreed == 0 || g.ArgmaxAgreed == g.Positions {
		t.Errorf("%d of %d positions agree: the test could not tell", g.ArgmaxAgreed, g.Positions)
	}
	same, err := MeasureQuality(t.Context(), table(g.Vocab, g.Oracle), table(g.Vocab, g.Oracle), g.Sequences)
	if err != nil || same.Divergence != 0 || same.ArgmaxAgreement() != 1 || same.Perplexity != same.OraclePerplexity {
		t.Errorf("a model and itself: %+v, %v", same, err)
	}
}

func TestQualityRefuses(t *testing.T) {
	two := []float64{0, 1, 1, 0}
	for want, f := range map[string]func() (Quality, error){
		"give at least one sequence": func() (Quality, error) { return MeasureQuality(t.Context(), table(2, two), table(2, two), nil) },
		"sequence 1 has 1 tokens": func() (Quality, error) {
			return MeasureQuality(t.Context(), table(2, two), table(2, two), [][]int64{{0, 1}, {0}})
		},
		"ids[1] is 2: it must be from 0 to 1": func() (Quality, error) {
			return MeasureQuality(t.Context(), table(2, two), table(2, two), [][]int64{{0, 2}})
		},
		"ids[1] is -1: it must be from 0 to 1": func() (Quality, error) {
			return MeasureQuality(t.Context(), table(2, two), table(2, two), [][]int64{{0, -1}})
		},
		"scores 1 tokens, the oracle 2": func() (Quality, error) {
			return MeasureQuality(t.Context(), table(2, two), table(1, two), [][]int64{{0, 1}})
		},
		"the candidate: logits[0,0,1] is NaN": func() (Quality, error) {
			return MeasureQuality(t.Context(), table(2, two), table(2, []float64{0, math.NaN()}), [][]int64{{0, 1}})
		},
		"the oracle: logits[0,0,0] is +Inf": func() (Quality, error) {
			return MeasureQuality(t.Context(), table(2, []float64{math.Inf(1), 0}), table(2, two), [][]int64{{0, 1}})
		},
		"logits are F64[1 1 0], wanted are": func() (Quality, error) {
			return MeasureQuality(t.Context(), table(0, two), table(2, two), [][]int64{{0, 1}})
		},
		"the oracle: fixed shape": func() (Quality, error) {
			return MeasureQuality(t.Context(), &fake{vocab: 2, length: 5}, table(2, two), [][]int64{{0, 1}})
		},
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestQualityStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	two := []float64{0, 1, 1, 0}
	if _, err := MeasureQuality(ctx, table(2, two), table(2, two), [][]int64{{0, 1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a stopped measurement: %v", err)
	}
}
