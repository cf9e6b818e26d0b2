package read

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// sizesFamily has the operators that return or take sizes.
var sizesFamily = family{
	"Shape":           records(readShape).knows(knowShape),
	"Size":            records(readShape).knows(func(n *node) *elements { return integerElements(n.shape(0).Elements()).reshaped(nil) }),
	"Reshape":         records(readReshape).knows(movesKnown(reshaped)),
	"Flatten":         records(readReshape).knows(movesKnown(flattened)),
	"Squeeze":         records(readReshape).knows(movesKnown(squeezed)),
	"Unsqueeze":       records(readReshape).knows(movesKnown(unsqueezed)),
	"Expand":          records(readExpand).knows(knowExpand),
	"ConstantOfShape": records(readConstantOfShape).knows(knowConstantOfShape),
	"Range":           records(readRange).knows(knowRange),
	"Constant":        {values: readConstant},
}

// readShape is never called: a shape is always known.
func readShape(n *node) *graph.Value {
	n.refuse("its shape is not known")
	return nil
}

func knowShape(n *node) *elements {
	s := n.shape(0)
	clamp := func(at int) int {
		if at < 0 {
			at += len(s)
		}
		return min(max(at, 0), len(s))
	}
	start, end := clamp(n.int("start", 0)), clamp(n.int("end", len(s)))
	return integerElements(s[start:max(start, end)]...)
}

// target returns the result shape of an operator that only reshapes its argument.
func target(n *node) graph.Shape {
	switch n.onnx.Op {
	case "Flatten":
		return flattened(n)
	case "Squeeze":
		return squeezed(n)
	case "Unsqueeze":
		return unsqueezed(n)
	}
	return reshaped(n)
}

func readReshape(n *node) *graph.Value { return n.b.Reshape(n.arg(0), target(n)...) }

// movesKnown reshapes known elements.
func movesKnown(shape func(n *node) graph.Shape) func(n *node) *elements {
	return func(n *node) *elements {
		e := n.carried(0)
		if e == nil {
			return nil
		}
		s, ok := shape(n).Numbers()
		if count, valid := format.Elements(s); !ok || !valid || count != e.len() {
			return nil
		}
		return e.reshaped(s)
	}
}

// carried returns the elements of argument i if arithmetic on them is done while
// reading: integers, and a few numbers. Larger tensors are weights.
func (n *node) carried(i int) *elements {
	const few = 64
	if count, ok := n.shape(i).Elements().Number(); !ok || n.dtype(i).Float() && count > few {
		return nil
	}
	return n.known(i)
}

// reshaped returns the result shape of a Reshape: 0 copies a dimension of the
// argument unless allowzero is set, -1 is the remaining size.
func reshaped(n *node) graph.Shape {
	from := n.shape(0)
	var wanted []graph.Dim
	if n.version < 5 && n.domain == "" {
		for _, d := range n.ints("shape") {
			wanted = append(wanted, graph.N(d))
		}
	} else {
		wanted = n.dims(1)
	}
	to := make(graph.Shape, len(wanted))
	open, copies := -1, !n.flag("allowzero", false)
	for i, d := range wanted {
		to[i] = d
		switch {
		case d.Is(0) && copies:
			if i >= len(from) {
				n.invalid("size 0 copies dimension %d of %s", i, from)
			}
			to[i] = from[i]
		case d.Is(-1):
			if open >= 0 {
				n.invalid("shape %s has two sizes -1", graph.Shape(wanted))
			}
			open = i
		}
	}
	if open >= 0 {
		to[open] = n.rest(from, append(append(graph.Shape{}, to[:open]...), to[open+1:]...))
	}
	return to
}

// rest returns the size that completes sizes to as many elements as from.
func (n *node) rest(from, sizes graph.Shape) graph.Dim {
	rest, divisor := graph.Shape{}, append(graph.Shape{}, sizes...)
	for _, d := range from { // equal dimensions cancel, even if they may be 0
		at := -1
		for i, e := range divisor {
			if d == e {
				at = i
				break
			}
		}
		if at < 0 {
			rest = append(rest, d)
			continue
		}
		divisor = append(divisor[:at], divisor[at+1:]...)
	}
	q, ok := rest.Elements().Quotient(divisor.Elements())
	a, known := rest.Elements().Number()
	b, both := divisor.Elements().Number()
	if !ok && known && both {
		n.invalid("%s is reshaped to %s and a size that is left: %d elements are not a multiple of %d", from, sizes, a, b)
	}
	if !ok {
		n.open("%s is reshaped to %s and a size that is left, which is no polynomial", from, sizes)
	}
	return q
}

func flattened(n *node) graph.Shape {
	s := n.shape(0)
	a := n.int("axis", 1)
	if a < 0 {
		a += len(s)
	}
	if a < 0 || a > len(s) {
		n.invalid("axis %d of %s", a, s)
	}
	return graph.Shape{s[:a].Elements(), s[a:].Elements()}
}

func squeezed(n *node) graph.Shape {
	s := n.shape(0)
	axes, given := n.axesOf(1, 13, len(s))
	drop := make([]bool, len(s))
	for _, a := range axes {
		if !s[a].Is(1) {
			if _, known := s[a].Number(); !known {
				n.open("axis %d of %s is squeezed", a, s)
			}
			n.invalid("axis %d of %s is squeezed", a, s)
		}
		drop[a] = true
	}
	out := graph.Shape{}
	for i, d := range s {
		if drop[i] || !given && d.Is(1) {
			continue
		}
		if _, known := d.Number(); !given && !known {
			n.open("all axes of size 1 of %s are squeezed", s)
		}
		out = append(out, d)
	}
	return out
}

