package read

import "github.com/attnx/attnx/model/graph"

// microsoftFamily is the operators of ONNX Runtime's own domain.
var microsoftFamily = family{
	"BiasGelu": records(func(n *node) *graph.Value { return n.b.Gelu(n.b.Add(n.arg(0), n.arg(1))) }),
	"Gelu":     records(func(n *node) *graph.Value { return n.b.Gelu(n.arg(0)) }),
	"FastGelu": records(readFastGelu),
	"QuickGelu": records(func(n *node) *graph.Value {
		return n.apply(graph.Swish{Alpha: n.float("alpha", float64(float32(1.702)))}, n.arg(0))
	}),

	"SkipLayerNormalization": {read: readSkipLayerNormalization},
}

func readFastGelu(n *node) *graph.Value {
	x := n.arg(0)
	if n.has(1) {
		x = n.b.Add(x, n.arg(1))
	}
	return n.b.GeluTanh(x)
}

// readSkipLayerNormalization normalizes the sum of its first two inputs and a bias.
// The sum is its fourth result.
func readSkipLayerNormalization(n *node) []*graph.Value {
	sum := n.b.Add(n.arg(0), n.arg(1))
	if n.has(4) {
		sum = n.b.Add(sum, n.arg(4))
	}
	y := n.b.LayerNormalization(sum, n.arg(2), n.optional(3), n.float("epsilon", float64(float32(1e-12))))
	return []*graph.Value{y, nil, nil, sum}
}
