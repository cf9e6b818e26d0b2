package attnx

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// PositionLoss is the mean loss of the validation data at some positions of their texts, which
// count from 1. The ranges double: 1, 2, 3 to 4, 5 to 8 and so on.
type PositionLoss struct {
	From int     `json:"from"`
	To   int     `json:"to"`
	Loss float64 `json:"loss"`
}

// positionsOf computes the losses of a run's newest network on the batches of its evaluations,
// by position. They are nil, and a message says why, if its data are not where they were.
func positionsOf(folder string, o Options) ([]PositionLoss, error) {
	r := &trainRun{folder: folder}
	path, err := r.newest(ResumeOptions{})
	if err == nil && path == "" {
		err = errors.New("no checkpoint is whole")
	}
	if err == nil {
		err = r.readData(context.Background(), Corpus{}, path)
	}
	if err == nil {
		err = r.validate(context.Background())
	}
	if err != nil {
		o.Tell.Say(Notice, "%s: no loss by position: %s", folder, quote.Line(err.Error(), 400))
		return nil, nil
	}
	defer r.close()
	logits, ok := r.model.Graph.Output(role.Of(role.Logits))
	if !ok || len(logits.Value.Shape) != 3 {
		return nil, nil
	}
	session, err := plainSession(r.model, o.Device)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	var sums []float64
	var counts []int
	for n := range r.options.EvalBatches {
		batch, err := r.data.Validation(r.options, n)
		if err != nil {
			return nil, err
		}
		labels, err := batch[role.Labels].Int64s()
		if err != nil {
			return nil, err
		}
		delete(batch, role.Labels)
		given, err := batch.Inputs(r.model.Graph)
		if err != nil {
			return nil, err
		}
		if err := addLosses(session, logits.Name, given, labels, &sums, &counts); err != nil {
			return nil, err
		}
	}
	var out []PositionLoss
	for from, to := 1, 1; from <= len(sums); from, to = to+1, 2*to {
		sum, count := 0.0, 0
		for i := from; i <= min(to, len(sums)); i++ {
			sum, count = sum+sums[i-1], count+counts[i-1]
		}
		if count > 0 {
			out = append(out, PositionLoss{from, min(to, len(sums)), sum / float64(count)})
		}
	}
	return out, nil
}

// addLosses adds the loss of each label to the sum of its position.
func addLosses(s runtime.Session, name string, given map[string]format.Tensor, labels []int64, sums *[]float64, counts *[]int) error {
	out, err := s.Run(given)
	if err != nil {
		return err
	}
	x, _, err := out[name].Convert(format.Float32)
	if err != nil {
		return err
	}
	scores, err := x.Float32s()
	if err != nil {
		return err
	}
	length, vocab := x.Shape[1], x.Shape[2]
	for len(*sums) < length {
		*sums, *counts = append(*sums, 0), append(*counts, 0)
	}
	for i, label := range labels {
		if label == model.IgnoreIndex {
			continue
		}
		row := scores[i*vocab : (i+1)*vocab]
		most, all := float64(slices.Max(row)), 0.0
		for _, y := range row {
			all += math.Exp(float64(y) - most)
		}
		(*sums)[i%length] += most + math.Log(all) - float64(row[label])
		(*counts)[i%length]++
	}
	return nil
}

// longer returns the network with new weights for texts of at least n tokens, so that its
// speed can be measured there; the model itself if it reads them, or has no such network.
func longer(m *model.Checkpoint, n int) *model.Checkpoint {
	if most := m.Context(); most == 0 || most >= n {
		return m
	}
	own, err := m.Network()
	if err != nil {
		return m
	}
	for _, part := range []any{
		struct {
			N int `json:"n_positions"`
		}{n}, struct {
			N int `json:"max_position_embeddings"`
		}{n},
	} {
		var other nn.Network
		if other, err = arch.With(own, part); err != nil {
			continue
		}
		if c, err := model.New(other, 1); err == nil && c.Context() >= n {
			return c
		}
	}
	return m
}
