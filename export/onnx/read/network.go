package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// networkFamily is the composites of networks.
var networkFamily = family{
	"Dropout":            {read: readDropout},
	"Gelu":               records(readGelu),
	"Swish":              records(func(n *node) *graph.Value { return n.apply(graph.Swish{Alpha: n.float("alpha", 1)}, n.arg(0)) }),
	"LayerNormalization": {read: readLayerNormalization},
	"RMSNormalization":   records(readRMSNormalization),
}

// readDropout drops nothing in inference.
func readDropout(n *node) []*graph.Value {
	x := n.arg(0)
	n.pass([]string{"ratio", "seed"}, 1)
	if n.version >= 12 && n.has(2) {
		mode := n.known(2)
		if mode == nil {
			n.open("whether it is training is computed from data")
		}
		ratio := 0.5
		if n.has(1) {
			ratio = n.scalar(1)
		}
		switch training := !mode.ints[0].Is(0); {
		case !training || ratio == 0:
		case n.r.o.Training && ratio > 0 && ratio < 1:
			x = n.apply(graph.Dropout{Ratio: ratio}, x)
		default:
			n.refuse("random numbers, in training")
		}
	}
	if n.version < 7 && !n.flag("is_test", false) {
		n.refuse("random numbers, in training")
	}
	if len(n.onnx.Outputs) < 2 {
		return one(x)
	}
	if n.version < 10 {
		return []*graph.Value{x, n.b.Expand(n.like(x, 1), x.Shape...)}
	}
	return []*graph.Value{x, n.b.Expand(n.constant(1, format.Bool), x.Shape...)}
}

func readGelu(n *node) *graph.Value {
	return n.apply(graph.Gelu{Approximate: n.text("approximate", "none")}, n.arg(0))
}

// readLayerNormalization normalizes over all axes from axis on, merged to one.
func readLayerNormalization(n *node) []*graph.Value {
	n.pass([]string{"stash_type"}) // the precision of the mean; the oracle's is higher
	x, scale, bias := n.arg(0), n.arg(1), n.optional(2)
	axis := n.axis(n.int("axis", -1), len(x.Shape))
	op := graph.LayerNormalization{Epsilon: n.float("epsilon", float64(float32(1e-5)))}
	args := []*graph.Value{n.lastAxes(x, axis), n.b.Reshape(n.expandTo(scale, x.Shape[axis:]), x.Shape[axis:].Elements())}
	if bias != nil {
		args = append(args, n.b.Reshape(n.expandTo(bias, x.Shape[axis:]), x.Shape[axis:].Elements()))
	}
	out := n.b.Apply(op, max(1, len(n.onnx.Outputs)), args...)
	out[0] = n.reshape(out[0], x.Shape)
	reduced := append(graph.Shape{}, x.Shape...)
	for i := axis; i < len(reduced); i++ {
		reduced[i] = graph.N(1)
	}
	for i := range out[1:] {
		out[1+i] = n.reshape(out[1+i], reduced)
	}
	return out
}

// lastAxes merges all axes of x from axis on.
func (n *node) lastAxes(x *graph.Value, axis int) *graph.Value {
	return n.reshape(x, append(append(graph.Shape{}, x.Shape[:axis]...), x.Shape[axis:].Elements()))
}

// reshape returns x in another shape, or x itself if it has that shape.
func (n *node) reshape(x *graph.Value, s graph.Shape) *graph.Value {
	if x.Shape.Equal(s) {
		return x
	}
	return n.b.Reshape(x, s...)
}

// expandTo returns x broadcast into a shape, or x itself if it has that shape.
func (n *node) expandTo(x *graph.Value, s graph.Shape) *graph.Value {
	if x.Shape.Equal(s) {
		return x
	}
	return n.b.Expand(x, s...)
}

func readRMSNormalization(n *node) *graph.Value {
	n.pass([]string{"stash_type"})
	x := n.arg(0)
	axis := n.axis(n.int("axis", -1), len(x.Shape))
	scale := n.b.Reshape(n.expandTo(n.arg(1), x.Shape[axis:]), x.Shape[axis:].Elements())
	y := n.b.RMSNormalization(n.lastAxes(x, axis), scale, n.float("epsilon", float64(float32(1e-5))))
	return n.reshape(y, x.Shape)
}
