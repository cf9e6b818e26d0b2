package arch

import (
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Bert is BERT (arXiv:1810.04805). Fields have transformers' names.
type Bert struct {
	Vocab      int     `json:"vocab_size"`              // V
	Context    int     `json:"max_position_embeddings"` // the longest sequence
	Width      int     `json:"hidden_size"`             // C
	Inner      int     `json:"intermediate_size"`       // F
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"` // H, which divides C
	Types      int     `json:"type_vocab_size"`     // the segments of a text
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
	Task
}

// Architecture returns transformers' model_type.
func (Bert) Architecture() string { return "bert" }

// Depth returns the number of layers.
func (n Bert) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n Bert) Check() error {
	if err := n.encoder().check("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"); err != nil {
		return err
	}
	return checkActivation("hidden_act", n.Activation)
}

func (n Bert) encoder() encoder {
	return encoder{
		vocab: n.Vocab, rows: n.Context, width: n.Width, inner: n.Inner, layers: n.Layers, heads: n.Heads, types: n.Types, padding: -1,
		activation: n.Activation, epsilon: n.Epsilon, words: bertWords, task: n.Task,
	}
}

// Forward writes the network: tokens, their mask and segments (B,T) to hidden
// states (B,T,C), or the scores of the head.
func (n Bert) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	e := n.encoder()
	x, table := e.trunk(b)
	switch n.Head {
	case MaskedLM:
		h := b.Scope("cls.predictions.transform")
		x = activations[n.Activation](b, h.Dense("dense", x, n.Width, n.Width, true, graph.Normal(0.02)))
		x = h.LayerNorm("LayerNorm", x, n.Width, n.Epsilon)
		e.masked(b, x, table, "cls.predictions.decoder", "cls.predictions.bias")
	case SequenceClassification:
		e.classes(b, "classifier", b.Tanh(e.first(b, "pooler.dense", x)))
	case TokenClassification:
		e.classes(b, "classifier", x)
	default:
		e.states(b, x)
	}
}

// bertOf returns BERT for masked tokens, with the sizes of a preset.
func bertOf(s Sizes, vocab int) nn.Network {
	return Bert{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.inner(), Layers: s.Layers, Heads: s.Heads, Types: 2,
		Activation: "gelu", Epsilon: 1e-12, Task: Task{Head: MaskedLM},
	}
}
