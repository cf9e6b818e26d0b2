package exprgraph

import (
	"fmt"
	"reflect"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// reading is a network that is being read.
type reading struct {
	Network
	b       *graph.Builder
	g       *gorgonia.ExprGraph
	at      map[uintptr]*gorgonia.Node // the nodes of the graph, by address
	values  map[*gorgonia.Node]*graph.Value
	dims    map[*gorgonia.Node]graph.Dim // the results of SizeOf
	repeats map[*gorgonia.Node]repeated  // what is only broadcast
	sizes   map[string]int               // of the named dimensions, in Gorgonia
	weights model.Weights
	taken   map[string]bool       // names in use
	called  map[*graph.Value]bool // values with a name of the user's
	scalars map[string]*graph.Value
}

// newReading checks that inputs and outputs are nodes of one graph.
func newReading(n Network) *reading {
	r := &reading{
		Network: n, b: graph.NewBuilder(), at: map[uintptr]*gorgonia.Node{}, values: map[*gorgonia.Node]*graph.Value{},
		dims: map[*gorgonia.Node]graph.Dim{}, repeats: map[*gorgonia.Node]repeated{}, sizes: map[string]int{}, taken: map[string]bool{}, called: map[*graph.Value]bool{}, scalars: map[string]*graph.Value{},
	}
	if len(n.Outputs) == 0 {
		refuse("no outputs", "name the nodes that the network returns")
	}
	for what, list := range map[string]gorgonia.Nodes{"input": n.Inputs, "output": n.Outputs} {
		for i, x := range list {
			switch {
			case x == nil:
				refuse(fmt.Sprintf("%s %d is nil", what, i), "check the error of the function that made the node")
			case x.Graph() == nil:
				panic(&Error{Node: x.Name(), Reason: "the " + what + " belongs to no graph", Do: "make it with one, as gorgonia.NewTensor does"})
			case r.g == nil:
				r.g = x.Graph()
			}
			if x.Graph() != r.g {
				panic(&Error{Node: x.Name(), Reason: "the " + what + " is a node of another graph", Do: "take inputs and outputs of one graph"})
			}
			if slices.Contains(list[:i], x) {
				panic(&Error{Node: x.Name(), Reason: "it is listed twice as " + what, Do: "list it once"})
			}
		}
	}
	var names []string
	for _, x := range r.g.AllNodes() {
		r.at[reflect.ValueOf(x).Pointer()] = x
		if name := nameOf(x); name != "" {
			names = append(names, name)
		}
	}
	r.b.Reserve(names...)
	return r
}

// nameOf returns the name that a user gave a node, "" if none.
func nameOf(n *gorgonia.Node) string { return reflect.ValueOf(n).Elem().FieldByName("name").String() }

// children returns the arguments of a node, in order.
func (r *reading) children(n *gorgonia.Node) gorgonia.Nodes {
	list := reflect.ValueOf(n).Elem().FieldByName("children")
	out := make(gorgonia.Nodes, list.Len())
	for i := range out {
		if out[i] = r.at[list.Index(i).Pointer()]; out[i] == nil {
			panic(errorAt(n, "one of its arguments is not in the graph", "make all nodes in one graph"))
		}
	}
	return out
}

// errorAt returns an error about a node.
func errorAt(n *gorgonia.Node, reason, do string) *Error {
	e := &Error{Node: nameOf(n), Reason: reason, Do: do}
	if op := n.Op(); op != nil {
		e.Op = printed(op)
	}
	if e.Node == "" {
		e.Node = fmt.Sprintf("%%%x", n.ID()) // as Gorgonia prints it
	}
	return e
}

// printed returns what an operator's String method does, or its type if that
// panics.
func printed(op gorgonia.Op) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("%T", op)
		}
	}()
	return op.String()
}

