package graph

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// Builder records values into a graph. Its methods do not return errors: the
// builder keeps the first error, with the caller's file and line, and Graph
// returns it. A network therefore reads like its formulas. An axis may be
// counted from the end: -1 is the last.
//
// A Builder returned by Scope records into the same graph and adds its prefix
// to every name.
type Builder struct {
	*recording
	prefix string // "" or ends in "."
	made   bool   // a pass gives the names, which yield to those of the network
}

type recording struct {
	graph Graph
	names map[string]*Value
	owned map[*Value]bool
	yield map[*Value]bool // values with generated names, which yield to those of the network
	count map[string]int  // values without a given name, by scope and operator
	taken map[string]bool // names that later values will use, from the graph that is rewritten
	clash bool            // an input or weight has the name of a value of the extended graph
	err   error

	scalars map[string]*Value // constants shared by all their users, by type and elements
	nested  int               // depth of decompositions that are being differentiated
	through bool              // see GradThrough
}

// NewBuilder returns a Builder of an empty graph.
func NewBuilder() *Builder {
	return &Builder{recording: &recording{
		names: map[string]*Value{},
		owned: map[*Value]bool{},
		yield: map[*Value]bool{}, scalars: map[string]*Value{},
		count: map[string]int{},
	}}
}

// Scope returns a Builder that prefixes every name with name and a dot.
func (b *Builder) Scope(name string) *Builder {
	return &Builder{recording: b.recording, prefix: b.prefix + name + ".", made: b.made}
}

// root returns a Builder of the same graph without a prefix.
func (b *Builder) root() *Builder { return &Builder{recording: b.recording, made: b.made} }

// kept returns a Builder of the same graph for values that a pass keeps
// together with their names.
func (b *Builder) kept() *Builder { return &Builder{recording: b.recording} }

// Graph returns the recorded graph, verified, or the first error.
func (b *Builder) Graph() (*Graph, error) {
	if b.err != nil {
		return nil, b.err
	}
	g := b.graph
	if b.clash { // the values also belong to another graph: copies get other names
		return Rewrite(&g, func(*Builder, *Node, []*Value) []*Value { return nil })
	}
	if err := Verify(&g); err != nil {
		return nil, err
	}
	return &g, nil
}

// Reserve reserves names for values that are recorded later: generated names
// avoid them.
func (b *Builder) Reserve(names ...string) {
	if b.taken == nil {
		b.taken = make(map[string]bool, len(names))
	}
	for _, name := range names {
		b.taken[name] = true
	}
}

// Recorded returns the nodes so far. The caller must not change them.
func (b *Builder) Recorded() []*Node { return b.graph.Nodes }

// Err returns the first error so far, or nil.
func (b *Builder) Err() error { return b.err }

// fail keeps the first error, with the line outside this package that caused
// it.
func (b *Builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = errors.New(callerLine() + ": " + fmt.Sprintf(format, args...))
	}
}

// Fail records an error as the builder's, for layers that check their
// arguments.
func (b *Builder) Fail(format string, args ...any) { b.fail(format, args...) }

// here is the folder of this package's files, layers the folder of package nn.
var here, layers = func() (here, layers string) {
	_, file, _, _ := runtime.Caller(0)
	here = path.Dir(file)
	return here, path.Join(path.Dir(here), "nn")
}()

// callerLine returns the file and line of the innermost call from outside this
// package. The layers, reflection and iterators count as inside. It compares files,
// because the compiler renames closures that it moves.
func callerLine() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		dir := path.Dir(f.File)
		inside := (dir == here || dir == layers) && !strings.HasSuffix(f.File, "_test.go")
		folder := path.Base(dir)
		between := folder == "reflect" || folder == "slices"
		if !inside && !between {
			return path.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return "graph"
		}
	}
}

// record appends a node whose results have types, and names the results.
func (b *Builder) record(n *Node) {
	for i, v := range n.Results {
		v.Node, v.Index = n, i
		b.owned[v] = true
		if v.Name != "" {
			name := v.Name
			v.Name = ""
			b.call(v, b.prefix+name)
			continue
		}
		key := b.prefix + strings.ToLower(n.Op.Name())
		for v.Name == "" || b.names[v.Name] != nil || b.taken[v.Name] {
			b.count[key]++
			v.Name = fmt.Sprintf("%s_%d", key, b.count[key])
		}
		b.names[v.Name], b.yield[v] = v, true
	}
	b.graph.Nodes = append(b.graph.Nodes, n)
}

