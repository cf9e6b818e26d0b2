package nn

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// A network that translates reads two texts: a source, which its encoder sees as a
// whole, and the target so far, of which its decoder scores the next token. Tokens,
// Mask and Logits are those of the target.

// S is the number of tokens of a source.
var S = graph.Sym("S")

// Source declares the ids of the source, int64 (B,S). It may have at most as many
// as Tokens allows for the target.
func (b *Builder) Source() *graph.Value {
	return b.InputFor(role.Of(role.SourceTokens), format.Int64, B, S)
}

// SourceMask declares which tokens of the source count, int64 (B,S): 1, or 0 for
// padding. It returns a mask for Attention, (B,1,1,S).
func (b *Builder) SourceMask() *graph.Value {
	mask := b.InputFor(role.Of(role.SourceMask), format.Int64, B, S)
	return b.Reshape(b.Cast(mask, format.Bool), B, graph.N(1), graph.N(1), S)
}

// SourceEnds declares which tokens of the source count, as SourceMask does, and returns
// 1 for each that counts and has none that counts behind it, otherwise 0, float32 (B,S,1):
// the last tokens of sources that are padded at their ends.
func (b *Builder) SourceEnds() *graph.Value {
	mask := b.InputFor(role.Of(role.SourceMask), format.Int64, B, S)
	shown := b.Cast(mask, format.Float32)
	longer := b.Concat(1, shown, b.Expand(b.Scalar(0), B, graph.N(1)))
	next := b.Slice(longer, 1, graph.N(1), S.Add(graph.N(1)))
	return b.Reshape(b.Mul(shown, b.Sub(b.Scalar(1), next)), B, S, graph.N(1))
}

// SourceStates declares what the encoder hands to the decoder, (B,S,C), as output:
// the place at which the network can be cut in two.
func (b *Builder) SourceStates(v *graph.Value) { b.OutputFor(role.Of(role.SourceStates), v) }

// Sinusoids returns a table of positions (rows,width) as a constant: the sines of all
// waves, then their cosines (arXiv:1706.03762, section 3.5, in Marian's order). They are
// computed in float64 and stored in float32, because the sine of a float32 angle is off
// by the angle's rounding.
func (b *Builder) Sinusoids(rows, width int) *graph.Value {
	out := make([]float32, rows*width)
	sines := (width + 1) / 2
	for p := range rows {
		for i := range width {
			wave, f := i, math.Sin
			if i >= sines {
				wave, f = i-sines, math.Cos
			}
			out[p*width+i] = float32(f(float64(p) / math.Pow(10000, float64(2*wave)/float64(width))))
		}
	}
	return b.Const(format.FromFloat32s("", []int{rows, width}, out))
}
