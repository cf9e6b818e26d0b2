package decode

import "slices"

// Continued returns a model of one sequence that keeps its cache between texts:
// a Prefill of a text that begins with what m has computed, as each turn of a
// conversation does, computes only the rest.
func Continued(m Model) Model { return &continued{Model: m} }

type continued struct {
	Model
	ids []int64 // in the cache; empty if it is not known what is
}

// extender is a Model that adds several tokens to its sequence at once.
type extender interface {
	Extend(ids []int64) ([]float32, error)
}

func (c *continued) Prefill(prompts [][]int64) (logits []float32, err error) {
	m, extends := c.Model.(extender)
	known := len(c.ids)
	if extends && len(prompts) == 1 && known > 0 && len(prompts[0]) > known && slices.Equal(prompts[0][:known], c.ids) {
		logits, err = m.Extend(prompts[0][known:])
	} else {
		logits, err = c.Model.Prefill(prompts)
	}
	if c.ids = nil; err == nil && len(prompts) == 1 {
		c.ids = slices.Clone(prompts[0])
	}
	return logits, err
}

func (c *continued) Step(ids []int64) ([]float32, error) {
	logits, err := c.Model.Step(ids)
	if err != nil || len(ids) != 1 || ids[0] == Idle {
		c.ids = nil
		return logits, err
	}
	if len(c.ids) > 0 {
		c.ids = append(c.ids, ids[0])
	}
	return logits, nil
}
