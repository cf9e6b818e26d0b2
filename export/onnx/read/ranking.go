package read

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// rankingFamily has the operators that select elements by order.
var rankingFamily = family{
	"TopK":              {read: readTopK},
	"Unique":            {read: readUnique},
	"Compress":          records(readCompress),
	"NonMaxSuppression": records(readNonMaxSuppression),
}

// readTopK returns sorted elements, even if the node does not require it.
func readTopK(n *node) []*graph.Value {
	x := n.arg(0)
	n.pass([]string{"sorted"})
	op := graph.TopK{Axis: n.axis(n.int("axis", -1), len(x.Shape)), Largest: n.flag("largest", true)}
	if n.version < 10 {
		op.K = graph.N(n.int("k", 0))
	} else if k := n.dims(1); len(k) == 1 {
		op.K = k[0]
	} else {
		n.invalid("its input %.80q has %d elements, expected one", n.value(1).name, len(k))
	}
	return n.b.Apply(op, 2, x)
}

func readUnique(n *node) []*graph.Value {
	x := n.arg(0)
	op := graph.Unique{Along: n.isSet("axis"), Sorted: n.flag("sorted", true), Count: n.r.freshDim("unique")}
	if op.Along {
		op.Axis = n.axis(n.int("axis", 0), len(x.Shape))
	}
	return n.b.Apply(op, min(len(n.onnx.Outputs), 4), x)
}

func readCompress(n *node) *graph.Value {
	x := n.arg(0)
	op := graph.Compress{Along: n.isSet("axis"), Count: n.r.freshDim("compress")}
	if op.Along {
		op.Axis = n.axis(n.int("axis", 0), len(x.Shape))
	}
	return n.apply(op, x, n.arg(1))
}

// readNonMaxSuppression replaces omitted limits by ONNX's defaults: no boxes at all,
// boxes without overlap, and any score.
func readNonMaxSuppression(n *node) *graph.Value {
	most, overlap, least := n.optional(2), n.optional(3), n.optional(4)
	if most == nil {
		most = n.constant(0, format.Int64)
	}
	if overlap == nil {
		overlap = n.constant(0, format.Float32)
	}
	if least == nil {
		least = n.constant(math.Inf(-1), format.Float32)
	}
	op := graph.NonMaxSuppression{Center: n.flag("center_point_box", false), Count: n.r.freshDim("boxes")}
	return n.apply(op, n.arg(0), n.arg(1), most, overlap, least)
}
