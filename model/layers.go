package model

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// maskedScore is added to the score of a position that may not be seen. Its
// softmax is exactly 0 in float32 and float64, and unlike -Inf it stays a
// number when a whole row is masked.
const maskedScore = -1e9

// causalMask returns (T,T): 0 where column s may be seen from row t, that is
// s ≤ t, and maskedScore elsewhere. With a cache it is (B,1,T,P+T): row t stands
// for token P+t, and a column that attention_mask hides is hidden from all of
// its sequence. It is cut from one constant, as in GPT-2's published code: a
// slice runs on every runtime, and on a device without arithmetic on sizes.
func causalMask(b *graph.Builder, c Config, cache *cache) *graph.Value {
	n := c.Context
	mask := make([]float32, n*n)
	for t := range n {
		for s := t + 1; s < n; s++ {
			mask[t*n+s] = maskedScore
		}
	}
	all := b.Const(format.FromFloat32s("causal_mask", []int{n, n}, mask)) // (context,context)
	first, seen := cache.span()
	rows := b.Slice(all, 0, first, seen)                                     // (T,context)
	causal := b.Name("causal_mask.seen", b.Slice(rows, 1, graph.N(0), seen)) // (T,P+T)
	if cache == nil {
		return causal
	}
	zero := b.Const(format.FromInt64s("zero", []int{}, []int64{0}))
	hidden := b.Where(b.Equal(cache.mask, zero), b.Scalar(maskedScore), b.Scalar(0))         // (B,P+T)
	return b.Name("mask", b.Sum(b.Reshape(hidden, B, graph.N(1), graph.N(1), seen), causal)) // (B,1,T,P+T)
}

// positions returns the embeddings of positions 0 to T-1, (T,C), or with a
// cache those of position_ids, (B,T,C).
func positions(b *graph.Builder, wpe *graph.Value, cache *cache) *graph.Value {
	if cache != nil {
		return b.Name("positions", b.Gather(wpe, cache.positions))
	}
	return b.Name("positions", b.Slice(wpe, 0, graph.N(0), T))
}

// linear returns x·weight + bias: (B,T,in) to (B,T,out). The bias starts at 0.
func linear(b *graph.Builder, name string, x *graph.Value, in, out int, law graph.Init) *graph.Value {
	weight := b.Param(name+".weight", law, in, out)       // (in,out)
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
// (B,T,C) to (B,T,C), each head of width D with scores scaled by 1/√D. The keys
// and values of past, where there is one, come before the new ones.
func attention(b *graph.Builder, c Config, q, k, v, mask *graph.Value, past *past) *graph.Value {
	heads, d := graph.N(c.Heads), graph.N(c.HeadWidth())
	split := func(name string, x *graph.Value) *graph.Value {
		x = b.Reshape(x, B, T, heads, d)                        // (B,T,H,D)
		return b.Name("attn."+name, b.Transpose(x, 0, 2, 1, 3)) // (B,H,T,D)
	}
	scale := 1 / math.Sqrt(float64(c.HeadWidth()))
	query := split("query", q)
	key, value := past.append(b, split("key", k), split("value", v))    // (B,H,P+T,D)
	y := b.Attention(query, key, value, mask, scale)                    // (B,H,T,D)
	y = b.Transpose(b.Name("attn", y), 0, 2, 1, 3)                      // (B,T,H,D)
	return b.Name("attn.context", b.Reshape(y, B, T, graph.N(c.Width))) // (B,T,C)
}
