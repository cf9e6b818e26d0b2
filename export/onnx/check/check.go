package check

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// Limits of the check.
const (
	maxProblems      = 100
	maxFunctions     = 10_000 // of a model, as in ONNX's checker
	maxFunctionDepth = 100    // depth of calls between functions, as in ONNX's checker
	maxDepth         = 64     // nesting depth of graphs
)

// Basic returns why a model is not valid ONNX, with up to a hundred reasons, or
// none if it is valid. dir is the folder of the model's file, which must contain
// the external data. If dir is empty, only the paths of external data are checked.
// The errors are *onnx.FormatError.
func Basic(m *onnx.Model, dir string) []error {
	c := &checker{ir: m.IRVersion, dir: dir}
	c.model(m)
	return c.found
}

// Full is Basic and, if that finds nothing, the contradictions of types and
// shapes.
func Full(m *onnx.Model, dir string) []error {
	if found := Basic(m, dir); len(found) > 0 {
		return found
	}
	return infer(m)
}

// checker collects problems.
type checker struct {
	ir    int64
	dir   string
	found []error
}

func (c *checker) bad(where, reason string, args ...any) {
	if !c.full() {
		c.found = append(c.found, &onnx.FormatError{Offset: -1, Where: where, Reason: fmt.Sprintf(reason, args...)})
	}
}

func (c *checker) full() bool { return len(c.found) >= maxProblems }

// opsets maps the domains that a model or a function imports, under their names
// there, to versions.
type opsets map[string]int64

func (c *checker) opsets(where string, list []onnx.Opset) opsets {
	out := opsets{}
	for _, o := range list {
		if o.Version < math.MinInt32 || o.Version > math.MaxInt32 {
			c.bad(where, "operator set %.80q has version %d", o.Domain, o.Version)
		}
		out[o.Domain] = o.Version // the last import of a domain counts
	}
	return out
}

// of returns the version of a node's domain. The standard domain has two names,
// but a node with the second name finds no operators.
func (o opsets) of(domain string) (int64, bool) {
	version, ok := o[domain]
	if !ok && domain == "" {
		version, ok = o["ai.onnx"]
	}
	return version, ok
}

func (c *checker) model(m *onnx.Model) {
	newest := schema.IRVersion()
	switch {
	case m.IRVersion == 0:
		c.bad("", "it has no IR version")
	case m.IRVersion > newest:
		c.bad("", "IR version %d is newer than the newest of ONNX, %d", m.IRVersion, newest)
	}
	for _, k := range m.RepeatedMetadata {
		c.bad("metadata", "%.80q is there twice", k)
	}
	imports := c.opsets("", m.Opsets)
	switch {
	case m.IRVersion >= 3 && len(imports) == 0:
		c.bad("", "it imports no operator set")
	case m.IRVersion < 3 && len(imports) > 0:
		c.bad("", "it imports operator sets, which IR version %d does not have", m.IRVersion)
	case m.IRVersion < 3:
		imports[""] = 1
	}
	if m.Graph == nil {
		c.bad("", "the model has no graph")
		return
	}
	c.graph(m.Graph, &scope{opsets: imports, names: map[string]bool{}, main: true})
	if m.IRVersion >= 8 {
		c.functions(m, imports)
	}
}

// scope holds the names that a graph, or a function's body, can use: those defined
// so far in it and in the graphs around it.
type scope struct {
	opsets opsets
	names  map[string]bool
	outer  *scope
	main   bool // the model's graph or a function's body, not a graph in an attribute
	depth  int
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if s.names[name] {
			return true
		}
	}
	return false
}

// within returns the scope of a subgraph.
func (s *scope) within() *scope {
	return &scope{opsets: s.opsets, names: map[string]bool{}, outer: s, depth: s.depth + 1}
}

