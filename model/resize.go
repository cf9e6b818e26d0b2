package model

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
)

// vocabKey is the member of a configuration's JSON with the rows of the token
// embedding, as in Hugging Face's config.json.
const vocabKey = "vocab_size"

// WithVocab returns the model with a larger vocabulary: of each weight with a
// row, a column or an element for every token, the new ones are the mean of the
// old (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language
// Models"). A model that has as many is returned unchanged.
func (c *Checkpoint) WithVocab(vocab int) (*Checkpoint, error) {
	old := c.IDs()
	if vocab <= old {
		return c, nil
	}
	larger, err := c.ofVocab(vocab)
	if err != nil {
		return nil, err
	}
	byName := map[string]format.Tensor{}
	for _, w := range c.Weights {
		byName[w.Name] = w
	}
	for _, p := range larger.Graph.Params {
		shape, _ := p.Shape.Numbers()
		w, ok := byName[p.Name]
		if !ok {
			return nil, fmt.Errorf("model: the weight %.80q of the larger vocabulary is not one of the smaller", p.Name)
		}
		if w, err = grown(w, shape, old, vocab); err != nil {
			return nil, err
		}
		larger.Weights = append(larger.Weights, w)
	}
	out := *c
	out.Config, out.Graph, out.Weights = larger.Config, larger.Graph, larger.Weights
	return &out, nil
}

// OfTokens returns the names of the weights with a row, a column or an element for every
// token.
func (c *Checkpoint) OfTokens() ([]string, error) {
	larger, err := c.ofVocab(c.IDs() + 1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range larger.Graph.Params {
		if w := c.Graph.Lookup(p.Name); w != nil && !w.Shape.Equal(p.Shape) {
			names = append(names, p.Name)
		}
	}
	return names, nil
}

// ofVocab returns the network with another vocabulary, without weights.
func (c *Checkpoint) ofVocab(vocab int) (*Checkpoint, error) {
	old := c.IDs()
	if !arch.Known(c.Arch) {
		return nil, fmt.Errorf("model: attnx does not ship the architecture %.64q, so its vocabulary of %d tokens cannot grow", c.Arch, old)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(c.Config, &members); err != nil {
		return nil, fmt.Errorf("model: configuration: %w", err)
	}
	if string(members[vocabKey]) != fmt.Sprint(old) {
		return nil, fmt.Errorf("model: the configuration has %s %.20s, the token embedding %d rows: its vocabulary cannot grow", vocabKey, members[vocabKey], old)
	}
	members[vocabKey] = json.RawMessage(fmt.Sprint(vocab))
	config, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	n, err := arch.Parse(c.Arch, config)
	if err != nil {
		return nil, err
	}
	return Of(n)
}

// grown returns w in a shape in which one size is new in place of old. The new
// slices are the mean of the old.
func grown(w format.Tensor, shape []int, old, new int) (format.Tensor, error) {
	if slices.Equal(w.Shape, shape) {
		return w, nil
	}
	axis := -1
	for i := range shape {
		if len(w.Shape) == len(shape) && w.Shape[i] == old && shape[i] == new && axis < 0 {
			axis = i
		} else if len(w.Shape) != len(shape) || w.Shape[i] != shape[i] {
			return w, fmt.Errorf("model: weight %.80q is %v, with %d tokens it would be %v: it cannot grow", w.Name, w.Shape, new, shape)
		}
	}
	x, err := w.Float32s()
	if err != nil {
		return w, err
	}
	outer, inner := 1, 1
	for i, n := range shape {
		if i < axis {
			outer *= n
		} else if i > axis {
			inner *= n
		}
	}
	out := make([]float32, outer*new*inner)
	for o := range outer {
		from, to := x[o*old*inner:(o+1)*old*inner], out[o*new*inner:(o+1)*new*inner]
		copy(to, from)
		for i := range inner {
			sum := 0.0
			for r := range old {
				sum += float64(from[r*inner+i])
			}
			for r := old; r < new; r++ {
				to[r*inner+i] = float32(sum / float64(old))
			}
		}
	}
	return format.FromFloat32s(w.Name, shape, out), nil
}
