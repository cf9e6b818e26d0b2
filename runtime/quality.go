package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// Quality measures how well a model in reduced precision does the oracle's
// work. No error bound separates a correct model of this kind from a wrong one,
// so Quality counts what the model gets right.
type Quality struct {
	Sequences int
	Positions int // positions at which a next token was predicted
	// Perplexity is exp of the mean of -log p(next token).
	OraclePerplexity, Perplexity float64
	// ArgmaxAgreed counts the positions at which both have their highest logit at
	// the same token. Of equal logits the first one counts.
	ArgmaxAgreed int
	// Divergence is the mean over the positions of
	// KL(oracle ‖ candidate) = Σ p log(p/q), in nats.
	Divergence float64
}

// ArgmaxAgreement returns the share of the positions that agree.
func (q Quality) ArgmaxAgreement() float64 { return float64(q.ArgmaxAgreed) / float64(q.Positions) }

// MeasureQuality lets the oracle and the candidate predict each token of the
// sequences from the tokens before it. The text should not be part of the
// training data. Both sessions take int64 tokens (1,T) and return logits
// (1,T,V). A sequence has at least two tokens, and at most one more than the
// sessions can run at once. MeasureQuality returns an error when ctx ends.
func MeasureQuality(ctx context.Context, oracle, candidate Session, sequences [][]int64) (Quality, error) {
	if len(sequences) == 0 {
		return Quality{}, errors.New("quality: there is no text to measure on: give at least one sequence")
	}
	var q Quality
	var loss, oracleLoss float64
	for i, ids := range sequences {
		if err := context.Cause(ctx); err != nil {
			return Quality{}, fmt.Errorf("quality: stopped: %w", err)
		}
		if len(ids) < 2 {
			return Quality{}, fmt.Errorf("quality: sequence %d has %d tokens, expects 2 or more: the first foretells the second", i, len(ids))
		}
		n := len(ids) - 1
		c := Case{Batch: 1, Length: n, IDs: ids[:n]}
		p, vocab, err := logProbabilities(oracle, c)
		if err != nil {
			return Quality{}, fmt.Errorf("quality: sequence %d: the oracle: %w", i, err)
		}
		r, other, err := logProbabilities(candidate, c)
		if err != nil {
			return Quality{}, fmt.Errorf("quality: sequence %d: the candidate: %w", i, err)
		}
		if vocab != other {
			return Quality{}, fmt.Errorf("quality: the candidate scores %d tokens, the oracle %d: they are not of one model", other, vocab)
		}
		for t := range n {
			want, got, next := p[t*vocab:][:vocab], r[t*vocab:][:vocab], ids[t+1]
			if next < 0 || next >= int64(vocab) {
				return Quality{}, fmt.Errorf("quality: sequence %d: %w", i, &format.RangeError{Name: "ids", Index: []int{t + 1}, Got: next, Last: int64(vocab) - 1})
			}
			oracleLoss -= want[next]
			loss -= got[next]
			if highest(want) == highest(got) {
				q.ArgmaxAgreed++
			}
			for v := range vocab {
				q.Divergence += math.Exp(want[v]) * (want[v] - got[v])
			}
		}
		q.Sequences++
		q.Positions += n
	}
	n := float64(q.Positions)
	q.OraclePerplexity, q.Perplexity, q.Divergence = math.Exp(oracleLoss/n), math.Exp(loss/n), q.Divergence/n
	return q, nil
}

// logProbabilities runs the case c, which has one sequence, and returns the
// log-softmax of its logits, (T,V), and V.
func logProbabilities(s Session, c Case) (rows []float64, vocab int, err error) {
	t, err := logits(s, c)
	if err != nil {
		return nil, 0, err
	}
	if len(t.Shape) != 3 || t.Shape[0] != 1 || t.Shape[1] != c.Length || t.Shape[2] < 1 || !t.DType.Float() {
		return nil, 0, fmt.Errorf("logits are %s%v, wanted are floats of (1,%d,vocabulary)", t.DType, t.Shape, c.Length)
	}
	vocab = t.Shape[2]
	if rows, err = t.AsFloat64s(); err != nil {
		return nil, 0, err
	}
	for i, x := range rows {
		if !finite(x) {
			return nil, 0, fmt.Errorf("%s is %g", BadValue{Name: logitsName, Index: unravel(i, t.Shape)}.Place(), x)
		}
	}
	for at := range c.Length {
		row := rows[at*vocab:][:vocab]
		high, sum := row[highest(row)], 0.0
		for _, x := range row {
			sum += math.Exp(x - high)
		}
		norm := high + math.Log(sum)
		for v := range row {
			row[v] -= norm
		}
	}
	return rows, vocab, nil
}

// highest returns the index of the highest value, the first one of equals.
func highest(v []float64) int {
	at := 0
	for i, x := range v {
		if x > v[at] {
			at = i
		}
	}
	return at
}
