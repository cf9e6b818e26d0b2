package exprgraph

import (
	"slices"

	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// fit returns v in the shape that Gorgonia gives the node, which has as many
// elements: Gorgonia drops and adds dimensions of size 1.
func (n *node) fit(v *graph.Value) *graph.Value {
	have, want := n.concrete(v.Shape), n.shape()
	if slices.Equal(have, want) {
		return v
	}
	to, ok := n.reshaped(v.Shape, want)
	if !ok {
		n.refuse("check that Gorgonia can run the graph; a named dimension should have a size that no other dimension has",
			"shape %s cannot become %v", v.Shape, want)
	}
	return n.b.Reshape(v, to...)
}

// reshaped returns the shape that has the given sizes in Gorgonia, and as many elements
// as from for all sizes of the named dimensions. ok is false if there is none, or
// several between which only a guess could choose.
//
// Both shapes are cut where their leading sizes have the same product. Named
// dimensions stay in their part. If a part begins with them, so does its result:
// a reshape keeps the samples of a batch apart.
func (n *node) reshaped(from graph.Shape, want []int) (to graph.Shape, ok bool) {
	have := n.concrete(from)
	if size(have) != size(want) {
		return nil, false
	}
	for i, j := 0, 0; i < len(have) || j < len(want); {
		i0, j0, a, b := i, j, 1, 1
		if i < len(have) {
			a, i = have[i], i+1
		}
		if j < len(want) {
			b, j = want[j], j+1
		}
		for a != b {
			if a < b && i < len(have) {
				a, i = a*have[i], i+1
			} else if j < len(want) {
				b, j = b*want[j], j+1
			} else if i < len(have) {
				a, i = a*have[i], i+1
			} else {
				return nil, false
			}
		}
		part, ok := n.part(from[i0:i], want[j0:j])
		if !ok {
			return nil, false
		}
		to = append(to, part...)
	}
	return to, true
}

// part is reshaped for one part.
func (n *node) part(from graph.Shape, want []int) (graph.Shape, bool) {
	if _, fixed := from.Numbers(); fixed {
		return graph.Numbers(want...), true
	}
	total := from.Elements()
	if len(want) == 1 {
		return graph.Shape{total}, total.Valid()
	}
	var found, leading []graph.Shape
	var try func(done graph.Shape, left graph.Dim)
	try = func(done graph.Shape, left graph.Dim) {
		if len(done) == len(want) {
			if left.Is(1) {
				found = append(found, slices.Clone(done))
				if len(done[0].Symbols()) == len(total.Symbols()) {
					leading = append(leading, found[len(found)-1])
				}
			}
			return
		}
		for _, d := range n.sized(want[len(done)]) {
			if rest, ok := left.Quotient(d); ok {
				try(append(slices.Clone(done), d), rest)
			}
		}
	}
	try(nil, total)
	begins := len(from[0].Symbols()) == len(total.Symbols())
	switch {
	case len(found) == 1:
		return found[0], true
	case begins && len(leading) == 1:
		return leading[0], true
	}
	return nil, false
}

// sized returns the sizes that are the given number in Gorgonia: the number, and
// products with a named dimension or two.
func (n *node) sized(number int) []graph.Dim {
	out := []graph.Dim{graph.N(number)}
	for name, a := range n.sizes {
		if number%a != 0 {
			continue
		}
		out = append(out, graph.Sym(name).Mul(graph.N(number/a)))
		for other, b := range n.sizes {
			if other > name && number%(a*b) == 0 {
				out = append(out, graph.Sym(name).Mul(graph.Sym(other)).Mul(graph.N(number/a/b)))
			}
		}
	}
	return out
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// axis returns a field that is an axis of x.
func (n *node) axis(axis int, x *graph.Value) int {
	if axis < 0 || axis >= len(x.Shape) {
		n.refuse("check the axis", "axis %d of shape %s", axis, x.Shape)
	}
	return axis
}

func (n *node) reduce(kind graph.ReduceKind) *graph.Value {
	x, axes := n.arg(0), n.ints("along")
	slices.Sort(axes)
	axes = slices.Compact(axes)
	if len(axes) == 0 {
		return x
	}
	if axis, wrong := misreduced(n.concrete(x.Shape), axes); wrong {
		n.refuse("transpose its argument so that the dimension is the first or the last", "Gorgonia reduces dimension %d of shape %s to wrong numbers", axis, x.Shape)
	}
	return n.apply(graph.Reduce{Kind: kind, Axes: axes}, x)
}

// misreduced returns a dimension over which Gorgonia's tensors compute a wrong sum or
// maximum: gorgonia.org/tensor 0.9.24 reduces one dimension after the other, and steps
// over the elements between two runs as if there were two runs. That is right for the
// first and the last dimension, and where only the first one precedes.
func misreduced(shape, axes []int) (axis int, wrong bool) {
	if len(axes) == len(shape) {
		return 0, false
	}
	shape = slices.Clone(shape)
	for i, axis := range axes {
		at := axis - i
		if at > 0 && at < len(shape)-1 && size(shape[1:at]) > 1 && shape[at] != 2 {
			return axis, true
		}
		shape = slices.Delete(shape, at, at+1)
	}
	return 0, false
}

// readSoftmax reads SoftMax and LogSoftMax. Without an axis Gorgonia takes the
// last one, but the first of a column.
func readSoftmax(n *node) *graph.Value {
	x, axis := n.arg(0), n.int("axis")
	rank := len(x.Shape)
	if rank == 0 {
		n.refuse("give it a vector", "softmax of a scalar")
	}
	switch s := n.args[0].Shape(); {
	case axis == -1 && (s.IsColVec() || s.IsVector() && !s.IsRowVec()):
		axis = 0
	case axis == -1:
		axis = rank - 1
	default:
		axis = (axis%rank + rank) % rank
	}
	if n.bool("isLog") {
		return n.b.LogSoftmax(x, axis)
	}
	return n.b.Softmax(x, axis)
}

func readTranspose(n *node) *graph.Value {
	if c := n.convolution(n.node); c != nil {
		return c.read(n)
	}
	return n.b.Transpose(n.arg(0), n.ints("pattern")...)
}

func readConcat(n *node) *graph.Value {
	args := make([]*graph.Value, len(n.args))
	for i := range args {
		args[i] = n.arg(i)
	}
	return n.b.Concat(n.int("axis"), args...)
}

// readSlice reads one range of one dimension. An end at or before the start means
// all of it, and so does a range of the whole size, which may be named.
func readSlice(n *node) *graph.Value {
	x := n.arg(0)
	axis := n.axis(n.int("along"), x)
	s := n.node.Op().(interface{ IsSlice() tensor.Slice }).IsSlice()
	full := n.concrete(x.Shape)[axis]
	if s == nil || s.End() <= s.Start() {
		return x
	}
	start, end, step := s.Start(), min(s.End(), full), max(s.Step(), 1)
	if rest := size(n.concrete(x.Shape)) / max(full, 1); (end-start)*rest == 1 && len(n.shape()) > 0 {
		n.refuse("slice all dimensions, or reshape the argument to a vector", "Gorgonia gives the node the shape %v and its value is a scalar", n.shape())
	}
	_, fixed := x.Shape[axis].Number()
	switch {
	case start == 0 && end == full && step == 1:
		return x
	case !fixed:
		n.refuse("slice another dimension, or leave that one without a name", "positions %d to %d of the named dimension %s", start, end, x.Shape[axis])
	case start < 0 || start >= end:
		n.refuse("check the slice", "positions %d to %d of %d", start, end, full)
	case (end-start)%step != 0:
		n.refuse("take a range that the step divides", "positions %d to %d in steps of %d: Gorgonia's shape and its value differ", start, end, step)
	case step == 1:
		return n.b.Slice(x, axis, graph.N(start), graph.N(end))
	}
	ids := make([]int64, 0, (end-start)/step)
	for i := start; i < end; i += step {
		ids = append(ids, int64(i))
	}
	return n.apply(graph.Gather{Axis: axis}, x, n.b.Const(format.FromInt64s("", []int{len(ids)}, ids)))
}

// repeated is a value whose dimensions of size 1 are repeated to a shape.
// Arithmetic of ONNX broadcasts it.
type repeated struct {
	value *graph.Value
	to    graph.Shape
}

// readRepeat reads the repetition of each element along a dimension. Gorgonia adds
// dimensions of size 1 behind a vector.
func readRepeat(n *node) *graph.Value {
	axis := n.int("along")
	times, known := n.dims[n.args[1]]
	if !known {
		times = n.count(1)
	}
	from, again := n.repeats[n.args[0]]
	if !again {
		x := n.arg(0)
		from = repeated{x, x.Shape}
	}
	if len(from.value.Shape) <= axis {
		x := n.arg(0)
		s := slices.Clone(x.Shape)
		for len(s) <= axis {
			s = append(s, graph.N(1))
		}
		x = n.b.Reshape(x, s...)
		from = repeated{x, s}
	}
	to := slices.Clone(from.to)
	to[axis] = to[axis].Mul(times)
	switch {
	case times.Is(1) && !again:
		return from.value
	case from.to[axis].Is(1):
		if !slices.Equal(n.concrete(to), n.shape()) {
			n.refuse("check that Gorgonia can run the graph", "it repeats shape %s to %s, and Gorgonia's shape is %v", from.to, to, n.shape())
		}
		n.repeats[n.node] = repeated{from.value, to}
		return nil
	}
	x, s := n.arg(0), from.to
	x = n.b.Reshape(x, slices.Insert(slices.Clone(s), axis+1, graph.N(1))...)
	x = n.b.Expand(x, slices.Insert(slices.Clone(s), axis+1, times)...)
	return n.b.Reshape(x, to...)
}

// count returns argument i, a number that the graph holds.
func (n *node) count(i int) graph.Dim {
	x := n.args[i]
	v := x.Value()
	if v == nil || v.Size() != 1 {
		n.refuse("take gorgonia.SizeOf or a constant", "the number of repetitions is computed")
	}
	times, err := n.tensor(x, v, []int{}).AsFloat64s()
	if err != nil {
		n.refuse("", "%v", err)
	}
	return graph.N(int(times[0]))
}

// readByIndices reads the selection of rows, or of positions of another
// dimension, which is how a table of embeddings is read.
func readByIndices(n *node) *graph.Value {
	x, ids := n.arg(0), n.arg(1)
	if len(ids.Shape) != 1 {
		ids = n.b.Reshape(ids, ids.Shape.Elements())
	}
	return n.apply(graph.Gather{Axis: n.axis(n.int("axis"), x)}, x, ids)
}
