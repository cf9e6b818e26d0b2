package nn

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/graph"
)

// The kinds of pooling.
const (
	MeanPooling  = "mean"  // the mean of the hidden states of the tokens that count
	FirstPooling = "first" // the hidden state of the first token
	LastPooling  = "last"  // the hidden state of the last token that counts
)

// Poolings returns the kinds of pooling.
func Poolings() []string { return []string{MeanPooling, FirstPooling, LastPooling} }

// Pooling makes one vector of the hidden states of a text, its embedding. The
// zero value makes none.
type Pooling struct {
	Kind       string `json:"sentence_pooling,omitempty"`    // one of Poolings
	Normalized bool   `json:"sentence_normalized,omitempty"` // the vector is divided by its length
	Longest    int    `json:"sentence_tokens,omitempty"`     // texts are cut to so many tokens; 0: to as many as the network takes
}

// Check refuses an unknown kind.
func (p Pooling) Check() error {
	const most = 1 << 20
	if p.Longest < 0 || p.Longest > most {
		return fmt.Errorf("sentence_tokens is %d, must be from 0 to %d", p.Longest, most)
	}
	switch p.Kind {
	case "", MeanPooling, FirstPooling, LastPooling:
		return nil
	}
	return fmt.Errorf("pooling %.40q: take %s", p.Kind, quote.Or(Poolings()))
}

// Apply returns the embeddings (B,C) of hidden states (B,T,C). mask is int64
// (B,T), 1 for tokens that count; nil: all count.
func (p Pooling) Apply(b *graph.Builder, hidden, mask *graph.Value) *graph.Value {
	if b.Err() == nil && len(hidden.Shape) != 3 {
		b.Fail("nn: pooling of %s: expected (B,T,C)", hidden.Shape)
	}
	if b.Err() != nil {
		return hidden
	}
	batch, tokens, width := hidden.Shape[0], hidden.Shape[1], hidden.Shape[2]
	var x *graph.Value
	switch {
	case p.Kind == FirstPooling:
		x = b.Reshape(b.Slice(hidden, 1, graph.N(0), graph.N(1)), batch, width)
	case p.Kind == LastPooling:
		x = lastRow(b, hidden, mask)
	case p.Kind == MeanPooling && mask == nil:
		x = b.ReduceMean(hidden, false, 1)
	case p.Kind == MeanPooling:
		counts := b.Reshape(b.Cast(mask, format.Float32), batch, tokens, graph.N(1)) // (B,T,1)
		sum := b.ReduceSum(b.Mul(hidden, counts), false, 1)                          // (B,C)
		x = b.Div(sum, b.Max(b.ReduceSum(counts, false, 1), b.Scalar(1)))            // a text without tokens is 0
	default:
		b.Fail("nn: %v", p.Check())
		return hidden
	}
	if p.Normalized {
		length := b.Sqrt(b.ReduceSum(b.Mul(x, x), true, 1)) // (B,1)
		x = b.Div(x, b.Max(length, b.Scalar(1e-12)))
	}
	return b.Name("sentence", x)
}

// lastRow returns the row of x (B,T,C) of the last token that counts, (B,C). counts
// is int64 (B,T), 1 for tokens that count; nil: all count. Without any it is the
// first row.
func lastRow(b *graph.Builder, x, counts *graph.Value) *graph.Value {
	if b.Err() == nil && len(x.Shape) != 3 {
		b.Fail("nn: the last token of %s: expected (B,T,C)", x.Shape)
	}
	if b.Err() != nil {
		return x
	}
	batch, tokens, width := x.Shape[0], x.Shape[1], x.Shape[2]
	if counts == nil {
		return b.Reshape(b.Slice(x, 1, tokens.Sub(graph.N(1)), tokens), batch, width)
	}
	at := b.ReduceMax(b.Mul(counts, b.Positions(counts)), true, 1) // (B,1)
	at = b.Expand(b.Reshape(at, batch, graph.N(1), graph.N(1)), batch, graph.N(1), width)
	return b.Reshape(b.GatherElements(x, at, 1), batch, width)
}
