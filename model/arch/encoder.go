package arch

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// encoder is what the networks in the manner of BERT have in common: learned
// positions, attention to all tokens, and norms after each addition to the
// residual stream. Weights have transformers' names, without the prefix of the
// trunk ("bert."), and its layout [out, in].
type encoder struct {
	vocab, rows, width, inner, layers, heads int // rows of the table of positions
	types                                    int // segments; 0: the network has none
	padding                                  int // the id whose tokens take no position; -1: each token has the place in the text
	activation                               string
	epsilon                                  float64
	words                                    encoderWords
	task                                     Task
}

// encoderWords are the names that an encoder has for the same parts.
type encoderWords struct {
	layer, query, key, value, out, norm, up, down, last string
}

// bertWords are the names of BERT and RoBERTa.
var bertWords = encoderWords{
	"encoder.layer.%d", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm",
	"intermediate.dense", "output.dense", "output.LayerNorm",
}

// The heads of an encoder. Without one it gives hidden states.
const (
	MaskedLM               = "masked_lm"               // scores of each token, (B,T,V)
	SequenceClassification = "sequence_classification" // scores of the classes of each text, (B,K)
	TokenClassification    = "token_classification"    // scores of the classes of each token, (B,T,K)
)

// Task is what the hidden states of an encoder are for.
type Task struct {
	Head   string `json:"head,omitempty"`        // one of the constants; "": none
	Pooler bool   `json:"pooler,omitempty"`      // without a head: a projection of the first token's hidden state
	Untied bool   `json:"untied_head,omitempty"` // MaskedLM: the head is a matrix of its own, not the token embedding
	Classes
	nn.Pooling // without a head: the embedding of each text
}

// Headless reports whether the network gives hidden states.
func (t Task) Headless() bool { return t.Head == "" }

// Classes are what the scores of a classifier mean.
type Classes struct {
	Names   Labels `json:"labels,omitempty"`       // one for each logit
	Problem string `json:"problem_type,omitempty"` // with transformers' names; "": one class is right
}

// Labels returns the names of the classes, and transformers' name of what their
// scores mean.
func (c Classes) Labels() (names []string, problem string) { return c.Names.List(), c.Problem }

// check refuses classes of a classifier that are none. Other networks have none.
func (c Classes) check(classifies bool) error {
	if n := len(c.Names.List()); classifies && (n < 1 || n > maxLabels) {
		return fmt.Errorf("labels has %d entries, must be from 1 to %d", n, maxLabels)
	}
	if !slices.Contains(problems, c.Problem) {
		return fmt.Errorf("problem_type is %.40q, supported are %s", c.Problem, quote.Or(problems[1:]))
	}
	return nil
}

// Labels are texts. In JSON they are a list, which Labels holds as it is
// written.
type Labels string

// LabelsOf returns a list as Labels.
func LabelsOf(list []string) Labels {
	text, _ := json.Marshal(list) // no text fails
	return Labels(text)
}

// List returns the texts.
func (l Labels) List() (list []string) {
	if json.Unmarshal([]byte(l), &list) != nil {
		return nil
	}
	return list
}

// MarshalJSON writes the list.
func (l Labels) MarshalJSON() ([]byte, error) { return json.Marshal(l.List()) }

// UnmarshalJSON reads a list, or null.
func (l *Labels) UnmarshalJSON(text []byte) error {
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*l = ""
	if len(list) > 0 {
		*l = LabelsOf(list)
	}
	return nil
}

// problems are transformers' names of what a classifier's logits mean.
var problems = []string{"", "regression", "single_label_classification", "multi_label_classification"}

// maxLabels is the most classes of a classifier.
const maxLabels = 1 << 16

func (t Task) check() error {
	classifies := t.Head == SequenceClassification || t.Head == TokenClassification
	switch {
	case t.Head != "" && t.Head != MaskedLM && !classifies:
		return fmt.Errorf("head is %.40q, supported are %s, or none", t.Head, quote.Or([]string{MaskedLM, SequenceClassification, TokenClassification}))
	case t.Head != "" && (t.Pooler || t.Kind != ""):
		return fmt.Errorf("head is %s, but a pooler and the embeddings of texts belong to a network without a head", t.Head)
	}
	if err := t.Classes.check(classifies); err != nil {
		return err
	}
	return t.Pooling.Check()
}

// context returns the longest sequence.
func (e encoder) context() int {
	if e.padding >= 0 {
		return e.rows - e.padding - 1
	}
	return e.rows
}

func (e encoder) check(names ...string) error {
	width, inner, layers, heads, rows := names[0], names[1], names[2], names[3], names[4]
	err := checkSizes(
		size{"vocab_size", e.vocab, maxSize}, size{rows, e.rows, maxContext}, size{width, e.width, maxSize},
		size{inner, e.inner, maxSize}, size{layers, e.layers, maxLayers}, size{heads, e.heads, maxSize})
	switch {
	case err != nil:
		return err
	case e.vocab < 2:
		return errOneToken
	case e.width%e.heads != 0:
		return fmt.Errorf("%s %d does not divide %s %d", heads, e.heads, width, e.width)
	case e.types < 0 || e.types > maxSize:
		return fmt.Errorf("type_vocab_size is %d, must be from 0 to %d", e.types, maxSize)
	case e.padding >= e.vocab || e.context() < 1:
		return fmt.Errorf("pad_token_id is %d: must be below vocab_size %d and %s %d, because positions begin behind it", e.padding, e.vocab, rows, e.rows)
	case !(e.epsilon > 0 && e.epsilon < 1):
		return fmt.Errorf("layer_norm_eps is %g, must be between 0 and 1", e.epsilon)
	}
	return e.task.check()
}

