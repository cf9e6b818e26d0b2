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
	"QEmbedLayerNormalization":         {read: readQEmbedLayerNormalization},

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

	"CDist":                        records(readCDist),
	"CropAndResize":                records(readCropAndResize),
	"ConvTransposeWithDynamicPads": records(readConvTransposeDynamic),
	"ExpandDims":                   records(readExpandDims),
	"GatedAdd":                     records(readGatedAdd),
	"GatedRMSNorm":                 records(readGatedRMSNorm),
	"GatherND":                     records(readGatherND),
	"GridSample":                   records(readGridSample),
	"Pad":                          records(readPad),
	"Range":                        records(readRange).knows(knowRange),
	"Trilu":                        records(readTrilu),
	"UnfoldTensor":                 records(readUnfold),
	"Unique":                       {read: readOldUnique},
	"BiasAdd":                      records(func(n *node) *graph.Value { return n.b.Add(n.b.Add(n.arg(0), n.arg(1)), n.arg(2)) }),
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
	n.pass([]string{"mask_index_type"})
	return n.embedded(n.optional, 7, n.optional(8))
}

// readQEmbedLayerNormalization has tables and weights of integers, each with one scale.
func readQEmbedLayerNormalization(n *node) []*graph.Value {
	return n.embedded(func(i int) *graph.Value { // the scales are 6 inputs behind, the zero points 11
		return n.apply(graph.DequantizeLinear{To: format.Float32}, n.arg(i), n.single(n.arg(i+6)), n.single(n.arg(i+11)))
	}, 7, nil)
}

// embedded embeds words, positions and segments with the tables 2 to 4 and the weights 5
// and 6. The mask is an input.
func (n *node) embedded(table func(i int) *graph.Value, mask int, places *graph.Value) []*graph.Value {
	b, words := n.b, n.cast(n.arg(0), format.Int64)
	if places == nil {
		places = b.Range(graph.N(0), words.Shape[1])
	}
	sum := b.Add(b.Gather(table(2), words), b.Gather(table(3), n.cast(places, format.Int64)))
	if n.has(1) {
		sum = b.Add(sum, b.Gather(table(4), n.cast(n.arg(1), format.Int64)))
	}
	n.pass(nil, 4)
	count := b.Expand(n.constant(0, format.Int32), words.Shape[0])
	if n.has(mask) {
		count = n.cast(b.ReduceSum(n.cast(n.arg(mask), format.Int64), false, 1), format.Int32)
	}
	y := b.LayerNormalization(sum, table(5), table(6), n.float("epsilon", float64(float32(1e-12))))
	return []*graph.Value{y, count, sum}
}
