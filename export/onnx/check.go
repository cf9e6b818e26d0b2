package onnx

import (
	"fmt"
	"maps"
	"slices"
)

// Supported IR versions: ONNX 1.0 to 1.23. From version 4 on an initializer
// need not be an input.
const (
	minIRVersion  = 3
	maxIRVersion  = 14
	freeIRVersion = 4
)

// newestOpset is the newest version of the standard operators that ops.go
// covers.
const newestOpset = 28

// maxProblems limits the problems that Problems returns.
const maxProblems = 1000

// Check returns the first reason why attnx does not support a model. It checks
// names, order, operators, attributes, sizes and external data, in the graph
// and in graphs of attributes, and rejects what attnx neither writes nor runs,
// such as functions. dir is the folder of the model's file, with the external
// data; if it is empty, only their paths are checked.
//
// Operators of the standard domain must be in the table of ops.go. Of other
// imported domains only the operators in microsoft.go are checked.
func Check(m *Model, dir string) error {
	if found := problems(m, dir, 1); len(found) > 0 {
		return found[0]
	}
	return nil
}

// CheckStructure is Check without attnx's tables of operators and element types, for
// callers that have their own. It accepts functions, of whose nodes it looks at the names
// of their results only, sparse tensors, and values that are not tensors.
func CheckStructure(m *Model, dir string) error {
	c := newChecker(m, dir, 1)
	c.any = true
	if found := c.problems(m); len(found) > 0 {
		return found[0]
	}
	return nil
}

// Problems returns every reason why attnx does not support a model, up to a
// thousand; the first is that of Check.
func Problems(m *Model, dir string) []error { return problems(m, dir, maxProblems) }

// StructureProblems returns every reason against a model that CheckStructure finds, up to
// a thousand.
func StructureProblems(m *Model, dir string) []error {
	c := newChecker(m, dir, maxProblems)
	c.any = true
	return c.problems(m)
}

func problems(m *Model, dir string, most int) []error { return newChecker(m, dir, most).problems(m) }

func newChecker(m *Model, dir string, most int) *checker {
	return &checker{ir: m.IRVersion, domains: map[string]int64{}, dir: dir, most: most}
}

func (c *checker) problems(m *Model) []error {
	c.found = append(c.found, m.doubts[:min(c.most, len(m.doubts))]...)
	if m.Graph == nil {
		c.add(bad("", "the model has no graph"))
		return c.found
	}
	c.model(m)
	if !c.full() {
		c.graph(m.Graph, nil)
	}
	return c.found
}

// checker collects problems.
type checker struct {
	ir      int64
	domains map[string]int64 // versions
	dir     string
	most    int // maximum number of problems
	found   []error

	any bool // accept any operator, function and type of ONNX
}

// add records a problem unless it is nil, and reports whether the limit is
// reached.
func (c *checker) add(err error) bool {
	if err != nil && !c.full() {
		c.found = append(c.found, err)
	}
	return c.full()
}

func (c *checker) full() bool { return len(c.found) >= c.most }

// model checks everything in a model except its graph.
func (c *checker) model(m *Model) {
	switch {
	case m.IRVersion < minIRVersion:
		c.add(bad("", "IR version %d, expects %d or more", m.IRVersion, minIRVersion))
	case m.IRVersion > maxIRVersion:
		c.add(unsupported("", "IR version %d is not supported, only %d to %d", m.IRVersion, minIRVersion, maxIRVersion))
	}
	for _, k := range slices.Sorted(maps.Keys(m.Metadata)) {
		if reason := noText([]byte(k), maxName); reason != "" {
			c.add(bad("metadata", "a key is %s", reason))
		}
		if reason := noText([]byte(m.Metadata[k]), maxText); reason != "" {
			c.add(bad(fmt.Sprintf("metadata %.80q", k), "it is %s", reason))
		}
	}
	if len(m.Opsets) > maxPerNode {
		c.add(bad("", "more than %d operator sets", maxPerNode))
	}
	for _, o := range m.Opsets {
		domain := standard(o.Domain)
		switch {
		case c.domains[domain] != 0:
			c.add(bad("", "operator set %.80q is declared twice", domain))
		case o.Version < 1:
			c.add(bad("", "operator set %.80q has version %d", domain, o.Version))
		case domain == "" && o.Version > newestOpset && !c.any:
			c.add(unsupported("", "opset %d is not supported, only those up to %d", o.Version, newestOpset))
		}
		c.domains[domain] = o.Version
	}
	if len(m.Training) > 0 {
		c.add(unsupported("", "training information is not supported"))
	}
	if len(m.Functions) > 0 && !c.any {
		c.add(unsupported(fmt.Sprintf("function %s", m.Functions[0].label()), "functions are not supported"))
	}
	for _, f := range m.Functions {
		c.function(f)
	}
	if len(m.Devices) > 0 {
		c.add(unsupported("", "device configurations are not supported"))
	}
}

// standard returns the canonical name of a domain; the standard one has two.
func standard(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

func bad(where, reason string, args ...any) error {
	return &FormatError{Offset: -1, Where: where, Reason: fmt.Sprintf(reason, args...)}
}

func unsupported(where, reason string, args ...any) error {
	return &UnsupportedError{Offset: -1, Where: where, Reason: fmt.Sprintf(reason, args...)}
}

// scope holds the names defined so far in a graph and in the graphs around it,
// which a graph in an attribute may use.
type scope struct {
	names  map[string]bool
	stored map[string]*Tensor // initializers of the graph itself
	outer  *scope
	depth  int
}

func (s *scope) define(where, name string) error {
	if name == "" {
		return bad(where, "a name is empty")
	}
	if reason := noText([]byte(name), maxName); reason != "" {
		return bad(where, "a name is %s", reason)
	}
	if s.names[name] {
		return bad(where, "%.80q is defined twice", name)
	}
	s.names[name] = true
	return nil
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if s.names[name] {
			return true
		}
	}
	return false
}

