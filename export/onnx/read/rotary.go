package read

import (
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// readRotaryEmbedding reads the operators of ONNX and of ONNX Runtime, which takes
// the positions before the tables.
func readRotaryEmbedding(n *node) *graph.Value {
	x := n.arg(0)
	cos, sin, places := 1, 2, 3
	if n.domain == onnx.Microsoft {
		cos, sin, places = 2, 3, 1
		if n.flag("is_packed_batching", false) || n.float("scale", 1) != 1 {
			n.refuse("packed batches, or a scale")
		}
	}
	half := n.shape(cos)[len(n.shape(cos))-1]
	count, width := n.int("num_heads", 0), n.int("rotary_embedding_dim", 0)
	if width != 0 {
		half = graph.N(width / 2)
	}
	if count == 0 && len(x.Shape) == 3 {
		q, ok := x.Shape[2].Quotient(half.Mul(graph.N(2)))
		if number, known := q.Number(); ok && known {
			count = number
		}
	}
	y := n.heads(x, count)
	var at *graph.Value
	if n.has(places) {
		at = n.places(n.cast(n.arg(places), format.Int64), y.Shape[2])
	}
	y = n.rotate(y, n.angles(n.arg(cos), at), n.angles(n.arg(sin), at), n.flag("interleaved", false))
	if len(x.Shape) == 3 {
		return n.joined(y)
	}
	return y
}

// places returns the positions of tokens: (B,T), or one start position (1) for T
// consecutive ones.
func (n *node) places(at *graph.Value, T graph.Dim) *graph.Value {
	if len(at.Shape) == 2 {
		return at
	}
	return n.b.Add(n.b.Reshape(at, graph.N(1), graph.N(1)), n.b.Range(graph.N(0), T))
}

// angles returns rows of a table by position, (B,1,T,R/2). Without positions the
// table is (B,T,R/2).
func (n *node) angles(table, places *graph.Value) *graph.Value {
	if places != nil {
		table = n.b.Gather(table, places)
	}
	s := table.Shape
	if len(s) != 3 {
		n.invalid("sines and cosines %s, expected a row for each token", s)
	}
	return n.b.Reshape(table, s[0], graph.N(1), s[1], s[2])
}

// rotate rotates pairs of elements of x (B,H,T,D) by angles with the given sines
// and cosines (B,1,T,R/2). Elements after the first R do not change.
func (n *node) rotate(x, cos, sin *graph.Value, interleaved bool) *graph.Value {
	b := n.b
	d, known := x.Shape[3].Number()
	half, fixed := cos.Shape[3].Number()
	if !known || !fixed {
		n.open("heads of %s elements, of which 2*%s are rotated", x.Shape[3], cos.Shape[3])
	}
	if 2*half > d || half < 1 {
		n.invalid("%d of %d elements are rotated", 2*half, d)
	}
	rotated := x
	if 2*half < d {
		rotated = b.Slice(x, 3, graph.N(0), graph.N(2*half))
	}
	wide := append(graph.Shape{}, x.Shape[:3]...)
	var first, second *graph.Value
	if interleaved {
		parts := b.Split(b.Reshape(rotated, append(wide, graph.N(half), graph.N(2))...), 4, 1, 1)
		first, second = b.Reshape(parts[0], append(wide, graph.N(half))...), b.Reshape(parts[1], append(wide, graph.N(half))...)
	} else {
		parts := b.Split(rotated, 3, half, half)
		first, second = parts[0], parts[1]
	}
	real := b.Sub(b.Mul(cos, first), b.Mul(sin, second))
	imaginary := b.Add(b.Mul(sin, first), b.Mul(cos, second))
	var y *graph.Value
	if interleaved {
		column := append(wide, graph.N(half), graph.N(1))
		y = b.Reshape(b.Concat(4, b.Reshape(real, column...), b.Reshape(imaginary, column...)), append(wide, graph.N(2*half))...)
	} else {
		y = b.Concat(3, real, imaginary)
	}
	if 2*half < d {
		y = b.Concat(3, y, b.Slice(x, 3, graph.N(2*half), graph.N(d)))
	}
	return y
}
