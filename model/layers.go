package model

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

// positions returns the embeddings of the tokens' positions, (T,C), or with a
// past (B,T,C).
func positions(b *graph.Builder, wpe, ids *graph.Value) *graph.Value {
	return b.Name("positions", b.Gather(wpe, b.Positions(ids)))
}

// linear returns x·weight + bias: (B,T,in) to (B,T,out). The bias starts at 0.
func linear(b *graph.Builder, name string, x *graph.Value, in, out int, init graph.Init) *graph.Value {
	weight := b.Param(name+".weight", init, in, out)      // (in,out)
	bias := b.Param(name+".bias", graph.Constant(0), out) // (out)
	return b.Name(name, b.Add(b.MatMul(x, weight), bias)) // (B,T,out)
}

// layerNorm returns x normalized over its last axis: (B,T,C).
func layerNorm(b *graph.Builder, name string, x *graph.Value, c Config) *graph.Value {
	scale := b.Param(name+".weight", graph.Constant(1), c.Width) // (C)
	bias := b.Param(name+".bias", graph.Constant(0), c.Width)    // (C)
	return b.Name(name, b.LayerNormalization(x, scale, bias, c.Epsilon))
}

// attention returns the heads' contextual embeddings side by side: q, k, v
// (B,T,C) to (B,T,C), each head of width D with scores scaled by 1/√D.
func attention(b *graph.Builder, c Config, q, k, v *graph.Value) *graph.Value {
	heads, d := graph.N(c.Heads), graph.N(c.HeadWidth())
	split := func(name string, x *graph.Value) *graph.Value {
		x = b.Reshape(x, B, T, heads, d)                        // (B,T,H,D)
		return b.Name("attn."+name, b.Transpose(x, 0, 2, 1, 3)) // (B,H,T,D)
	}
	op := graph.Attention{Scale: 1 / math.Sqrt(float64(c.HeadWidth())), Causal: true}
	y := b.Attention(op, split("query", q), split("key", k), split("value", v), nil) // (B,H,T,D)
	y = b.Transpose(b.Name("attn", y), 0, 2, 1, 3)                                   // (B,T,H,D)
	return b.Name("attn.context", b.Reshape(y, B, T, graph.N(c.Width)))              // (B,T,C)
}
