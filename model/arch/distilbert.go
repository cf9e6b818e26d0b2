package arch

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// DistilBert is DistilBERT (arXiv:1910.01108): BERT without segments. Fields have
// transformers' names.
type DistilBert struct {
	Vocab      int    `json:"vocab_size"`              // V
	Context    int    `json:"max_position_embeddings"` // the longest sequence
	Width      int    `json:"dim"`                     // C
	Inner      int    `json:"hidden_dim"`              // F
	Layers     int    `json:"n_layers"`
	Heads      int    `json:"n_heads"` // H, which divides C
	Activation string `json:"activation"`
	Task
}

// Architecture returns transformers' model_type.
func (DistilBert) Architecture() string { return "distilbert" }

// Depth returns the number of layers.
func (n DistilBert) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n DistilBert) Check() error {
	if err := n.encoder().check("dim", "hidden_dim", "n_layers", "n_heads", "max_position_embeddings"); err != nil {
		return err
	}
	if n.Pooler {
		return fmt.Errorf("pooler is true, but %s has none", n.Architecture())
	}
	return checkActivation("activation", n.Activation)
}

func (n DistilBert) encoder() encoder {
	return encoder{
		vocab: n.Vocab, rows: n.Context, width: n.Width, inner: n.Inner, layers: n.Layers, heads: n.Heads, padding: -1,
		activation: n.Activation, epsilon: 1e-12, task: n.Task,
		words: encoderWords{
			"transformer.layer.%d", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm",
			"ffn.lin1", "ffn.lin2", "output_layer_norm",
		},
	}
}

// Forward writes the network: tokens and their mask (B,T) to hidden states
// (B,T,C), or the scores of the head.
func (n DistilBert) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	e := n.encoder()
	x, table := e.trunk(b)
	switch n.Head {
	case MaskedLM:
		x = activations[n.Activation](b, b.Dense("vocab_transform", x, n.Width, n.Width, true, graph.Normal(0.02)))
		x = b.LayerNorm("vocab_layer_norm", x, n.Width, e.epsilon)
		e.masked(b, x, table, "vocab_projector", "vocab_projector.bias")
	case SequenceClassification:
		e.classes(b, "classifier", b.Relu(e.first(b, "pre_classifier", x)))
	case TokenClassification:
		e.classes(b, "classifier", x)
	default:
		e.states(b, x)
	}
}

// distilBertOf returns DistilBERT for masked tokens, with the sizes of a preset.
func distilBertOf(s Sizes, vocab int) nn.Network {
	return DistilBert{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.inner(), Layers: s.Layers, Heads: s.Heads, Activation: "gelu", Task: Task{Head: MaskedLM},
	}
}