func unsqueezed(n *node) graph.Shape {
	s := n.shape(0)
	count := len(n.ints("axes"))
	if n.version >= 13 {
		count = len(n.integers(1))
	}
	axes, _ := n.axesOf(1, 13, len(s)+count)
	out := make(graph.Shape, 0, len(s)+count)
	for i := range len(s) + count {
		if len(axes) > 0 && axes[0] == i {
			out, axes = append(out, graph.N(1)), axes[1:]
		} else {
			out, s = append(out, s[0]), s[1:]
		}
	}
	return out
}

// broadcastDims returns the shape to which two shapes broadcast.
func (n *node) broadcastDims(a, b graph.Shape) graph.Shape {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := append(graph.Shape{}, a...)
	for i, d := range b {
		at := len(a) - len(b) + i
		switch {
		case d.Is(1) || d == a[at]:
		case a[at].Is(1):
			out[at] = d
		default:
			_, known := d.Number()
			_, fixed := a[at].Number()
			if known && fixed {
				n.invalid("%s and %s do not broadcast", a, b)
			}
			n.open("%s and %s broadcast", a, b)
		}
	}
	return out
}

func readExpand(n *node) *graph.Value {
	x := n.arg(0)
	to := n.broadcastDims(x.Shape, n.dims(1))
	if to.Equal(x.Shape) {
		return x
	}
	return n.b.Expand(x, to...)
}

func knowExpand(n *node) *elements {
	e := n.carried(0)
	if e == nil || n.known(1) == nil {
		return nil
	}
	to, ok := n.broadcastDims(n.shape(0), n.dims(1)).Numbers()
	if count, valid := format.Elements(to); !ok || !valid || count > knownLimit {
		return nil
	}
	return e.broadcast(to)
}

// fill returns the one element of a ConstantOfShape.
func fill(n *node) *elements {
	a := n.attribute("value", 4)
	if a == nil {
		return &elements{dtype: format.Float32, shape: []int{1}, floats: []float64{0}}
	}
	t, err := Tensor(a.Tensor, n.r.o.Dir)
	if err != nil {
		panic(refusal{err})
	}
	e, err := fromTensor(t)
	if err != nil || e.len() != 1 {
		n.invalid("attribute %.80q does not have one element", "value")
	}
	return e
}

func knowConstantOfShape(n *node) *elements {
	e := fill(n)
	to, ok := graph.Shape(n.dims(0)).Numbers()
	count, valid := format.Elements(to)
	if !ok || !valid || count > knownLimit || e.dtype.Float() && count > 64 {
		return nil
	}
	return e.broadcast(to)
}

func readConstantOfShape(n *node) *graph.Value {
	e, s := fill(n), n.dims(0)
	if e.dtype == format.Float32 {
		return n.b.ConstantOfShape(e.floats[0], s...)
	}
	t, ok := e.reshaped([]int{}).tensor()
	if !ok {
		n.invalid("its element is no number")
	}
	return n.b.Expand(n.b.Const(t.WithName("fill")), s...)
}

// knowRange returns known numbers, of any type.
func knowRange(n *node) *elements {
	start, limit, delta := n.known(0), n.known(1), integerElements(graph.N(1)).reshaped([]int{})
	if n.dtype(0).Float() {
		delta = blank(n.dtype(0), []int{})
		delta.floats[0] = 1
	}
	if n.has(2) || n.domain == "" { // ONNX Runtime's own operator counts by one without it
		delta = n.known(2)
	}
	if start == nil || limit == nil || delta == nil {
		return nil
	}
	dtype := n.dtype(0)
	if dtype.Float() {
		from, to, by := start.floats[0], limit.floats[0], delta.floats[0]
		count := math.Max(math.Ceil((to-from)/by), 0)
		if !(count <= knownLimit) {
			n.refuse("a range of %g numbers", count)
		}
		e := blank(dtype, []int{int(count)})
		for i := range e.floats {
			e.floats[i] = from + float64(i)*by
		}
		return e
	}
	from, ok1 := start.ints[0].Number()
	to, ok2 := limit.ints[0].Number()
	by, ok3 := delta.ints[0].Number()
	if !ok1 || !ok2 || !ok3 {
		return nil
	}
	if by == 0 {
		n.invalid("a range in steps of 0")
	}
	count := max(0, (to-from+by-sign(by))/by)
	if count > knownLimit {
		return nil
	}
	e := blank(dtype, []int{count})
	for i := range e.ints {
		e.ints[i] = graph.N(from + i*by)
	}
	return e
}

func sign(x int) int {
	if x < 0 {
		return -1
	}
	return 1
}

func readRange(n *node) *graph.Value {
	if n.dtype(0).Float() {
		n.open("a range of numbers that are computed")
	}
	start, limit, step := n.dims(0)[0], n.dims(1)[0], 1
	if n.has(2) || n.domain == "" { // ONNX Runtime's own operator counts by one without it
		step = n.integer(2)
	}
	dtype := n.dtype(0)
	if step != 1 {
		count, ok := limit.Sub(start).Quotient(graph.N(step))
		if !ok {
			n.open("a range from %s to %s in steps of %d", start, limit, step)
		}
		ids := n.b.Mul(n.b.Range(graph.N(0), count), n.constant(float64(step), format.Int64))
		return n.cast(n.b.Add(ids, n.size(start)), dtype)
	}
	return n.cast(n.b.Range(start, limit), dtype)
}

// cast returns x in another type, or x itself if it has that type.
func (n *node) cast(x *graph.Value, t format.DType) *graph.Value {
	if x.DType == t {
		return x
	}
	return n.b.Cast(x, t)
}
