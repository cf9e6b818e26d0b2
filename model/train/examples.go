package train

import (
	"cmp"
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// NewExamples returns the data of examples of any kind. The first dimension of
// every tensor counts the examples and must be the same. The last tenth is for
// validation, or all if there are fewer than ten. It shares the tensors'
// memory.
func NewExamples(all Batch) (*Data, error) {
	n := all.size()
	for k, t := range all {
		if t.Name == "" {
			t.Name = role.Of(k).Name()
		}
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
		switch {
		case k == role.None:
			return nil, fmt.Errorf("train: tensor %.80q has no role", t.Name)
		case len(t.Shape) == 0 || t.Shape[0] != n:
			return nil, fmt.Errorf("train: %s has shape %v, another tensor has %d examples", role.Of(k), t.Shape, n)
		case t.Elements() == 0:
			return nil, fmt.Errorf("train: %s has shape %v: there is nothing to learn from", role.Of(k), t.Shape)
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("train: there are no examples")
	}
	cut := n - n/valShare
	d := &Data{train: examples{all, 0, cut}, val: examples{all, cut, n}, room: all.room}
	if cut == n {
		d.val = d.train
	}
	if t, ok := all[role.Tokens]; ok && len(t.Shape) == 2 {
		d.context = t.Shape[1]
	}
	return d, nil
}

// examples are a range of the examples.
type examples struct {
	all      Batch
	from, to int
}

func (e examples) len() int { return e.to - e.from }

func (e examples) fill(i int, b Batch, at int) {
	for k, t := range e.all {
		row := len(t.Data) / t.Shape[0]
		copy(b[k].Data[at*row:(at+1)*row], t.Data[(e.from+i)*row:])
	}
}

// size returns the number of examples; 0 for a batch without tensors.
func (b Batch) size() int {
	for _, t := range b {
		if len(t.Shape) > 0 {
			return t.Shape[0]
		}
	}
	return 0
}

// room returns a zeroed batch of size such examples.
func (b Batch) room(size int) Batch {
	out := Batch{}
	for k, t := range b {
		row := len(t.Data) / t.Shape[0]
		shape := append([]int{size}, t.Shape[1:]...)
		out[k] = format.Tensor{Name: cmp.Or(role.Of(k).Name(), t.Name), DType: t.DType, Shape: shape, Data: alignedBytes(size * row)}
	}
	return out
}