// unique returns a free name: name, or name with a number.
func (r *reading) unique(name string) string {
	free := name
	for i := 2; r.taken[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	r.taken[free] = true
	return free
}

// call names a value.
func (r *reading) call(name string, v *graph.Value) {
	r.b.Name(r.unique(name), v)
	r.called[v] = true
}

// declare declares the inputs.
func (r *reading) declare() {
	for x, names := range r.Dims {
		if !slices.Contains(r.Inputs, x) {
			refuse("Dims names dimensions of a node that is no input", "list it in Inputs")
		}
		if shape := x.Shape(); len(names) != len(shape) {
			panic(errorAt(x, fmt.Sprintf("Dims has %d names for its shape %v", len(names), shape), `give a name for each dimension, "" for one that keeps its size`))
		}
	}
	for i, x := range r.Inputs {
		name := nameOf(x)
		if name == "" {
			name = r.unique(numbered("input", i, len(r.Inputs)))
		} else if r.taken[name] {
			panic(errorAt(x, "two inputs have this name", "give each its own with gorgonia.WithName"))
		}
		r.taken[name] = true
		shape := graph.Numbers(x.Shape()...)
		for axis, dim := range r.Dims[x] {
			if dim != "" {
				shape[axis] = r.named(x, dim, x.Shape()[axis])
			}
		}
		if as, ok := role.FromName(name); ok && as.Kind == role.Features && r.dtype(x).Float() && len(shape) > 1 {
			r.values[x] = r.b.InputFor(as, r.dtype(x), shape...)
		} else {
			r.values[x] = r.b.Input(name, r.dtype(x), shape...)
		}
		r.check(x)
	}
}

// named returns a named dimension, whose size in Gorgonia is given.
func (r *reading) named(x *gorgonia.Node, name string, size int) graph.Dim {
	d := graph.Sym(name)
	switch known, twice := r.sizes[name]; {
	case !d.Valid():
		panic(errorAt(x, fmt.Sprintf("a dimension cannot be called %.40q", name), "take a letter, then letters and digits"))
	case size < 2:
		panic(errorAt(x, fmt.Sprintf("the dimension %s has the size %d, and Gorgonia treats that size as none", name, size), "make the graph for a size of 2 or more"))
	case twice && known != size:
		panic(errorAt(x, fmt.Sprintf("the dimension %s has the size %d here and %d elsewhere", name, size, known), "give one of them another name"))
	}
	r.sizes[name] = size
	return d
}

// numbered returns word, with a number if there are several.
func numbered(word string, i, of int) string {
	if of == 1 {
		return word
	}
	return fmt.Sprintf("%s_%d", word, i+1)
}

// check reports the builder's first error as one of a node.
func (r *reading) check(n *gorgonia.Node) {
	if err := r.b.Err(); err != nil {
		panic(errorAt(n, err.Error(), "report this as a bug of attnx if Gorgonia runs the graph"))
	}
}

// visit reads a node and what it depends on, without recursion.
func (r *reading) visit(last *gorgonia.Node) {
	type step struct {
		node *gorgonia.Node
		args gorgonia.Nodes // nil until they are on the stack
		next int
	}
	const none = -1
	open := map[*gorgonia.Node]bool{}
	for stack := []step{{node: last, next: none}}; len(stack) > 0; {
		s := &stack[len(stack)-1]
		if s.next == none {
			if r.known(s.node) {
				stack = stack[:len(stack)-1]
				continue
			}
			if open[s.node] {
				panic(errorAt(s.node, "it depends on itself", "a network has no cycles"))
			}
			open[s.node] = true
			s.args, s.next = r.needs(s.node), 0
		}
		if s.next < len(s.args) {
			s.next++
			stack = append(stack, step{node: s.args[s.next-1], next: none})
			continue
		}
		r.read(s.node)
		open[s.node] = false
		stack = stack[:len(stack)-1]
	}
}

func (r *reading) known(n *gorgonia.Node) bool {
	_, size := r.dims[n]
	_, repeat := r.repeats[n]
	return size || repeat || r.values[n] != nil
}

// needs returns the nodes that must be read before n.
func (r *reading) needs(n *gorgonia.Node) gorgonia.Nodes {
	if n.Op() == nil {
		return nil
	}
	if x := r.rectified(n); x != nil {
		return gorgonia.Nodes{x}
	}
	if c := r.convolution(n); c != nil {
		return gorgonia.Nodes{c.image, c.filter}
	}
	return r.children(n)
}

// read records a node whose arguments are recorded.
func (r *reading) read(x *gorgonia.Node) {
	defer func() {
		if p := recover(); p != nil {
			if _, ours := p.(*Error); !ours {
				p = errorAt(x, fmt.Sprintf("reading it panicked: %v", p), "check that Gorgonia can run the graph, and report this as a bug of attnx")
			}
			panic(p)
		}
	}()
	before := len(r.b.Recorded())
	v := r.record(x)
	r.check(x)
	if v == nil { // nothing uses it yet
		return
	}
	if name := nameOf(x); name != "" && slices.Contains(r.b.Recorded()[before:], v.Node) && !v.Leaf() {
		r.call(name, v)
	}
	r.check(x)
	r.values[x] = v
}

// record returns the value of a node, nil for a size or a repetition, which are
// recorded when something uses them.
func (r *reading) record(x *gorgonia.Node) *graph.Value {
	if x.Op() == nil {
		return r.weight(x)
	}
	n := r.node(x)
	if n.constant() {
		return r.constant(n)
	}
	if n.is("sizeOp") {
		r.dims[x] = r.value(n.args[0]).Shape[n.int("axis")]
		return nil
	}
	v := n.row().read(n)
	r.check(x)
	if v == nil {
		return nil
	}
	return n.fit(v)
}

// value returns the recorded value of a node. A size becomes a scalar here, and a
// repetition an Expand.
func (r *reading) value(n *gorgonia.Node) *graph.Value {
	if v := r.values[n]; v != nil {
		return v
	}
	if x, ok := r.repeats[n]; ok {
		r.values[n] = r.b.Expand(x.value, x.to...)
		return r.values[n]
	}
	d := r.dims[n]
	size, known := d.Number()
	if known {
		r.values[n] = r.scalar(r.dtype(n), float64(size))
	} else {
		r.values[n] = r.b.Cast(r.b.ReduceSum(r.b.ConstantOfShape(1, d), false, 0), r.dtype(n))
	}
	return r.values[n]
}

// scalar returns a constant.
func (r *reading) scalar(t format.DType, x float64) *graph.Value {
	key := fmt.Sprint(t, x)
	if v := r.scalars[key]; v != nil {
		return v
	}
	var c format.Tensor
	if t == format.Int64 {
		c = format.FromInt64s("", []int{}, []int64{int64(x)})
	} else {
		var err error
		if c, _, err = format.FromFloat64s("", []int{}, []float64{x}).Convert(t); err != nil {
			refuse(err.Error(), "")
		}
	}
	r.scalars[key] = r.b.Const(c)
	return r.scalars[key]
}

// like returns a constant in the element type of v.
func (r *reading) like(v *graph.Value, x float64) *graph.Value { return r.scalar(v.DType, x) }

// outputs declares the outputs.
func (r *reading) outputs() {
	names := map[string]bool{}
	for i, x := range r.Outputs {
		name := nameOf(x)
		if name == "" {
			name = numbered("output", i, len(r.Outputs))
			if v := r.value(x); !v.Leaf() && !r.taken[name] && !r.called[v] {
				r.call(name, v)
			}
		}
		if names[name] {
			panic(errorAt(x, "two outputs have this name", "give each its own with gorgonia.WithName"))
		}
		names[name] = true
		if as, ok := role.FromName(name); ok && (as.Kind == role.Logits || as.Kind == role.Prediction) && r.dtype(x).Float() {
			r.b.OutputFor(as, r.value(x))
		} else {
			r.b.Output(name, r.value(x))
		}
		r.check(x)
	}
}
