package read

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// node is a node of the file, as its operator's function sees it. Its methods do
// not return errors: a method that fails stops reading the node (refusal).
type node struct {
	r       *reading
	b       *graph.Builder // records values, with names below the node's name
	onnx    *onnx.Node
	scope   *scope
	domain  string
	version int64    // of the node's operator set
	args    []*value // nil for an omitted optional input

	seen map[string]bool // attributes that the function has read
	used map[int]bool    // inputs that the function has read
}

// checkSeen refuses an attribute or input that the operator's function has not
// read, since it may change the result.
func (n *node) checkSeen() {
	for _, a := range n.onnx.Attributes {
		if !n.seen[a.Name] {
			n.refuse("attribute %.80q is not supported", a.Name)
		}
	}
	for i := range n.args {
		if n.has(i) && !n.used[i] {
			n.refuse("its input %d, %.80q, is not supported", i, n.args[i].name)
		}
	}
}

// pass marks attributes and inputs that do not affect attnx's result.
func (n *node) pass(attributes []string, inputs ...int) {
	for _, name := range attributes {
		n.seen[name] = true
	}
	for _, i := range inputs {
		n.used[i] = true
	}
}

// name returns the node's name for messages and scopes: the name of its first
// output, which is unique.
func (n *node) name() string { return nodeName(n.onnx) }

func nodeName(n *onnx.Node) string {
	for _, out := range n.Outputs {
		if out != "" {
			return out
		}
	}
	return n.Name
}

// operator returns "Conv" or "com.microsoft.FusedConv".
func (n *node) operator() string { return key{n.domain, n.onnx.Op}.String() }

// has reports whether argument i is present.
func (n *node) has(i int) bool { return i < len(n.args) && n.args[i] != nil }

// value returns argument i.
func (n *node) value(i int) *value {
	if !n.has(i) {
		n.invalid("it has no input %d", i)
	}
	n.used[i] = true
	if !n.args[i].isTensor() {
		n.refuse("its input %.80q is a sequence or an optional value", n.args[i].name)
	}
	return n.args[i]
}

// arg returns argument i as a value of the graph.
func (n *node) arg(i int) *graph.Value {
	v, err := n.r.record(n.value(i))
	if err != nil {
		if n.r.b.Err() != nil { // what the node has recorded so far has failed
			err = n.recorded()
		}
		panic(refusal{err})
	}
	return v
}

// optional returns argument i as a value of the graph, nil if it is omitted.
func (n *node) optional(i int) *graph.Value {
	if !n.has(i) {
		return nil
	}
	return n.arg(i)
}

// all returns all arguments as values of the graph.
func (n *node) all() []*graph.Value {
	out := make([]*graph.Value, len(n.args))
	for i := range n.args {
		out[i] = n.arg(i)
	}
	return out
}

// shape returns the sizes of argument i.
func (n *node) shape(i int) graph.Shape { return n.value(i).shape() }

// dtype returns the element type of argument i.
func (n *node) dtype(i int) format.DType { return n.value(i).dtype() }

// known returns the elements of argument i, nil if they are unknown while
// reading.
func (n *node) known(i int) *elements { return n.r.elementsOf(n.value(i)) }

// dims returns the elements of argument i, which must be known sizes or
// positions: numbers or polynomials.
func (n *node) dims(i int) []graph.Dim {
	e := n.known(i)
	if e == nil {
		n.open("its input %.80q decides a size, and is computed from data", n.value(i).name)
	}
	if !e.dtype.Float() {
		return e.ints
	}
	out := make([]graph.Dim, len(e.floats)) // OneHot's depth may be a floating-point number
	for j, x := range e.floats {
		if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			n.invalid("its input %.80q is %g, expected integers", n.value(i).name, x)
		}
		out[j] = graph.N(int(x))
	}
	return out
}

// integers returns the elements of argument i, which must be known integers.
func (n *node) integers(i int) []int {
	d := n.dims(i)
	numbers, ok := graph.Shape(d).Numbers()
	if !ok {
		n.open("its input %.80q is %s", n.value(i).name, graph.Shape(d))
	}
	return numbers
}

// integer returns argument i, which must be one known integer.
func (n *node) integer(i int) int {
	v := n.integers(i)
	if len(v) != 1 {
		n.invalid("its input %.80q has %d elements, expected one", n.value(i).name, len(v))
	}
	return v[0]
}

// scalar returns argument i, which must be one known number.
func (n *node) scalar(i int) float64 {
	e := n.known(i)
	if e == nil {
		n.open("its input %.80q is computed from data", n.value(i).name)
	}
	if e.len() != 1 {
		n.invalid("its input %.80q has %d elements, expected one", n.value(i).name, e.len())
	}
	if e.dtype.Float() {
		return e.floats[0]
	}
	return float64(n.integer(i))
}

// attribute returns the attribute of a name, nil if the node does not have it.
func (n *node) attribute(name string, t onnx.AttributeType) *onnx.Attribute {
	n.seen[name] = true
	for i, a := range n.onnx.Attributes {
		if a.Name == name {
			if a.Type != t {
				n.invalid("attribute %.80q is a %s, expected a %s", name, a.Type, t)
			}
			return &n.onnx.Attributes[i]
		}
	}
	return nil
}

