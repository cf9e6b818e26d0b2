package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// movingFamily has the operators that only move elements.
var movingFamily = family{
	"Gather":         records(readGather).knows(knowGather),
	"GatherElements": records(readGatherElements),
	"Concat":         records(readConcat).knows(knowConcat),
	"Split":          {read: readSplit, know: knowSplit},
	"Slice":          records(readSlice).knows(knowSlice),
	"Transpose":      records(readTranspose).knows(knowTranspose),
	"Tile":           records(readTile).knows(knowTile),
	"Trilu":          records(readTrilu),
	"OneHot":         records(readOneHot),
	"NonZero":        records(readNonZero),
}

// ids returns argument i as int64 ids of an axis of the given size. fromEnd
// reports whether some may count from the end.
func (n *node) ids(i int, size graph.Dim) (ids *graph.Value, fromEnd bool) {
	e := n.known(i)
	if e == nil {
		ids = n.cast(n.arg(i), format.Int64)
		_, signed := n.dtype(i).Integer()
		return ids, signed
	}
	numbers, ok := e.numbers()
	length, fixed := size.Number()
	if !ok {
		return n.cast(n.arg(i), format.Int64), true
	}
	fromFront := make([]int64, len(numbers))
	moved := n.dtype(i) != format.Int64
	for j, v := range numbers {
		if v < 0 && !fixed {
			return n.cast(n.arg(i), format.Int64), true
		}
		if v < 0 {
			v, moved = v+length, true
		}
		if v < 0 || fixed && v >= length {
			n.invalid("index %d of an axis of %s", numbers[j], size)
		}
		fromFront[j] = int64(v)
	}
	if !moved {
		return n.arg(i), false
	}
	shape, _ := n.shape(i).Numbers()
	return n.b.Const(format.FromInt64s("ids", shape, fromFront)), false
}

func readGather(n *node) *graph.Value {
	x := n.arg(0)
	axis := n.axis(n.int("axis", 0), len(x.Shape))
	ids, fromEnd := n.ids(1, x.Shape[axis])
	return n.apply(graph.Gather{Axis: axis, FromEnd: fromEnd}, x, ids)
}

func knowGather(n *node) *elements {
	x, ids := n.carried(0), n.known(1)
	if x == nil || ids == nil {
		return nil
	}
	numbers, ok := ids.numbers()
	if !ok {
		return nil
	}
	axis := n.axis(n.int("axis", 0), len(x.shape))
	outer, _ := format.Elements(x.shape[:axis])
	inner, _ := format.Elements(x.shape[axis+1:])
	size := x.shape[axis]
	if outer*inner*len(numbers) > knownLimit {
		return nil
	}
	var places []int
	for o := range outer {
		for _, id := range numbers {
			if id < 0 {
				id += size
			}
			if id < 0 || id >= size {
				n.invalid("index %d of an axis of %d", id, size)
			}
			for i := range inner {
				places = append(places, (o*size+id)*inner+i)
			}
		}
	}
	shape := append(append(append([]int{}, x.shape[:axis]...), ids.shape...), x.shape[axis+1:]...)
	return x.pick(shape, places)
}

func readGatherElements(n *node) *graph.Value {
	x := n.arg(0)
	axis := n.axis(n.int("axis", 0), len(x.Shape))
	ids, fromEnd := n.ids(1, x.Shape[axis])
	return n.apply(graph.GatherElements{Axis: axis, FromEnd: fromEnd}, x, ids)
}

func readConcat(n *node) *graph.Value {
	if n.version >= 4 {
		n.require("axis")
	}
	x := n.all()
	return n.b.Concat(n.axis(n.int("axis", 1), len(x[0].Shape)), x...)
}

func knowConcat(n *node) *elements {
	var parts []*elements
	total := 0
	for i := range n.args {
		e := n.carried(i)
		if e == nil || len(parts) > 0 && (e.dtype != parts[0].dtype || len(e.shape) != len(parts[0].shape)) {
			return nil
		}
		if total += e.len(); total > knownLimit {
			return nil
		}
		parts = append(parts, e)
	}
	axis := n.axis(n.int("axis", 1), len(parts[0].shape))
	all := &elements{dtype: parts[0].dtype, shape: append([]int{}, parts[0].shape...)}
	outer, _ := format.Elements(all.shape[:axis])
	all.shape[axis] = 0
	for _, p := range parts {
		all.shape[axis] += p.shape[axis]
	}
	for o := range outer {
		for _, p := range parts {
			row := p.len() / max(outer, 1)
			if p.dtype.Float() {
				all.floats = append(all.floats, p.floats[o*row:(o+1)*row]...)
			} else {
				all.ints = append(all.ints, p.ints[o*row:(o+1)*row]...)
			}
		}
	}
	return all
}

// splitSizes returns the axis and the sizes of the parts of a Split.
func splitSizes(n *node) (axis int, sizes []int) {
	s := n.shape(0)
	axis = n.axis(n.int("axis", 0), len(s))
	switch {
	case n.version < 13 && n.isSet("split"):
		return axis, n.ints("split")
	case n.version >= 13 && n.has(1):
		return axis, n.integers(1)
	}
	size, ok := s[axis].Number()
	if !ok {
		n.open("axis %d of %s is split into equal parts", axis, s)
	}
	count := len(n.onnx.Outputs)
	if n.version >= 18 {
		count = n.int("num_outputs", count)
	}
	if count < 1 {
		n.invalid("it is split into %d parts", count)
	}
	part := (size + count - 1) / count // the last one may be shorter
	for left := size; len(sizes) < count; left -= part {
		sizes = append(sizes, max(0, min(part, left)))
	}
	return axis, sizes
}

