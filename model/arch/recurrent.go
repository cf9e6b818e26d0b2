package arch

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Recurrent are the settings of GRU and LSTM: token embeddings, layers that read a
// text from its start, one token after the other, and the embeddings again as the
// head. Each layer is PyTorch's nn.GRU or nn.LSTM.
type Recurrent struct {
	Vocab   int `json:"vocab_size"`  // V
	Context int `json:"n_positions"` // the longest sequence
	Width   int `json:"n_embd"`      // C, of embeddings and states
	Layers  int `json:"n_layer"`     // L
}

// GRU is a network of gated recurrent units (arXiv:1406.1078). Layer l has the weights
// rnn.l.W and rnn.l.R (3·C,C) and rnn.l.B (6·C), with ONNX's order of gates: update,
// reset, hidden.
type GRU struct{ Recurrent }

// LSTM is a network of long short-term memories (Hochreiter and Schmidhuber 1997). Layer
// l has the weights rnn.l.W and rnn.l.R (4·C,C) and rnn.l.B (8·C), with ONNX's order of
// gates: input, output, forget, cell.
type LSTM struct{ Recurrent }

// Architecture returns "gru".
func (GRU) Architecture() string { return "gru" }

// Architecture returns "lstm".
func (LSTM) Architecture() string { return "lstm" }

// Check returns the first invalid size.
func (c Recurrent) Check() error {
	err := checkSizes(
		size{"vocab_size", c.Vocab, maxSize}, size{"n_positions", c.Context, maxContext},
		size{"n_embd", c.Width, maxSize}, size{"n_layer", c.Layers, maxLayers})
	if err == nil && c.Vocab < 2 {
		return errOneToken
	}
	return err
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (c GRU) Forward(b *nn.Builder) { c.forward(b, (*nn.Builder).GRU) }

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (c LSTM) Forward(b *nn.Builder) { c.forward(b, (*nn.Builder).LSTM) }

func (c Recurrent) forward(b *nn.Builder, layer func(b *nn.Builder, name string, x *graph.Value, in, hidden int, init graph.Init) *graph.Value) {
	if err := c.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	ids := b.Tokens(c.Context)                                                                    // (B,T)
	table := b.Param("wte.weight", graph.Normal(1/math.Sqrt(float64(c.Width))), c.Vocab, c.Width) // (V,C)
	x := b.Name("embeddings", b.Gather(table, ids))                                               // (B,T,C)
	for i := range c.Layers {
		// The variance of PyTorch's uniform numbers from -1/√C to 1/√C.
		x = layer(b, fmt.Sprintf("rnn.%d", i), x, c.Width, c.Width, graph.Normal(1/math.Sqrt(3*float64(c.Width)))) // (B,T,C)
	}
	b.Logits(b.Name("logits", b.MatMul(x, b.Transpose(table, 1, 0)))) // (B,T,V)
}

// GRUTranslator and LSTMTranslator are a recurrent encoder, and a decoder whose layers begin
// with tanh(Wh+b) of the encoder's last hidden states h (arXiv:1406.1078): an LSTM has such
// a state and such a cell. Both sides share the embeddings, which are the head too. Layer l of
// a side has the weights encoder.l.W and so on, with ONNX's order of gates, and the decoder
// bridge.l.0.weight (C,C) and bias, or two of them. A text may have any length.
type (
	GRUTranslator  struct{ RecurrentPair }
	LSTMTranslator struct{ RecurrentPair }
)

// RecurrentPair are the settings of GRUTranslator and LSTMTranslator.
type RecurrentPair struct {
	Vocab  int `json:"vocab_size"` // V
	Width  int `json:"n_embd"`     // C, of embeddings and states
	Layers int `json:"n_layer"`    // L, of each side
}

// Architecture returns "gru_translator".
func (GRUTranslator) Architecture() string { return "gru_translator" }

// Architecture returns "lstm_translator".
func (LSTMTranslator) Architecture() string { return "lstm_translator" }

// Check returns the first invalid size.
func (c RecurrentPair) Check() error {
	return Recurrent{Vocab: c.Vocab, Context: 1, Width: c.Width, Layers: c.Layers}.Check()
}

// Depth returns the number of layers.
func (c RecurrentPair) Depth() int { return 2 * c.Layers }

// Forward writes the network: a source (B,S) and a target (B,T) to logits (B,T,V).
func (c GRUTranslator) Forward(b *nn.Builder) { c.forward(b, 1, (*nn.Builder).GRUFrom) }

// Forward writes the network: a source (B,S) and a target (B,T) to logits (B,T,V).
func (c LSTMTranslator) Forward(b *nn.Builder) { c.forward(b, 2, (*nn.Builder).LSTMFrom) }

func (c RecurrentPair) forward(b *nn.Builder, states int, layer func(b *nn.Builder, name string, x *graph.Value, in, hidden int, init graph.Init, begin ...*graph.Value) *graph.Value) {
	if err := c.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	source, last := b.Source(), b.SourceEnds()
	ids := b.Tokens(0)
	table := b.Param("wte.weight", graph.Normal(1/math.Sqrt(float64(c.Width))), c.Vocab, c.Width) // (V,C)
	init := graph.Normal(1 / math.Sqrt(3*float64(c.Width)))
	x := b.Name("source_embeddings", b.Gather(table, source)) // (B,S,C)
	var ends []*graph.Value
	for i := range c.Layers {
		x = layer(b, fmt.Sprintf("encoder.%d", i), x, c.Width, c.Width, init)
		ends = append(ends, b.ReduceSum(b.Mul(x, last), true, 1)) // (B,1,C)
	}
	handed := b.Name("handed_over", b.Concat(1, ends...)) // (B,L,C)
	b.SourceStates(handed)
	x = b.Name("embeddings", b.Gather(table, ids)) // (B,T,C)
	for i := range c.Layers {
		var begin []*graph.Value
		h := b.Reshape(b.Slice(handed, 1, graph.N(i), graph.N(i+1)), nn.B, graph.N(c.Width))
		for j := range states {
			begin = append(begin, b.Tanh(b.Dense(fmt.Sprintf("bridge.%d.%d", i, j), h, c.Width, c.Width, true, init)))
		}
		x = layer(b, fmt.Sprintf("decoder.%d", i), x, c.Width, c.Width, init, begin...)
	}
	b.Logits(b.Name("scores", b.MatMul(x, b.Transpose(table, 1, 0)))) // (B,T,V)
}

// gruPairOf and lstmPairOf return translators with the layers and width of a preset.
func gruPairOf(s Sizes, vocab int) nn.Network  { return GRUTranslator{recurrentPairOf(s, vocab)} }
func lstmPairOf(s Sizes, vocab int) nn.Network { return LSTMTranslator{recurrentPairOf(s, vocab)} }

func recurrentPairOf(s Sizes, vocab int) RecurrentPair {
	return RecurrentPair{Vocab: vocab, Width: s.Width, Layers: s.Layers}
}

// gruOf and lstmOf return networks with the layers, width and context of a preset.
func gruOf(s Sizes, vocab int) nn.Network  { return GRU{recurrentOf(s, vocab)} }
func lstmOf(s Sizes, vocab int) nn.Network { return LSTM{recurrentOf(s, vocab)} }

func recurrentOf(s Sizes, vocab int) Recurrent {
	return Recurrent{Vocab: vocab, Context: s.Context, Width: s.Width, Layers: s.Layers}
}
