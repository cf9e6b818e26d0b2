package train

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
)

// Batch is what one step learns from: B sequences of T tokens, row-major
// (B,T). Labels holds the id that follows each token, or model.IgnoreIndex
// where a position does not count.
type Batch struct {
	B, T   int
	IDs    []int64
	Labels []int64
}

// The names that model.WithLoss gives its inputs.
var (
	TokensName = role.Of(role.Tokens).Name()
	LabelsName = role.Of(role.Labels).Name()
)

// Inputs returns the batch as tensors that share its memory.
func (b Batch) Inputs() (map[string]format.Tensor, error) {
	n, ok := format.Elements([]int{b.B, b.T})
	if !ok || n < 1 || len(b.IDs) != n || len(b.Labels) != n {
		return nil, fmt.Errorf("train: a batch of %d sequences of %d tokens has %d ids and %d labels", b.B, b.T, len(b.IDs), len(b.Labels))
	}
	shape := []int{b.B, b.T}
	return map[string]format.Tensor{
		TokensName: format.FromInt64s(TokensName, shape, b.IDs),
		LabelsName: format.FromInt64s(LabelsName, shape, b.Labels),
	}, nil
}

// check refuses a batch that is no batch of a vocabulary.
func (b Batch) check(vocab int) error {
	if _, err := b.Inputs(); err != nil {
		return err
	}
	shape := []int{b.B, b.T}
	for i, id := range b.IDs {
		if id < 0 || id >= int64(vocab) {
			return BadIndex(TokensName, i, shape, id, vocab)
		}
	}
	for i, id := range b.Labels {
		if id != model.IgnoreIndex && (id < 0 || id >= int64(vocab)) {
			return BadLabel(LabelsName, i, shape, id, vocab, model.IgnoreIndex)
		}
	}
	return nil
}