func readSplit(n *node) []*graph.Value {
	axis, sizes := splitSizes(n)
	x := n.arg(0)
	for _, s := range sizes {
		if s == 0 { // an empty part, which the graph's Split does not support
			return n.slices(x, axis, sizes)
		}
	}
	return n.b.Split(x, axis, sizes...)
}

// slices returns the parts of x as one Slice each.
func (n *node) slices(x *graph.Value, axis int, sizes []int) []*graph.Value {
	out := make([]*graph.Value, len(sizes))
	at := 0
	for i, s := range sizes {
		out[i] = n.b.Slice(x, axis, graph.N(at), graph.N(at+s))
		at += s
	}
	return out
}

func knowSplit(n *node) []*elements {
	x := n.carried(0)
	if x == nil {
		return nil
	}
	axis, sizes := splitSizes(n)
	out := make([]*elements, len(sizes))
	at := 0
	for i, s := range sizes {
		if at+s > x.shape[axis] {
			return nil
		}
		out[i] = x.along(axis, at, 1, s)
		at += s
	}
	return out
}

// along returns count elements along an axis, from start in steps.
func (e *elements) along(axis, start, step, count int) *elements {
	outer, _ := format.Elements(e.shape[:axis])
	inner, _ := format.Elements(e.shape[axis+1:])
	var places []int
	for o := range outer {
		for i := range count {
			for j := range inner {
				places = append(places, (o*e.shape[axis]+start+i*step)*inner+j)
			}
		}
	}
	shape := append([]int{}, e.shape...)
	shape[axis] = count
	return e.pick(shape, places)
}

// permutation returns the axes of a Transpose; by default they are reversed.
func permutation(n *node, rank int) []int {
	if perm := n.ints("perm"); perm != nil {
		return perm
	}
	perm := make([]int, rank)
	for i := range perm {
		perm[i] = rank - 1 - i
	}
	return perm
}

func readTranspose(n *node) *graph.Value {
	x := n.arg(0)
	return n.b.Transpose(x, permutation(n, len(x.Shape))...)
}

func knowTranspose(n *node) *elements {
	x := n.carried(0)
	if x == nil || len(x.shape) > 1 {
		return nil
	}
	return x
}

// repeats returns how often a Tile repeats each axis.
func repeats(n *node) []graph.Dim {
	r := n.dims(1)
	if len(r) != len(n.shape(0)) {
		n.invalid("%d repeats of a tensor of %d dimensions", len(r), len(n.shape(0)))
	}
	return r
}

// readTile inserts an axis before each repeated axis, expands it, and merges
// the two.
func readTile(n *node) *graph.Value {
	x := n.arg(0)
	var split, wide, out graph.Shape
	for i, r := range repeats(n) {
		d := x.Shape[i]
		out = append(out, r.Mul(d))
		if r.Is(1) {
			split, wide = append(split, d), append(wide, d)
			continue
		}
		split, wide = append(split, graph.N(1), d), append(wide, r, d)
	}
	if out.Equal(x.Shape) {
		return x
	}
	return n.b.Reshape(n.b.Expand(n.b.Reshape(x, split...), wide...), out...)
}

func knowTile(n *node) *elements {
	x := n.carried(0)
	if x == nil || len(x.shape) != 1 {
		return nil
	}
	times, ok := graph.Shape(repeats(n)).Numbers()
	if !ok || times[0]*x.len() > knownLimit {
		return nil
	}
	var places []int
	for range times[0] {
		for i := range x.len() {
			places = append(places, i)
		}
	}
	return x.pick([]int{len(places)}, places)
}

func readTrilu(n *node) *graph.Value {
	k := graph.N(0)
	if n.has(1) {
		k = n.dims(1)[0]
	}
	return n.apply(graph.Trilu{Upper: n.flag("upper", true), K: k}, n.arg(0))
}

// readOneHot compares the ids with the positions along a new axis.
func readOneHot(n *node) *graph.Value {
	depth, onOff := n.dims(1)[0], n.arg(2)
	ids, rank := n.cast(n.arg(0), format.Int64), len(n.shape(0))
	axis := n.axis(n.int("axis", -1), rank+1)
	back := n.size(depth)
	zero := n.constant(0, format.Int64)
	ids = n.b.Where(n.b.Less(ids, zero), n.b.Add(ids, back), ids)
	column := append(append(append(graph.Shape{}, ids.Shape[:axis]...), graph.N(1)), ids.Shape[axis:]...)
	places := make(graph.Shape, rank+1-axis)
	for i := range places {
		places[i] = graph.N(1)
	}
	places[0] = depth
	hit := n.b.Equal(n.b.Reshape(ids, column...), n.b.Reshape(n.b.Range(graph.N(0), depth), places...))
	scalar := func(at int) *graph.Value {
		return n.b.Reshape(n.b.Slice(onOff, 0, graph.N(at), graph.N(at+1)))
	}
	return n.b.Where(hit, scalar(1), scalar(0))
}

func readNonZero(n *node) *graph.Value {
	return n.apply(graph.NonZero{Count: n.r.freshDim("nonzero")}, n.arg(0))
}