// graph checks a graph; outer is nil for the model's graph.
func (c *checker) graph(g *Graph, outer *scope) {
	s := &scope{names: map[string]bool{}, stored: map[string]*Tensor{}, outer: outer, depth: 1}
	if outer != nil {
		s.depth += outer.depth
	}
	if s.depth > maxDepth {
		c.add(unsupported("graph", "graphs nested more than %d deep are not supported", maxDepth))
		return
	}
	if g.Name == "" {
		c.add(bad("graph", "it has no name"))
	}
	if len(g.Outputs) == 0 && !(c.any && outer == nil) {
		c.add(bad("graph", "it has no outputs"))
	}
	for _, v := range g.Inputs {
		c.add(s.define("graph input", v.Name))
	}
	c.values(g, outer == nil)
	if len(g.Sparse) > 0 {
		if !c.any {
			c.add(unsupported("graph", "sparse initializers are not supported"))
		}
		for _, t := range g.Sparse {
			s.names[t.Name()] = true
		}
	}
	if len(g.Annotations) > 0 && !c.any {
		c.add(unsupported("graph", "quantization annotations are not supported"))
	}
	c.initializers(g, s)
	c.nodes(g, s)
	outputs := map[string]bool{}
	for _, o := range g.Outputs {
		if !s.names[o.Name] {
			c.add(bad("graph output", "nothing defines %.80q", o.Name))
		}
		if outputs[o.Name] && !c.any { // ONNX's checker and runtimes take it
			c.add(bad("graph output", "%.80q is there twice", o.Name))
		}
		outputs[o.Name] = true
	}
}

// values checks the types of the values that a graph names. Inputs of the
// model's graph must have one; inputs of other graphs get theirs from the
// operator.
func (c *checker) values(g *Graph, outermost bool) {
	for i, list := range [][]ValueInfo{g.Inputs, g.Outputs, g.Values} {
		for _, v := range list {
			where := fmt.Sprintf("%s %.80q", []string{"graph input", "graph output", "value"}[i], v.Name)
			switch {
			case v.Other != nil && c.any:
			case v.Other != nil:
				c.add(unsupported(where, "a value that is not a tensor is not supported: %s", v.Other))
			case len(v.Dims) > maxRank:
				c.add(bad(where, "more than %d axes", maxRank))
			case v.DataType != 0 || i == 0 && outermost:
				c.add(c.checkType(v.DataType, where))
			}
			if c.full() {
				return
			}
		}
	}
}

func (c *checker) checkType(t DataType, where string) error {
	if _, known := dataTypes[t]; known && c.any {
		return nil
	}
	return checkType(t, where)
}

func checkType(t DataType, where string) error {
	row, known := dataTypes[t]
	switch {
	case t == 0:
		return bad(where, "it has no element type")
	case !known:
		return bad(where, "elements of type %s, which ONNX does not have", t)
	case !row.taken && t != String:
		return unsupported(where, "elements of type %s are not supported", t)
	}
	return nil
}

// initializers checks the tensors of a graph. One with the name of an input is
// that input's default.
func (c *checker) initializers(g *Graph, s *scope) {
	inputs := map[string]DataType{}
	for _, v := range g.Inputs {
		inputs[v.Name] = v.DataType
	}
	for _, t := range g.Initializers {
		where := fmt.Sprintf("initializer %.80q", t.Name)
		if s.stored[t.Name] != nil {
			c.add(bad(where, "it is there twice"))
			continue
		}
		s.stored[t.Name] = t
		typ, isInput := inputs[t.Name]
		switch {
		case isInput && typ != t.DataType && typ != 0:
			c.add(bad(where, "its elements are %s, the input has %s", t.DataType, typ))
		case !isInput && c.ir < freeIRVersion:
			c.add(bad(where, "it is not a graph input, which IR version %d expects", c.ir))
		case !isInput:
			c.add(s.define(where, t.Name))
		}
		if c.add(c.tensor(t, where)) {
			return
		}
	}
}

// nodes checks that every name is defined once and before its use.
func (c *checker) nodes(g *Graph, s *scope) {
	makers := map[string]int{}
	for i, n := range g.Nodes {
		for _, o := range n.Outputs {
			if _, ok := makers[o]; !ok {
				makers[o] = i
			}
		}
	}
	for i, n := range g.Nodes {
		where := n.Label(i)
		for _, in := range n.Inputs {
			if in == "" || s.has(in) {
				continue
			}
			if j, ok := makers[in]; ok {
				c.add(bad(where, "it uses %.80q, which %s makes later: a cycle, or nodes out of order", in, g.Nodes[j].Label(j)))
			} else {
				c.add(bad(where, "it uses %.80q, which nothing defines", in))
			}
		}
		c.node(n, where, s)
		for _, o := range n.Outputs {
			switch {
			case o == "": // an omitted optional output
			case s.outer.has(o):
				c.add(shadows(where, o))
				s.names[o] = true // for what reads it
			default:
				c.add(s.define(where, o))
			}
		}
		if c.full() {
			return
		}
	}
}
