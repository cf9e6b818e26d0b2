package check

import (
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// maxWork bounds the number of nodes examined in addition to those of the graph.
// The nodes of a function count at every call: functions that call one another
// twice could otherwise take forever.
const maxWork = 1 << 18

// infer infers the type and shape of every value and returns the
// contradictions.
func infer(m *onnx.Model) []error {
	if c := (&checker{}); !c.calls(m) {
		return c.found
	}
	in := &inference{ir: m.IRVersion, functions: map[functionID]*onnx.Function{}, left: maxWork + len(m.Graph.Nodes), active: map[*onnx.Function]bool{}}
	for _, f := range m.Functions {
		in.functions[idOf(f)] = f
	}
	imports := opsets{}
	for _, o := range m.Opsets {
		imports[o.Domain] = o.Version
	}
	f := &frame{in: in, opsets: imports}
	f.graph(m.Graph)
	return f.found
}

// Contradictions infers the types and shapes of a model's values with another table
// of operators, such as a runtime's. It returns the faults of the nodes of the
// model's graph, by their index. It does not report wrong declarations of values
// that a node computes, nor faults that follow from a faulty node.
func Contradictions(m *onnx.Model, lookup func(domain, op string, opset int64) *schema.Operator) map[int]string {
	in := &inference{ir: m.IRVersion, left: maxWork + len(m.Graph.Nodes), lookup: lookup, refused: map[int]string{}}
	imports := opsets{}
	for _, o := range m.Opsets {
		imports[schema.Standard(o.Domain)] = o.Version
	}
	(&frame{in: in, opsets: imports}).graph(m.Graph)
	return in.refused
}

// inference is shared by all frames of a model.
type inference struct {
	lookup  func(domain, op string, opset int64) *schema.Operator // nil: ONNX's own table
	refused map[int]string                                        // not nil if each node is judged separately

	ir        int64
	functions map[functionID]*onnx.Function
	left      int // nodes that may still be examined
	active    map[*onnx.Function]bool
	symbols   int
}

// frame is a graph, or the body of a called function.
type frame struct {
	in      *inference
	opsets  opsets
	outer   *frame
	types   map[string]*onnx.Type
	untyped map[string]*onnx.Type // outputs of the graph that are declared without a type
	data    map[string]*onnx.Tensor
	omitted map[string]bool // inputs of a function that its caller omits
	bound   map[string]*onnx.Attribute
	foreign bool // an unknown operator occurred: later nodes are not judged
	found   []error
	ended   bool
}

// fault is a rule's refusal. A grave one ends the graph.
type fault struct {
	reason string
	grave  bool
}

func refuse(reason string, args ...any) { panic(fault{reason: fmt.Sprintf(reason, args...)}) }

// strict makes a rule that indexes wrongly panic. Tests set it.
var strict = false

// guard runs f and returns its refusal.
func guard(f func()) (refused *fault) {
	defer func() {
		if r := recover(); r != nil {
			x, ok := r.(fault)
			if !ok {
				panic(r)
			}
			refused = &x
		}
	}()
	f()
	return nil
}

// apply runs a rule. A rule with a mistake, which indexes beyond a list that a file
// has shorter, must not end the program: what it would have found is not known then,
// and no later node is judged, as if there were no rule.
func (f *frame) apply(r rule, c *call) {
	defer func() {
		switch r := recover().(type) {
		case nil:
			return
		case runtime.Error:
			if !strict {
				break
			}
			panic(r)
		default:
			panic(r)
		}
		f.foreign = true
		for i := range c.outs {
			c.outs[i] = &onnx.Type{NoShape: true}
		}
	}()
	r(c)
}

func (f *frame) bad(where, reason string) {
	if len(f.found) < maxProblems {
		f.found = append(f.found, &onnx.FormatError{Offset: -1, Where: where, Reason: reason})
	}
}

// typeOf returns the known part of a value's type, nil if nothing is known.
func (f *frame) typeOf(name string) *onnx.Type {
	for ; f != nil; f = f.outer {
		if t := f.types[name]; t != nil {
			return t
		}
	}
	return nil
}

func (f *frame) graph(g *onnx.Graph) {
	f.types, f.untyped, f.data = map[string]*onnx.Type{}, map[string]*onnx.Type{}, map[string]*onnx.Tensor{}
	lists := [][]onnx.ValueInfo{g.Values, g.Inputs, g.Outputs}
	if f.in.refused != nil { // a value that is an input and an output is what the input declares
		lists[1], lists[2] = lists[2], lists[1]
	}
	for _, list := range lists {
		for _, v := range list {
			if t := typeOf(v); t.Kind != 0 {
				f.types[v.Name] = copied(t)
			}
		}
	}
	for _, t := range g.Initializers {
		f.data[t.Name] = t
		f.initializer(t.Name, &onnx.Type{Kind: onnx.TensorType, DataType: t.DataType, Dims: fixed(t.Dims)})
	}
	for _, t := range g.Sparse {
		if t.Values != nil {
			f.initializer(t.Name(), &onnx.Type{Kind: onnx.SparseTensorType, DataType: t.Values.DataType, Dims: fixed(t.Dims)})
		}
	}
	f.nodes(g.Nodes, "")
}

func (f *frame) initializer(name string, t *onnx.Type) {
	if f.ended {
		return
	}
	have := f.types[name]
	if f.in.refused == nil { // ONNX's rules also compare it with a value of that name in the graphs around it
		have = f.typeOf(name)
	}
	if have != nil {
		if x := guard(func() { agree(t, have) }); x != nil {
			f.bad(fmt.Sprintf("initializer %.80q", name), x.reason)
			f.ended = true
		}
	} else if f.in.ir >= 4 {
		f.types[name] = t
	}
}

func (f *frame) nodes(list []*onnx.Node, prefix string) {
	for i, n := range list {
		if f.ended || len(f.found) >= maxProblems {
			return
		}
		if f.in.left--; f.in.left < 0 {
			f.bad(prefix+n.Label(i), fmt.Sprintf("functions and graphs that unfold to more than %d nodes", maxWork))
			f.ended = true
			return
		}
		x := guard(func() { f.node(n) })
		if x != nil && f.in.refused != nil && f.outer == nil {
			if x.grave || !f.foreign {
				f.in.refused[i] = x.reason
			}
			f.foreign = true
			continue
		}
		if x != nil {
			if x.grave || !f.foreign {
				f.bad(prefix+n.Label(i), x.reason)
			}
			f.ended = x.grave
		}
	}
}

// node infers the outputs of a node.
func (f *frame) node(n *onnx.Node) {
	o := f.operator(n)
	c := &call{frame: f, node: n, op: o, outs: make([]*onnx.Type, len(n.Outputs))}
	for i := range c.outs {
		c.outs[i] = &onnx.Type{NoShape: true}
	}
	switch {
	case o != nil:
		if !o.TakesOutputs(len(n.Outputs)) || len(n.Inputs) < o.MinInputs || len(n.Inputs) > o.MaxInputs {
			panic(fault{fmt.Sprintf("%s-%d with %d inputs and %d outputs", o.Name, o.Since, len(n.Inputs), len(n.Outputs)), true})
		}
		if rule := ruleOf(o); rule != nil {
			f.apply(rule, c)
		} else {
			defer c.unknown()
		}
		c.constraints()
	case f.in.functions[callee(n)] != nil:
		c.function(f.in.functions[callee(n)])
	default:
		f.foreign = true
		return
	}
	f.constant(n)
	for i, out := range n.Outputs {
		if out != "" && c.outs[i].Kind != 0 {
			f.update(out, c.outs[i])
		}
	}
}

// operator returns the definition of a node's operator, nil if there is none.
func (f *frame) operator(n *onnx.Node) *schema.Operator {
	domain := n.Domain
	if f.in.lookup != nil {
		domain = schema.Standard(domain)
	}
	version, ok := f.opsets.of(domain)
	switch {
	case !ok:
		panic(fault{fmt.Sprintf("operator set %.80q is not imported", n.Domain), true})
	case f.in.lookup != nil:
		return f.in.lookup(domain, n.Op, version)
	}
	return lookup(n, version)
}

// unknown records that there is no rule here for the type of an output, so that
// no later node is refused because of it.
func (c *call) unknown() {
	for _, t := range c.outs {
		c.frame.foreign = c.frame.foreign || c.op.Inference && t.Kind == 0
	}
}

// update merges the inferred type into the declared one.
func (f *frame) update(name string, t *onnx.Type) {
	f.symbolic(t)
	if have := f.typeOf(name); have != nil {
		if f.in.refused != nil && guard(func() { agree(t, have) }) != nil {
			f.lenient(name, t, have)
			return
		}
		agree(t, have)
		merge(t, have)
		return
	}
	f.types[name] = t
}

// lenient merges an inferred type that contradicts the declared one, as runtimes do:
// of the shape, what both agree on is left.
func (f *frame) lenient(name string, t, have *onnx.Type) {
	if t.Kind != have.Kind || t.DataType != have.DataType || !shaped(t) || !shaped(have) {
		if f.data[name] != nil { // a Constant is what it holds
			f.types[name] = t
		}
		return
	}
	union(t, have)
}

// symbolic gives each unknown size a new name.
func (f *frame) symbolic(t *onnx.Type) {
	for ; t != nil; t = t.Elem {
		for i, d := range t.Dims {
			if d.Open && d.Param == "" {
				f.in.symbols++
				t.Dims[i].Param = fmt.Sprintf("unk__%d", f.in.symbols)
			}
		}
	}
}

// constant stores the value of a Constant.
func (f *frame) constant(n *onnx.Node) {
	if schema.Standard(n.Domain) != "" || n.Op != "Constant" || len(n.Outputs) != 1 {
		return
	}
	for i := range n.Attributes {
		a := f.attribute(&n.Attributes[i])
		if t := constantOf(a); t != nil {
			f.data[n.Outputs[0]] = t
		}
	}
}

// attribute returns the value of an attribute of a function's node in this
// call, nil if the caller omits it.
func (f *frame) attribute(a *onnx.Attribute) *onnx.Attribute {
	if a.Ref == "" {
		return a
	}
	if f.bound == nil {
		return a
	}
	value := f.bound[a.Ref]
	if value == nil {
		return nil
	}
	out := *value
	out.Name = a.Name
	return &out
}

// function infers the outputs of a node that calls a function of the model.
func (c *call) function(fn *onnx.Function) {
	in := c.frame.in
	if in.active[fn] {
		refuse("%s calls itself", idOf(fn))
	}
	in.active[fn] = true
	defer delete(in.active, fn)
	f := &frame{in: in, opsets: opsets{}, types: map[string]*onnx.Type{}, data: map[string]*onnx.Tensor{}, omitted: map[string]bool{}, bound: map[string]*onnx.Attribute{}}
	for _, o := range fn.Opsets {
		f.opsets[o.Domain] = o.Version
	}
	for i, name := range fn.Inputs {
		if !c.has(i) {
			f.omitted[name] = true
			continue
		}
		if t := c.in(i); t != nil {
			f.types[name] = copied(t)
			if d := c.tensor(i); d != nil {
				f.data[name] = d
			}
		}
	}
	for _, name := range fn.Attributes {
		f.bound[name] = c.attribute(name)
	}
	for i := range fn.Defaults {
		d := &fn.Defaults[i]
		if f.bound[d.Name] = c.attribute(d.Name); f.bound[d.Name] == nil {
			f.bound[d.Name] = d
		}
	}
	f.nodes(fn.Nodes, idOf(fn).String()+": ")
	if len(f.found) > 0 {
		panic(fault{f.found[0].Error(), false})
	}
	for i, name := range fn.Outputs {
		if t := f.types[name]; t != nil {
			if i >= len(c.outs) {
				panic(fault{fmt.Sprintf("%s has an output %d, the node has not", idOf(fn), i), true})
			}
			c.outs[i] = copied(t)
		}
	}
}

// body infers the outputs of a subgraph from the types of its inputs; nil is an
// unknown type.
func (c *call) body(name string, inputs []*onnx.Type) []*onnx.Type {
	a := c.attribute(name)
	if a == nil || a.Graph == nil {
		return nil
	}
	g := *a.Graph
	g.Inputs = slices.Clone(g.Inputs)
	defaults := map[string]bool{}
	for _, t := range g.Initializers {
		defaults[t.Name] = true
	}
	if len(g.Inputs) != len(inputs) && (c.frame.in.ir >= 4 || len(inputs) > len(g.Inputs)) {
		refuse("the graph %.80q has %d inputs, the node gives %d", name, len(g.Inputs), len(inputs))
	}
	for i := range g.Inputs {
		v := &g.Inputs[i]
		if defaults[v.Name] != (i >= len(inputs)) {
			refuse("the graph %.80q has no value for its input %.80q, or two", name, v.Name)
		}
		if i < len(inputs) && inputs[i] != nil {
			t := typeOf(*v)
			if t.Kind == 0 {
				t = copied(inputs[i])
			} else {
				t = copied(t)
				agree(inputs[i], t)
				merge(inputs[i], t)
			}
			c.frame.symbolic(t)
			*v = valueOf(v.Name, t)
		}
	}
	f := &frame{in: c.frame.in, opsets: c.frame.opsets, outer: c.frame, bound: c.frame.bound, omitted: maps.Clone(c.frame.omitted)}
	f.graph(&g)
	if len(f.found) > 0 {
		panic(fault{f.found[0].Error(), false})
	}
	outs := make([]*onnx.Type, len(g.Outputs))
	for i, v := range g.Outputs {
		if outs[i] = f.types[v.Name]; outs[i] == nil {
			outs[i] = &onnx.Type{NoShape: true}
		}
	}
	return outs
}

func valueOf(name string, t *onnx.Type) onnx.ValueInfo {
	if t.Kind == onnx.TensorType {
		return onnx.ValueInfo{Name: name, DataType: t.DataType, Dims: t.Dims, NoShape: t.NoShape}
	}
	return onnx.ValueInfo{Name: name, NoShape: true, Other: t}
}
