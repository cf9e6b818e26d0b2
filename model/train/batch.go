package train

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Batch is what one step learns from: a tensor for each input of the loss, by
// what it is for. The first dimension is that of the examples.
type Batch map[role.Kind]format.Tensor

// TextBatch returns a batch of so many sequences of so many tokens, row-major,
// that shares the memory of ids and labels. Of a language model the label is the
// id that follows a token, or model.IgnoreIndex where a position does not count.
func TextBatch(sequences, tokens int, ids, labels []int64) Batch {
	shape := []int{sequences, tokens}
	return Batch{
		role.Tokens: format.FromInt64s(role.Of(role.Tokens).Name(), shape, ids),
		role.Labels: format.FromInt64s(role.Of(role.Labels).Name(), shape, labels),
	}
}

// Inputs returns the batch as the inputs of a graph, by their names; it shares
// the batch's memory. It refuses a batch that has not what the graph takes, or
// has more.
func (b Batch) Inputs(g *graph.Graph) (map[string]format.Tensor, error) {
	in := map[string]format.Tensor{}
	for _, v := range g.Inputs {
		kind := v.Role().Kind
		t, ok := b[kind]
		if kind == role.None || !ok {
			return nil, fmt.Errorf("train: the batch has no tensor for the input %.80q", v.Name)
		}
		t = t.WithName(v.Name)
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
		if t.DType != v.DType {
			return nil, fmt.Errorf("train: %.80q is %s, expects %s", v.Name, t.DType, v.DType)
		}
		if t.Elements() == 0 {
			return nil, fmt.Errorf("train: %.80q has shape %v: the batch is empty", v.Name, t.Shape)
		}
		in[v.Name] = t
	}
	if len(in) != len(b) {
		return nil, fmt.Errorf("train: the batch has %d tensors, the graph takes %d", len(b), len(in))
	}
	return in, nil
}

// labels returns how many labels count in the mean that is the loss.
func (b Batch) labels() int {
	t := b[role.Labels]
	if t.DType != format.Int64 {
		return t.Elements()
	}
	n := 0
	for _, label := range b.int64s(role.Labels) {
		if label != model.IgnoreIndex {
			n++
		}
	}
	return n
}

// int64s returns the elements of a tensor that is made here.
func (b Batch) int64s(k role.Kind) []int64 {
	x, _ := b[k].Int64s()
	return x
}