// Apply records one operator and returns its first results, or all of them if
// results is 0. Use it for operators without a method of Builder.
func (b *Builder) Apply(op Op, results int, args ...*Value) []*Value {
	bad := func() []*Value {
		n := &Node{Op: op, Args: args}
		for range max(results, 1) {
			n.Results = append(n.Results, &Value{Node: n, Name: "invalid", Type: Type{DType: format.Float32}})
		}
		return n.Results
	}
	if op == nil {
		b.fail("graph: the operator is nil")
	}
	if b.err != nil || !b.own(op.Name(), args) {
		return bad()
	}
	if err := checkOperator(op); err != nil {
		b.fail("%v", err)
		return bad()
	}
	n := &Node{Op: fromFront(op, args), Args: args}
	types, err := infer(n)
	if err == nil && (results < 0 || results > len(types)) {
		err = fmt.Errorf("graph: %s has %d results, %d were asked for", op.Name(), len(types), results)
	}
	if err != nil {
		b.fail("%v", err)
		return bad()
	}
	if results > 0 {
		types = types[:results]
	}
	for _, t := range types {
		n.Results = append(n.Results, &Value{Type: t})
	}
	b.record(n)
	return slices.Clone(n.Results) // a copy that the caller may change
}

// apply records one operator and returns its first result.
func (b *Builder) apply(op Op, args ...*Value) *Value { return b.Apply(op, 1, args...)[0] }

// own reports whether all values belong to this graph, and records an error
// otherwise.
func (b *Builder) own(user string, args []*Value) bool {
	for i, v := range args {
		switch {
		case v == nil:
			b.fail("graph: %s: argument %d is nil: give a value that this builder recorded", user, i+1)
			return false
		case !b.owned[v]:
			b.fail("graph: %s: argument %d, %s, is a value of another builder: record it with this one", user, i+1, v.Name)
			return false
		}
	}
	return true
}

// infer returns the types of the results of n.
func infer(n *Node) ([]Type, error) {
	args := make([]Type, len(n.Args))
	for i, a := range n.Args {
		args[i] = a.Type
	}
	types, err := n.Op.Infer(args)
	if err != nil {
		return nil, fmt.Errorf("graph: %s: %w", n.Op.Name(), err)
	}
	for _, t := range types {
		if len(t.Shape) > maxRank {
			return nil, fmt.Errorf("graph: %s: a result of %d dimensions, at most %d are supported", n.Op.Name(), len(t.Shape), maxRank)
		}
	}
	return types, nil
}

// maxRank bounds the dimensions of a value. No model needs more, and the bound
// keeps a hostile graph from growing shapes without end.
const maxRank = 32

// Name names v within this scope. A value is named once, by the line that makes
// it.
func (b *Builder) Name(name string, v *Value) *Value {
	if b.err != nil {
		return v
	}
	if !b.own(fmt.Sprintf("the name %.80q", name), []*Value{v}) {
		return v
	}
	b.call(v, b.prefix+name)
	return v
}

// call names v. If the name is taken, a generated name yields to one of the
// network, and any other name to that of an input or weight, which users know.
// Two equal names given by the network are an error.
func (b *Builder) call(v *Value, name string) {
	holder := b.names[name]
	pass := b.taken != nil
	weak := b.made && !known(v)
	switch {
	case holder == v:
		return
	case holder == nil && !(weak && b.taken[name]):
	case weak, holder != nil && pass && known(holder) && !known(v):
		name = b.free(name)
	case b.yield[holder], pass && known(v) && !known(holder):
		holder.Name = b.free(name)
		b.names[holder.Name] = holder
	case b.made && known(v) && !known(holder):
		b.clash = true
	default:
		b.fail("graph: two values are called %.80q", name)
		if v.Name != "" {
			return
		}
	}
	if b.names[v.Name] == v {
		delete(b.names, v.Name)
	}
	v.Name = name
	b.names[name], b.yield[v] = v, weak
}

// known reports whether v is an input or a weight: users know its name.
func known(v *Value) bool {
	_, in := v.Node.Op.(Input)
	_, param := v.Node.Op.(Param)
	return in || param
}

// free returns an unused name similar to the given one.
func (b *Builder) free(name string) string {
	for i := 1; ; i++ {
		if other := fmt.Sprintf("%s_%d", name, i); b.names[other] == nil && !b.taken[other] {
			return other
		}
	}
}

// Context declares the maximum number of tokens in a sequence, including its
// past.
func (b *Builder) Context(n int) { b.graph.Context = n }

// Output makes v an output under the given name, without a role.
func (b *Builder) Output(name string, v *Value) { b.output(name, role.Role{}, v) }

// OutputFor makes v an output under the name of its role.
func (b *Builder) OutputFor(r role.Role, v *Value) { b.output(r.Name(), r, v) }

func (b *Builder) output(name string, r role.Role, v *Value) {
	if b.err == nil && b.own(fmt.Sprintf("output %.80q", name), []*Value{v}) {
		b.graph.Outputs = append(b.graph.Outputs, Output{Name: name, Role: r, Value: v})
	}
}
