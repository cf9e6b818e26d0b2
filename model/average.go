package model

import (
	"bytes"
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Mean computes the mean of checkpoints of one network. The mean of the last
// checkpoints of a run is often better than each of them (Izmailov and others,
// 2018, "Averaging weights leads to wider optima and better generalization").
// It adds in float64 and keeps only the sum.
type Mean struct {
	last *Checkpoint
	sums [][]float64
	n    int
}

// Add adds a checkpoint. Its configuration and tokenizer must equal those of
// the earlier ones.
func (m *Mean) Add(c *Checkpoint) error {
	switch {
	case m.last == nil:
		for _, t := range c.Weights {
			m.sums = append(m.sums, make([]float64, t.Elements()))
		}
	case graph.Fingerprint(m.last.Graph) != graph.Fingerprint(c.Graph):
		return fmt.Errorf("model: cannot average two networks: the configuration is %.200s, was %.200s", c.Config, m.last.Config)
	case !bytes.Equal(m.last.Tokenizer, c.Tokenizer):
		return fmt.Errorf("model: cannot average two vocabularies: the tokenizer of the checkpoint differs from the earlier ones")
	}
	for i, t := range c.Weights {
		v, err := t.Float32s()
		if err != nil {
			return fmt.Errorf("model: %w", err)
		}
		for j, x := range v {
			m.sums[i][j] += float64(x)
		}
	}
	m.n++
	if m.last == nil || c.Step >= m.last.Step {
		m.last = c
	}
	return nil
}

// Checkpoint returns the mean as a model without training state. Its step is
// the largest of the inputs'.
func (m *Mean) Checkpoint() (*Checkpoint, error) {
	if m.n == 0 {
		return nil, fmt.Errorf("model: no checkpoints to average")
	}
	out := &Checkpoint{Arch: m.last.Arch, Config: m.last.Config, Graph: m.last.Graph, Tokenizer: m.last.Tokenizer, Special: m.last.Special, Step: m.last.Step}
	for i, t := range m.last.Weights {
		v := make([]float32, len(m.sums[i]))
		for j, s := range m.sums[i] {
			v[j] = float32(s / float64(m.n))
		}
		out.Weights = append(out.Weights, format.FromFloat32s(t.Name, t.Shape, v))
	}
	return out, nil
}
