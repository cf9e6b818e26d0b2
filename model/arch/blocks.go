package arch

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// plainSizes are the sizes of a decoder with a plain feed-forward network, and
// the names that its configuration has for them.
type plainSizes struct {
	vocab, context, width, inner, layers, heads int
	epsilon                                     float64
	names                                       plainNames
}

type plainNames struct{ context, width, inner, layers, heads, epsilon string }

// commonNames are the names in most configurations.
var commonNames = plainNames{"max_position_embeddings", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "layer_norm_eps"}

func (s plainSizes) check() error {
	n := s.names
	err := checkSizes(
		size{"vocab_size", s.vocab, maxSize}, size{n.context, s.context, maxContext}, size{n.width, s.width, maxSize}, size{n.inner, s.inner, maxSize},
		size{n.layers, s.layers, maxLayers}, size{n.heads, s.heads, maxSize})
	switch {
	case err != nil:
		return err
	case s.vocab < 2:
		return errOneToken
	case s.width%s.heads != 0:
		return fmt.Errorf("%s %d does not divide %s %d", n.heads, s.heads, n.width, s.width)
	case !(s.epsilon > 0 && s.epsilon < 1):
		return fmt.Errorf("%s is %g, must be between 0 and 1", n.epsilon, s.epsilon)
	}
	return nil
}

// checkRotary refuses rotations of heads of the given width that rotate no pairs.
func (r Rope) checkRotary(width int) error {
	if err := r.check(); err != nil {
		return err
	}
	if n := r.rotary(width).Width; n%2 != 0 || n == 0 {
		return fmt.Errorf("partial_rotary_factor %g of heads of width %d rotates %d elements: an even number is expected, because pairs are rotated", r.Partial, width, n)
	}
	return nil
}

// headwise splits x (B,T,H·3D), which has the query, key and value of each head
// side by side, into queries, keys and values (B,T,H·D).
func headwise(b *nn.Builder, x *graph.Value, heads, width int) (q, k, v *graph.Value) {
	if b.Err() != nil {
		return x, x, x
	}
	batch, tokens := x.Shape[0], x.Shape[1]
	parts := b.Split(b.Reshape(x, batch, tokens, graph.N(heads), graph.N(3*width)), -1, width, width, width)
	for i, p := range parts {
		parts[i] = b.Reshape(p, batch, tokens, graph.N(heads*width))
	}
	if b.Err() != nil {
		return x, x, x
	}
	return parts[0], parts[1], parts[2]
}

// headed returns the scores of the next token for hidden states x (B,T,C). head is
// the head's weight (V,C).
func headed(b *nn.Builder, x, head *graph.Value) *graph.Value {
	return b.Name("scores", b.MatMul(x, b.Transpose(head, 1, 0)))
}
