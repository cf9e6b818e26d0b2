package arch

import (
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Roberta is RoBERTa (arXiv:1907.11692): BERT whose positions count from behind
// the id of the padding. Fields have transformers' names.
type Roberta struct {
	Vocab      int     `json:"vocab_size"`              // V
	Rows       int     `json:"max_position_embeddings"` // of the table of positions; the first Padding+1 are no token's
	Width      int     `json:"hidden_size"`             // C
	Inner      int     `json:"intermediate_size"`       // F
	Layers     int     `json:"num_hidden_layers"`
	Heads      int     `json:"num_attention_heads"` // H, which divides C
	Types      int     `json:"type_vocab_size"`     // the segments of a text
	Padding    int     `json:"pad_token_id"`
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
	Task
}

// Architecture returns transformers' model_type.
func (Roberta) Architecture() string { return "roberta" }

// Depth returns the number of layers.
func (n Roberta) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n Roberta) Check() error {
	if n.Padding < 0 {
		return checkSizes(size{"pad_token_id", n.Padding, n.Vocab})
	}
	if err := n.encoder().check("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"); err != nil {
		return err
	}
	return checkActivation("hidden_act", n.Activation)
}

func (n Roberta) encoder() encoder {
	return encoder{
		vocab: n.Vocab, rows: n.Rows, width: n.Width, inner: n.Inner, layers: n.Layers, heads: n.Heads, types: n.Types, padding: n.Padding,
		activation: n.Activation, epsilon: n.Epsilon, words: bertWords, task: n.Task,
	}
}

// Forward writes the network: tokens and their mask (B,T), and segments if there
// are several, to hidden states (B,T,C), or the scores of the head.
func (n Roberta) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	e := n.encoder()
	x, table := e.trunk(b)
	switch n.Head {
	case MaskedLM:
		h := b.Scope("lm_head")
		x = b.Gelu(h.Dense("dense", x, n.Width, n.Width, true, graph.Normal(0.02)))
		x = h.LayerNorm("layer_norm", x, n.Width, n.Epsilon)
		e.masked(b, x, table, "lm_head.decoder", "lm_head.bias")
	case SequenceClassification:
		e.classes(b, "classifier.out_proj", b.Tanh(e.first(b, "classifier.dense", x)))
	case TokenClassification:
		e.classes(b, "classifier", x)
	default:
		e.states(b, x)
	}
}

// robertaOf returns RoBERTa for masked tokens, with the sizes of a preset.
func robertaOf(s Sizes, vocab int) nn.Network {
	return Roberta{
		Vocab: vocab, Rows: s.Context + 2, Width: s.Width, Inner: s.inner(), Layers: s.Layers, Heads: s.Heads, Types: 1, Padding: 1,
		Activation: "gelu", Epsilon: 1e-5, Task: Task{Head: MaskedLM},
	}
}

// XLMRoberta is XLM-RoBERTa (arXiv:1911.02116): RoBERTa for many languages.
type XLMRoberta struct{ Roberta }

// Architecture returns transformers' model_type.
func (XLMRoberta) Architecture() string { return "xlm-roberta" }

// xlmRobertaOf returns XLM-RoBERTa for masked tokens, with the sizes of a preset.
func xlmRobertaOf(s Sizes, vocab int) nn.Network {
	return XLMRoberta{robertaOf(s, vocab).(Roberta)}
}