func (c *checker) graph(g *onnx.Graph, s *scope) {
	if s.depth > maxDepth {
		c.bad("graph", "graphs are nested more than %d deep", maxDepth)
		return
	}
	if g.Name == "" {
		c.bad("graph", "it has no name")
	}
	for _, v := range g.Inputs {
		c.value(v, "graph input", s)
	}
	for _, v := range g.Outputs {
		c.value(v, "graph output", s)
	}
	for _, v := range g.Inputs {
		if s.names[v.Name] {
			c.bad("graph input", "%.80q is there twice", v.Name)
		}
		s.names[v.Name] = true
	}
	c.initializers(g, s)
	for i, n := range g.Nodes {
		if c.full() {
			return
		}
		c.graphNode(n, n.Label(i), s)
	}
	for _, v := range g.Outputs {
		if !s.names[v.Name] {
			c.bad("graph output", "nothing in the graph makes %.80q", v.Name)
		}
	}
}

// graphNode checks a node and the names that it uses and defines.
func (c *checker) graphNode(n *onnx.Node, where string, s *scope) {
	for _, in := range n.Inputs {
		if in != "" && !s.has(in) {
			c.bad(where, "it uses %.80q, which nothing before it makes", in)
		}
	}
	c.node(n, where, s)
	c.outputs(n, where, s)
}

// outputs defines the outputs of a node. A name may be defined only once, also
// across the enclosing graphs.
func (c *checker) outputs(n *onnx.Node, where string, s *scope) {
	for _, out := range n.Outputs {
		switch {
		case out == "": // an omitted optional output
		case s.has(out):
			c.bad(where, "it makes %.80q, a name that its graph or one around it has already: give the value another name", out)
		default:
			s.names[out] = true
		}
	}
}

// value checks the declaration of an input or output of the model's graph.
// Subgraphs may omit types.
func (c *checker) value(v onnx.ValueInfo, what string, s *scope) {
	where := fmt.Sprintf("%s %.80q", what, v.Name)
	if v.Name == "" {
		c.bad(where, "it has no name")
	}
	if !s.main {
		return
	}
	t := typeOf(v)
	switch t.Kind {
	case 0:
		c.bad(where, "it has no type")
	case onnx.TensorType, onnx.SparseTensorType:
		if t.DataType == 0 && !t.Undefined {
			c.bad(where, "it has no element type")
		}
		if t.NoShape {
			c.bad(where, "it has no shape")
		}
	case onnx.SequenceType, onnx.OptionalType:
		if t.Elem == nil {
			c.bad(where, "it has no element type")
		}
	case onnx.MapType:
		if t.DataType == 0 || t.Elem == nil {
			c.bad(where, "it has no type of keys or values")
		}
	case onnx.OpaqueType:
		if t.Name == "" {
			c.bad(where, "its type has no name")
		}
	}
}

// typeOf returns the type of a value; its Kind is 0 if there is none.
func typeOf(v onnx.ValueInfo) *onnx.Type {
	switch {
	case v.Other != nil:
		return v.Other
	case v.DataType == 0 && v.NoShape && !v.Undefined:
		return &onnx.Type{}
	}
	return &onnx.Type{Kind: onnx.TensorType, DataType: v.DataType, Dims: v.Dims, NoShape: v.NoShape, Undefined: v.Undefined}
}

// initializers checks the tensors of a graph. A tensor with the name of an input
// is its default value; before IR version 4 every tensor must be one.
func (c *checker) initializers(g *onnx.Graph, s *scope) {
	seen := map[string]bool{}
	add := func(where, name string) {
		switch {
		case name == "":
			c.bad(where, "it has no name")
		case seen[name]:
			c.bad(where, "it is there twice")
		}
		seen[name] = true
	}
	for _, t := range g.Initializers {
		where := fmt.Sprintf("initializer %.80q", t.Name)
		add(where, t.Name)
		c.tensor(t, where)
		if c.ir <= 3 && !s.names[t.Name] {
			c.bad(where, "it is not a graph input, which IR version %d expects", c.ir)
		}
		s.names[t.Name] = true
		if c.full() {
			return
		}
	}
	for _, t := range g.Sparse {
		where := fmt.Sprintf("sparse initializer %.80q", t.Name())
		add(where, t.Name())
		c.sparse(t, where)
		s.names[t.Name()] = true
	}
}