// isSet reports whether the node has an attribute.
func (n *node) isSet(name string) bool {
	n.seen[name] = true
	return slices.ContainsFunc(n.onnx.Attributes, func(a onnx.Attribute) bool { return a.Name == name })
}

// require stops reading a node without the attribute.
func (n *node) require(name string) {
	if !n.isSet(name) {
		n.invalid("it has no attribute %.80q", name)
	}
}

// int returns an integer attribute.
func (n *node) int(name string, otherwise int) int {
	a := n.attribute(name, onnx.AttrInt)
	if a == nil {
		return otherwise
	}
	if int64(int(a.Int)) != a.Int {
		n.invalid("attribute %.80q is %d", name, a.Int)
	}
	return int(a.Int)
}

// flag returns an attribute with the values 0 and 1.
func (n *node) flag(name string, otherwise bool) bool {
	d := 0
	if otherwise {
		d = 1
	}
	v := n.int(name, d)
	if v != 0 && v != 1 { // ONNX Runtime takes 2 for 0 in some operators, and for 1 in others
		n.invalid("attribute %.80q is %d, expected 0 or 1", name, v)
	}
	return v == 1
}

// float returns a floating-point attribute.
func (n *node) float(name string, otherwise float64) float64 {
	a := n.attribute(name, onnx.AttrFloat)
	if a == nil {
		return otherwise
	}
	return float64(a.Float)
}

// text returns a string attribute.
func (n *node) text(name, otherwise string) string {
	a := n.attribute(name, onnx.AttrString)
	if a == nil {
		return otherwise
	}
	return string(a.String)
}

// choice returns a string attribute with one of the given values.
func (n *node) choice(name, otherwise string, choices ...string) string {
	text := n.text(name, otherwise)
	if !slices.Contains(choices, text) {
		n.invalid("attribute %.80q is %.80q, expected one of %v", name, text, choices)
	}
	return text
}

// ints returns an attribute with a list of integers, nil if there is none.
func (n *node) ints(name string) []int {
	a := n.attribute(name, onnx.AttrInts)
	if a == nil {
		return nil
	}
	out := make([]int, len(a.Ints))
	for i, v := range a.Ints {
		out[i] = int(v)
	}
	return out
}

// subgraph returns a graph attribute.
func (n *node) subgraph(name string) *onnx.Graph {
	n.require(name)
	g := n.attribute(name, onnx.AttrGraph).Graph
	if g == nil {
		n.invalid("attribute %.80q holds no graph", name)
	}
	return g
}

// axis returns an axis of a tensor of the rank, counted from the front.
func (n *node) axis(a, rank int) int {
	if a < -rank || a >= rank {
		n.invalid("axis %d of a tensor of %d dimensions", a, rank)
	}
	if a < 0 {
		return a + rank
	}
	return a
}

// axes returns several axes, counted from the front and sorted.
func (n *node) axes(list []int, rank int) []int {
	out := make([]int, len(list))
	for i, a := range list {
		out[i] = n.axis(a, rank)
	}
	slices.Sort(out)
	if len(slices.Compact(slices.Clone(out))) != len(out) {
		n.invalid("axes %v name one twice", list)
	}
	return out
}

// axesOf returns the axes in attribute "axes" before version since, and in
// input i from that version on; ok is false if there are none.
func (n *node) axesOf(i int, since int64, rank int) (axes []int, ok bool) {
	if n.version < since {
		list := n.ints("axes")
		return n.axes(list, rank), n.isSet("axes")
	}
	if !n.has(i) {
		return nil, false
	}
	return n.axes(n.integers(i), rank), true
}

// constant returns the number x as a scalar of type t, shared by all its uses.
func (n *node) constant(x float64, t format.DType) *graph.Value {
	name := fmt.Sprintf("constant.%s.%g", t, x)
	if v := n.r.constants[name]; v != nil {
		return v
	}
	e := blank(t, []int{})
	if t.Float() {
		e.floats[0] = x
	} else {
		if x != math.Trunc(x) {
			n.refuse("the number %g in %s", x, t)
		}
		e.ints[0] = graph.N(int(x))
	}
	tensor, ok := e.tensor()
	if !ok {
		n.refuse("the number %g in %s", x, t)
	}
	free := n.r.unique(name)
	n.r.taken[free] = true
	v := n.r.b.Const(tensor.WithName(free))
	n.r.constants[name] = v
	return v
}

// like returns the number x as a scalar of v's type.
func (n *node) like(v *graph.Value, x float64) *graph.Value { return n.constant(x, v.DType) }

// apply records an operator and returns its first result.
func (n *node) apply(op graph.Op, args ...*graph.Value) *graph.Value {
	return n.b.Apply(op, 1, args...)[0]
}

// one returns v as the only result of a node.
func one(v *graph.Value) []*graph.Value { return []*graph.Value{v} }
