package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// microsoftFamily is the operators of ONNX Runtime's own domain.
var microsoftFamily = family{
	"BiasGelu": records(func(n *node) *graph.Value { return n.b.Gelu(n.b.Add(n.arg(0), n.arg(1))) }),
	"Gelu":     records(func(n *node) *graph.Value { return n.b.Gelu(n.arg(0)) }),
	"FastGelu": records(readFastGelu),
	"QuickGelu": records(func(n *node) *graph.Value {
		return n.apply(graph.Swish{Alpha: n.float("alpha", float64(float32(1.702)))}, n.arg(0))
	}),

	"SkipLayerNormalization":           {read: readSkipLayerNormalization},
	"SimplifiedLayerNormalization":     records(readRMSNormalization),
	"SkipSimplifiedLayerNormalization": {read: readSkipSimplified},
	"EmbedLayerNormalization":          {read: readEmbedLayerNormalization},

	"Attention":           {read: readMicrosoftAttention},
	"MultiHeadAttention":  {read: readMultiHeadAttention},
	"GroupQueryAttention": {read: readGroupQueryAttention},
	"RotaryEmbedding":     records(readRotaryEmbedding),
	"DynamicQuantizeLSTM": {read: readDynamicQuantizeLSTM},

	"FusedConv":       records(readFusedConv),
	"FusedGemm":       records(readFusedGemm),
	"FusedMatMul":     records(readFusedMatMul),
	"TransposeMatMul": records(readFusedMatMul),
	"NhwcMaxPool":     records(readNhwcMaxPool),
}

func readFastGelu(n *node) *graph.Value {
	x := n.arg(0)
	if n.has(1) {
		x = n.b.Add(x, n.arg(1))
	}
	return n.b.GeluTanh(x)
}

// skipped returns the sum of the first two inputs and a bias, input i.
func (n *node) skipped(i int) *graph.Value {
	sum := n.b.Add(n.arg(0), n.arg(1))
	if n.has(i) {
		sum = n.b.Add(sum, n.arg(i))
	}
	return sum
}

// readSkipLayerNormalization normalizes the sum of its first two inputs and a bias.
// The sum is its fourth result.
func readSkipLayerNormalization(n *node) []*graph.Value {
	sum := n.skipped(4)
	y := n.b.LayerNormalization(sum, n.arg(2), n.optional(3), n.float("epsilon", float64(float32(1e-12))))
	return []*graph.Value{y, nil, nil, sum}
}

// readSkipSimplified is readSkipLayerNormalization without the mean.
func readSkipSimplified(n *node) []*graph.Value {
	sum := n.skipped(3)
	return []*graph.Value{n.b.RMSNormalization(sum, n.arg(2), n.float("epsilon", float64(float32(1e-12)))), nil, nil, sum}
}

// readEmbedLayerNormalization normalizes the sum of the embeddings of words,
// positions and segments. Its second result is the number of words of each text,
// according to the mask.
func readEmbedLayerNormalization(n *node) []*graph.Value {
	b, words := n.b, n.cast(n.arg(0), format.Int64)
	places := n.optional(8)
	if places == nil {
		places = b.Range(graph.N(0), words.Shape[1])
	}
	sum := b.Add(b.Gather(n.arg(2), words), b.Gather(n.arg(3), n.cast(places, format.Int64)))
	if n.has(1) {
		sum = b.Add(sum, b.Gather(n.arg(4), n.cast(n.arg(1), format.Int64)))
	}
	n.pass([]string{"mask_index_type"}, 4)
	count := b.Expand(n.constant(0, format.Int32), words.Shape[0])
	if n.has(7) {
		count = n.cast(b.ReduceSum(n.cast(n.arg(7), format.Int64), false, 1), format.Int32)
	}
	y := b.LayerNormalization(sum, n.arg(5), n.arg(6), n.float("epsilon", float64(float32(1e-12))))
	return []*graph.Value{y, count, sum}
}
