package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// scatterFamily has the operators with positions given by data: scattering,
// gathering, sequences.
var scatterFamily = family{
	"Scatter":         records(readScatterElements),
	"ScatterElements": records(readScatterElements),
	"ScatterND":       records(readScatterND),
	"GatherND":        records(readGatherND),
	"EyeLike":         records(readEyeLike),
	"ReverseSequence": records(readReverseSequence),
	"Einsum":          records(readEinsum),
}

// reduction returns how an update and the existing element are combined.
func (n *node) reduction() string {
	r := n.text("reduction", "none")
	if r == "none" {
		return ""
	}
	return r
}

// readScatterElements uses full positions for the cases that the graph's
// ScatterElements does not support.
func readScatterElements(n *node) *graph.Value {
	x, b := n.arg(0), n.b
	axis := n.axis(n.int("axis", 0), len(x.Shape))
	ids, fromEnd := n.ids(1, x.Shape[axis])
	reduction := n.reduction()
	if reduction == "add" && x.DType.Float() && ids.Shape.Equal(n.arg(2).Shape) && sameBut(axis, ids.Shape, x.Shape) {
		return n.apply(graph.ScatterElements{Axis: axis, FromEnd: fromEnd}, x, ids, n.arg(2))
	}
	column := append(append(graph.Shape{}, ids.Shape...), graph.N(1))
	parts := make([]*graph.Value, len(x.Shape))
	for i := range parts {
		if i == axis {
			parts[i] = b.Reshape(ids, column...)
			continue
		}
		s := make(graph.Shape, len(column))
		for j := range s {
			s[j] = graph.N(1)
		}
		s[i] = ids.Shape[i]
		parts[i] = n.expandTo(b.Reshape(b.Range(graph.N(0), ids.Shape[i]), s...), column)
	}
	places := parts[0]
	if len(parts) > 1 {
		places = b.Concat(len(ids.Shape), parts...)
	}
	return n.apply(graph.ScatterND{Reduction: reduction}, x, places, n.arg(2))
}

// sameBut reports whether two shapes are equal except for an axis.
func sameBut(axis int, s, t graph.Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if i != axis && s[i] != t[i] {
			return false
		}
	}
	return true
}

func readScatterND(n *node) *graph.Value {
	return n.apply(graph.ScatterND{Reduction: n.reduction()}, n.arg(0), n.cast(n.arg(1), format.Int64), n.arg(2))
}

func readGatherND(n *node) *graph.Value {
	return n.apply(graph.GatherND{BatchDims: n.int("batch_dims", 0)}, n.arg(0), n.cast(n.arg(1), format.Int64))
}

// readEyeLike is 1 on diagonal k of a matrix and 0 elsewhere.
func readEyeLike(n *node) *graph.Value {
	n.pass(nil, 0) // only its shape matters
	s, dtype := n.shape(0), n.dtype(0)
	if len(s) != 2 {
		n.invalid("%s, expected a matrix", s)
	}
	if n.isSet("dtype") {
		var err error
		if dtype, err = elementType(dataType(n.int("dtype", 0))); err != nil {
			n.refuse("%v", err)
		}
	}
	k := graph.N(n.int("k", 0))
	rows, columns := n.rowsAndColumns(s[0], s[1], k)
	return n.cast(n.b.Equal(columns, rows), dtype)
}

// readReverseSequence reverses the first elements of each text.
func readReverseSequence(n *node) *graph.Value {
	x, lengths, b := n.arg(0), n.cast(n.arg(1), format.Int64), n.b
	batch, time := n.int("batch_axis", 1), n.int("time_axis", 0)
	if batch+time != 1 || batch*time != 0 || len(x.Shape) < 2 {
		n.invalid("batch axis %d and time axis %d of %s", batch, time, x.Shape)
	}
	along := func(axis int) graph.Shape {
		s := make(graph.Shape, len(x.Shape))
		for i := range s {
			s[i] = graph.N(1)
		}
		s[axis] = x.Shape[axis]
		return s
	}
	places := b.Reshape(b.Range(graph.N(0), x.Shape[time]), along(time)...)
	lengths = b.Reshape(lengths, along(batch)...)
	last := b.Sub(lengths, n.constant(1, format.Int64))
	ids := b.Where(b.Less(places, lengths), b.Sub(last, places), places)
	return b.GatherElements(x, b.Expand(ids, x.Shape...), time)
}
