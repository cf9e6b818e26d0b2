// Package nn defines networks: the Network interface, and a graph builder with
// the layers of language models. A network written with it can be trained,
// saved, exported in every profile and verified, without changes in other
// packages.
//
// Shapes in comments: B texts of T tokens, C the width of the embedding, V the
// vocabulary, H heads of width D, G heads of keys and values.
package nn

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path"
	"runtime"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Network is an architecture with its sizes. Its JSON is its configuration.
type Network interface {
	// Architecture returns the name used by checkpoints, config.json and the
	// command line.
	Architecture() string
	// Forward records the forward pass. It declares inputs and outputs with
	// their roles (Tokens, Logits and so on).
	Forward(b *Builder)
}

// Error reports that a network cannot be built.
type Error struct {
	Architecture string
	Err          error
}

func (e *Error) Error() string { return fmt.Sprintf("nn: network %.80q: %v", e.Architecture, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Build returns the verified forward pass of a network. A mistake in it, a
// network without outputs and a panic in its methods give an *Error.
func Build(n Network) (g *graph.Graph, err error) {
	name := ""
	defer func() {
		if r := recover(); r != nil {
			g, err = nil, &Error{name, fmt.Errorf("%s: it panics: %s: fix the network there", panicLine(), quote.Line(fmt.Sprint(r), 200))}
		}
	}()
	if name = n.Architecture(); name == "" {
		return nil, &Error{"", errors.New("it has no name: Architecture must return one")}
	}
	b := &Builder{Builder: graph.NewBuilder(), shared: &shared{}}
	n.Forward(b)
	if g, err = b.Graph(); err != nil {
		return nil, &Error{name, err}
	}
	return g, nil
}

// panicLine returns the file and line that panicked. Call it while recovering.
func panicLine() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for panicked := false; ; {
		f, more := frames.Next()
		if panicked && !strings.HasPrefix(f.Function, "runtime.") {
			return path.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
		panicked = panicked || f.Function == "runtime.gopanic"
		if !more {
			return "Forward"
		}
	}
}

// Builder records the values of a network. Its methods never fail: it keeps
// the first mistake with the caller's line, and Build returns it.
type Builder struct {
	*graph.Builder
	*shared
}

// shared is the state that all scopes of a network share.
type shared struct {
	tokens    *graph.Value
	positions *graph.Value
	mask      *graph.Value // int64 (B,T), as declared
	angles    map[string]*graph.Value
}

// Named dimensions of a network's inputs.
var (
	B = graph.Sym("B") // texts
	T = graph.Sym("T") // tokens
)

// Scope returns a Builder that prefixes every name with name and a dot.
func (b *Builder) Scope(name string) *Builder { return &Builder{b.Builder.Scope(name), b.shared} }

// Tokens declares the ids of the text, int64 (B,T). A sequence may have at
// most context tokens, including its past; 0 means no limit.
func (b *Builder) Tokens(context int) *graph.Value {
	b.Context(context)
	b.tokens = b.InputFor(role.Of(role.Tokens), format.Int64, B, T)
	return b.tokens
}

// Positions returns the position of each token in its text, int64 (T).
func (b *Builder) Positions() *graph.Value {
	switch {
	case b.tokens == nil:
		b.Fail("nn: positions of a network that has declared no tokens")
		return b.Scalar(0)
	case b.positions == nil:
		b.positions = b.Builder.Positions(b.tokens)
	}
	return b.positions
}

// Integer returns an integer as a scalar, int64.
func (b *Builder) Integer(n int) *graph.Value {
	return b.Const(format.FromInt64s("", nil, []int64{int64(n)}))
}

// Mask declares which tokens count, int64 (B,T): 1, or 0 for padding. It
// returns a mask for Attention, (B,1,1,T).
func (b *Builder) Mask() *graph.Value {
	return b.Reshape(b.Cast(b.TokenMask(), format.Bool), B, graph.N(1), graph.N(1), T)
}

// TokenMask declares which tokens count as they are given, int64 (B,T).
func (b *Builder) TokenMask() *graph.Value {
	b.mask = b.InputFor(role.Of(role.AttentionMask), format.Int64, B, T)
	return b.mask
}

// Last returns the row of x (B,T,C) of each text's last token, (B,C). padding
// returns the id behind which a text has ended, as transformers does: a text is as
// long as the place of the last token that is not padding. Without one, the last
// token is the text's.
func (b *Builder) Last(x *graph.Value, padding func() (id int, ok bool)) *graph.Value {
	if b.tokens == nil {
		b.Fail("nn: the last token of a network that has declared no tokens")
		return x
	}
	id, ok := padding()
	if !ok {
		return lastRow(b.Builder, x, nil)
	}
	counts := b.Where(b.Equal(b.tokens, b.Integer(id)), b.Integer(0), b.Integer(1)) // (B,T)
	return lastRow(b.Builder, x, counts)
}

// Segments declares which of several texts each token belongs to, int64 (B,T).
func (b *Builder) Segments() *graph.Value {
	return b.InputFor(role.Of(role.Segments), format.Int64, B, T)
}

// Features declares numbers as input instead of tokens, float32 (B,...).
func (b *Builder) Features(sizes ...int) *graph.Value {
	return b.InputFor(role.Of(role.Features), format.Float32, append(graph.Shape{B}, graph.Numbers(sizes...)...)...)
}

// Prediction declares the output of a regression, floating-point.
func (b *Builder) Prediction(v *graph.Value) { b.OutputFor(role.Of(role.Prediction), v) }

// Logits declares the scores of the next token, (B,T,V), or of the classes of
// a text, (B,V), as output.
func (b *Builder) Logits(v *graph.Value) { b.OutputFor(role.Of(role.Logits), v) }

// Hidden declares the last hidden states, (B,T,C), as output.
func (b *Builder) Hidden(v *graph.Value) { b.OutputFor(role.Of(role.Hidden), v) }

// Pooled declares one vector for each text, (B,C), as output.
func (b *Builder) Pooled(v *graph.Value) { b.OutputFor(role.Of(role.Pooled), v) }

// Sentence declares the embedding of each text as output: hidden (B,T,C), pooled
// over the tokens that the mask leaves.
func (b *Builder) Sentence(hidden *graph.Value, p Pooling) {
	b.OutputFor(role.Of(role.Sentence), p.Apply(b.Builder, hidden, b.mask))
}

// Embedding returns the rows of a table (rows,C), the parameter name.weight,
// selected by ids. The result has the shape of ids, followed by C.
func (b *Builder) Embedding(name string, ids *graph.Value, rows, width int, init graph.Init) *graph.Value {
	return b.Gather(b.Param(name+".weight", init, rows, width), ids)
}

// Linear returns x·weight + bias: (...,in) to (...,out). The parameters are
// name.weight (in,out) and name.bias (out). The bias starts at 0.
func (b *Builder) Linear(name string, x *graph.Value, in, out int, init graph.Init) *graph.Value {
	weight := b.Param(name+".weight", init, in, out)
	bias := b.Param(name+".bias", graph.Constant(0), out)
	return b.Name(name, b.Add(b.MatMul(x, weight), bias))
}

// Project is Linear without a bias.
func (b *Builder) Project(name string, x *graph.Value, in, out int, init graph.Init) *graph.Value {
	return b.Name(name, b.MatMul(x, b.Param(name+".weight", init, in, out)))
}

// Dense is Linear with the layout of PyTorch's Linear: name.weight is (out,in).
// The bias is left out if bias is false.
func (b *Builder) Dense(name string, x *graph.Value, in, out int, bias bool, init graph.Init) *graph.Value {
	y := b.MatMul(x, b.Transpose(b.Param(name+".weight", init, out, in), 1, 0))
	if bias {
		y = b.Add(y, b.Param(name+".bias", graph.Constant(0), out))
	}
	return b.Name(name, y)
}

// LayerNorm returns x (...,width) with mean 0 and variance 1 over its last axis,
// times name.weight, plus name.bias.
func (b *Builder) LayerNorm(name string, x *graph.Value, width int, epsilon float64) *graph.Value {
	scale := b.Param(name+".weight", graph.Constant(1), width)
	bias := b.Param(name+".bias", graph.Constant(0), width)
	return b.Name(name, b.LayerNormalization(x, scale, bias, epsilon))
}

// RMSNorm returns x (...,width) divided by its root mean square along the last
// axis, times name.weight.
func (b *Builder) RMSNorm(name string, x *graph.Value, width int, epsilon float64) *graph.Value {
	return b.Name(name, b.RMSNormalization(x, b.Param(name+".weight", graph.Constant(1), width), epsilon))
}

// Attention sets heads, window and mask of an attention.
type Attention struct {
	Heads   int // H, of queries
	KVHeads int // G, of keys and values; 0: as many as Heads. It must divide Heads
	Width   int // D, of a head
	Causal  bool
	Window  int // causal: the most tokens that one sees, including itself; 0: all
	Rotary  *Rotary
	Mask    *graph.Value // keys that may be seen, BOOL, or numbers added to the scores; broadcasts to (B,H,T,S); nil: all
	Scale   float64      // factor of the scores; 0: 1/√Width
	// QueryNorm and KeyNorm change a query or key (B,T,H,D) before its rotation.
	// nil: they stay as they are.
	QueryNorm, KeyNorm func(*graph.Value) *graph.Value
}

// Rotary rotates queries and keys by their positions (arXiv:2104.09864): pair
// i of a head by the position times Theta^(-2i/Width).
type Rotary struct {
	Theta       float64   // 10000 in the paper
	Width       int       // rotated elements of a head; 0: all
	Interleaved bool      // pairs are adjacent elements instead of the two halves of a head
	Angles      []float64 // of each pair at position 1, Width/2 of them; nil: Theta^(-2i/Width)
	Scale       float64   // factor of sine and cosine (arXiv:2309.00071); 0: 1
}

// Frequencies returns the angles of the paper: Theta^(-2i/width) for pair i of
// width/2.
func Frequencies(theta float64, width int) []float64 {
	angles := make([]float64, width/2)
	for i := range angles {
		angles[i] = math.Pow(theta, -2*float64(i)/float64(width))
	}
	return angles
}

// Attention returns the concatenated outputs of the heads, (B,T,H·D), for
// queries (B,T,H·D), keys and values (B,S,G·D). It names its values query, key,
// value and, for the result, name.
func (b *Builder) Attention(name string, a Attention, q, k, v *graph.Value) *graph.Value {
	groups := a.KVHeads
	if groups == 0 {
		groups = a.Heads
	}
	if b.Err() == nil && (len(q.Shape) != 3 || a.Width < 1) {
		b.Fail("nn: attention of queries %s with heads of width %d: expected (B,T,C)", q.Shape, a.Width)
	}
	if b.Err() != nil {
		return q
	}
	batch, tokens := q.Shape[0], q.Shape[1]
	split := func(part string, x *graph.Value, heads int, norm func(*graph.Value) *graph.Value) *graph.Value {
		x = b.Reshape(x, x.Shape[0], x.Shape[1], graph.N(heads), graph.N(a.Width)) // (B,T,H,D)
		if norm != nil {
			x = norm(x)
		}
		return b.Name(name+"."+part, b.Transpose(x, 0, 2, 1, 3)) // (B,H,T,D)
	}
	query, key := split("query", q, a.Heads, a.QueryNorm), split("key", k, groups, a.KeyNorm)
	if a.Rotary != nil {
		query, key = b.rotated(*a.Rotary, a.Width, query), b.rotated(*a.Rotary, a.Width, key)
	}
	op := graph.Attention{Scale: cmp.Or(a.Scale, 1/math.Sqrt(float64(a.Width))), Causal: a.Causal, Window: a.Window}
	y := b.Builder.Attention(op, query, key, split("value", v, groups, nil), a.Mask) // (B,H,T,D)
	y = b.Transpose(b.Name(name, y), 0, 2, 1, 3)                                     // (B,T,H,D)
	return b.Name(name+".context", b.Reshape(y, batch, tokens, graph.N(a.Heads*a.Width)))
}

// rotated rotates x (B,H,T,D) by the positions of its tokens.
func (b *Builder) rotated(r Rotary, width int, x *graph.Value) *graph.Value {
	if r.Width > 0 {
		width = r.Width
	}
	if r.Angles == nil && r.Theta > 0 {
		r.Angles = Frequencies(r.Theta, width)
	}
	if width%2 != 0 || len(r.Angles) != width/2 {
		b.Fail("nn: rotary positions of %d elements with theta %g and %d angles: expected an even number, and a positive theta or half as many angles", width, r.Theta, len(r.Angles))
		return x
	}
	key := fmt.Sprint(r.Angles)
	if b.angles == nil {
		b.angles = map[string]*graph.Value{}
	}
	if b.angles[key] == nil {
		angles := make([]float32, width/2)
		for i := range angles {
			angles[i] = float32(r.Angles[i])
		}
		b.angles[key] = b.Const(format.FromFloat32s("", []int{width / 2}, angles))
	}
	return b.RotaryEmbedding(graph.RotaryEmbedding{Interleaved: r.Interleaved, Scale: cmp.Or(r.Scale, 1)}, x, b.Positions(), b.angles[key])
}