// trunk writes the network up to the hidden states: tokens (B,T) to (B,T,C). The
// table is the token embedding, (V,C).
func (e encoder) trunk(b *nn.Builder) (x, table *graph.Value) {
	normal := graph.Normal(0.02)
	ids := b.Tokens(e.context())                                                    // (B,T)
	heads := nn.Attention{Heads: e.heads, Width: e.width / e.heads, Mask: b.Mask()} // (B,1,1,T)
	in := b.Scope("embeddings")
	table = in.Param("word_embeddings.weight", normal, e.vocab, e.width)
	places := in.Param("position_embeddings.weight", normal, e.rows, e.width)
	x = b.Add(b.Gather(table, ids), b.Gather(places, e.positions(b, ids))) // (B,T,C)
	if e.types > 0 {
		kinds := in.Param("token_type_embeddings.weight", normal, e.types, e.width)
		if e.types > 1 {
			kinds = b.Gather(kinds, b.Segments()) // (B,T,C)
		}
		x = b.Add(x, kinds)
	}
	x = b.Name("embeddings", in.LayerNorm("LayerNorm", x, e.width, e.epsilon))
	for i := range e.layers {
		x = e.block(b.Scope(fmt.Sprintf(e.words.layer, i)), heads, x) // (B,T,C)
	}
	return x, table
}

// positions returns the rows of the table of positions: (T), or (B,T) where
// tokens of the padding take none and the others count from behind its id.
func (e encoder) positions(b *nn.Builder, ids *graph.Value) *graph.Value {
	if e.padding < 0 {
		return b.Positions()
	}
	padding := b.Integer(e.padding)
	text := b.Where(b.Equal(ids, padding), b.Integer(0), b.Integer(1)) // 0 for padding
	count := b.Apply(graph.CumSum{Axis: 1}, 1, text)[0]
	return b.Name("positions", b.Add(b.Mul(count, text), padding))
}

// block is a layer: attention, then a feed-forward network, each added to the
// residual stream and normalized.
func (e encoder) block(b *nn.Builder, heads nn.Attention, x *graph.Value) *graph.Value {
	normal, w := graph.Normal(0.02), e.words
	q := b.Dense(w.query, x, e.width, e.width, true, normal) // (B,T,C)
	k := b.Dense(w.key, x, e.width, e.width, true, normal)   // (B,T,C)
	v := b.Dense(w.value, x, e.width, e.width, true, normal) // (B,T,C)
	y := b.Attention("attention", heads, q, k, v)            // (B,T,C)
	y = b.Dense(w.out, y, e.width, e.width, true, normal)    // (B,T,C)
	x = b.LayerNorm(w.norm, b.Add(x, y), e.width, e.epsilon) // (B,T,C)
	y = b.Dense(w.up, x, e.width, e.inner, true, normal)     // (B,T,F)
	y = activations[e.activation](b, y)                      // (B,T,F)
	y = b.Dense(w.down, y, e.inner, e.width, true, normal)   // (B,T,C)
	return b.LayerNorm(w.last, b.Add(x, y), e.width, e.epsilon)
}

// states declares the outputs of a network without a head. pooler is the name of
// the projection.
func (e encoder) states(b *nn.Builder, x *graph.Value) {
	b.Hidden(b.Name("hidden", x))
	if e.task.Pooler {
		b.Pooled(b.Name("pooled", b.Tanh(e.first(b, "pooler.dense", x))))
	}
	if e.task.Kind != "" {
		b.Sentence(x, e.task.Pooling)
	}
}

// first returns a projection of the first token's hidden state, (B,C).
func (e encoder) first(b *nn.Builder, name string, x *graph.Value) *graph.Value {
	x = b.Reshape(b.Slice(x, 1, graph.N(0), graph.N(1)), nn.B, graph.N(e.width)) // (B,C)
	return b.Dense(name, x, e.width, e.width, true, graph.Normal(0.02))
}

// classes declares the scores of the classes as output: of x (...,C).
func (e encoder) classes(b *nn.Builder, name string, x *graph.Value) {
	b.Logits(b.Name("scores", b.Dense(name, x, e.width, len(e.task.Names.List()), true, graph.Normal(0.02))))
}

// masked declares the scores of the tokens as output: of hidden states x (B,T,C)
// that went through the head's own layers. The head is decoder.weight, or the
// token embedding, and has the bias of the given name.
func (e encoder) masked(b *nn.Builder, x, table *graph.Value, decoder, bias string) {
	if e.task.Untied {
		table = b.Param(decoder+".weight", graph.Normal(0.02), e.vocab, e.width)
		bias = decoder + ".bias"
	}
	scores := b.MatMul(x, b.Transpose(table, 1, 0))
	b.Logits(b.Name("scores", b.Add(scores, b.Param(bias, graph.Constant(0), e.vocab))))
}
