package train

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Batch is the data of one step: a tensor for each input of the loss, by its
// KindOf. Their first dimension counts the examples.
type Batch map[role.Kind]format.Tensor

// TextBatch returns a batch of sequences of tokens, row-major. It shares the
// memory of ids and labels. For a language model a label is the next id, or
// model.IgnoreIndex at a position that does not count.
func TextBatch(sequences, tokens int, ids, labels []int64) Batch {
	shape := []int{sequences, tokens}
	return Batch{
		role.Tokens: format.FromInt64s(role.Of(role.Tokens).Name(), shape, ids),
		role.Labels: format.FromInt64s(role.Of(role.Labels).Name(), shape, labels),
	}
}

// Inputs returns the batch as the inputs of a graph, by name. They share the
// batch's memory. A missing or an unused tensor is an error.
func (b Batch) Inputs(g *graph.Graph) (map[string]format.Tensor, error) {
	in := map[string]format.Tensor{}
	for i, v := range g.Inputs {
		t, ok := b[KindOf(g, i)]
		if !ok {
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

// KindOf returns the kind of a graph's i-th input in a batch: that of its role,
// that whose conventional name it has, or role.Other+i.
func KindOf(g *graph.Graph, i int) role.Kind {
	if i >= int(role.Other) {
		return role.None
	}
	v := g.Inputs[i]
	if k := v.Role().Kind; k != role.None {
		return k
	}
	if r, ok := role.FromName(v.Name); ok && r.Kind != role.Labels && r.Kind != role.None {
		return r.Kind
	}
	return role.Other + role.Kind(i)
}

// labels returns the number of labels in the mean of the loss.
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

// length returns the number of tokens in each example of a batch, those of a source
// included; 1 without tokens.
func (d *Data) length(b Batch) int {
	if s, ok := b[role.SourceTokens]; ok {
		return s.Shape[1] + b[role.Tokens].Shape[1]
	}
	return max(1, d.context)
}

// int64s returns the elements of a tensor that this package made.
func (b Batch) int64s(k role.Kind) []int64 {
	x, _ := b[k].Int64s()
	return x
}
