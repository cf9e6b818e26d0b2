package attnx

import (
	"context"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// Quality measures a model in a profile against the oracle on sequences.
func Quality(ctx context.Context, c *model.Checkpoint, p export.Profile, sequences [][]int64) (runtime.Quality, error) {
	cached, withPast := p.(export.Cache)
	if withPast {
		cached.LastLogits = false // all tokens are compared
		p = cached
	}
	r, err := runner("", p)
	if err == nil {
		err = r.available(runtime.Options{})
	}
	if err != nil {
		return runtime.Quality{}, err
	}
	m, data, err := encoded(c, p)
	if err != nil {
		return runtime.Quality{}, err
	}
	s, err := r.Open(runtime.File{Data: data}, runtime.Options{})
	if err != nil {
		return runtime.Quality{}, err
	}
	defer s.Close()
	candidate := s
	if withPast {
		candidate = runtime.Cached(s, cacheShape(c, m), runtime.TokenByToken) // both prefill and decoding
	}
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		return runtime.Quality{}, err
	}
	return runtime.MeasureQuality(ctx, oracle, candidate, sequences)
}

// RoundedQuality compares the oracle with itself on rounded weights.
func RoundedQuality(ctx context.Context, c *model.Checkpoint, to format.DType, sequences [][]int64) (runtime.Quality, error) {
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		return runtime.Quality{}, err
	}
	weights := make(model.Weights, len(c.Weights))
	for i, t := range c.Weights {
		half, _, err := t.Convert(to)
		if err == nil {
			weights[i], _, err = half.Convert(format.Float32)
		}
		if err != nil {
			return runtime.Quality{}, err
		}
	}
	rounded, err := ref.New(c.Graph, weights)
	if err != nil {
		return runtime.Quality{}, err
	}
	return runtime.MeasureQuality(ctx, oracle, rounded, sequences)
}
