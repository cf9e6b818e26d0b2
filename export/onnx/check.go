package onnx

import "fmt"

// The IR versions that this package knows: ONNX 1.0 to 1.22. From the fourth
// on an initializer need not be an input.
const (
	minIRVersion  = 3
	maxIRVersion  = 13
	freeIRVersion = 4
)

// Check reports the first way in which a model is not valid: names, order,
// operators, attributes, sizes, external data, in the graph and in the graphs
// of attributes. dir is the folder of the model's file, where external data
// are looked for; with an empty one only their paths are checked.
//
// Operators of the standard domain must be in the table of ops.go; of those of
// other domains that the model imports only the ones in microsoft.go are known,
// the others may be anything.
func Check(m *Model, dir string) error {
	switch {
	case m.Graph == nil:
		return bad("", "the model has no graph")
	case m.IRVersion < minIRVersion:
		return bad("", "IR version %d, wants %d or more", m.IRVersion, minIRVersion)
	case m.IRVersion > maxIRVersion:
		return unsupported("", "IR version %d is not supported, only %d to %d", m.IRVersion, minIRVersion, maxIRVersion)
	}
	for k, v := range m.Metadata {
		if reason := noText([]byte(k), maxName); reason != "" {
			return bad("metadata", "a key is %s", reason)
		}
		if reason := noText([]byte(v), maxText); reason != "" {
			return bad(fmt.Sprintf("metadata %q", k), "it is %s", reason)
		}
	}
	c := checker{ir: m.IRVersion, domains: map[string]int64{}, dir: dir}
	for _, o := range m.Opsets {
		domain := standard(o.Domain)
		if c.domains[domain] != 0 {
			return bad("", "operator set %q is declared twice", domain)
		}
		if o.Version < 1 {
			return bad("", "operator set %q has version %d", domain, o.Version)
		}
		c.domains[domain] = o.Version
	}
	return c.graph(m.Graph, nil)
}

// standard returns the name of a domain; the standard one has two.
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

type checker struct {
	ir      int64
	domains map[string]int64 // versions
	dir     string
}

// scope is the names that are defined so far in a graph, and in those around
// it, which a graph in an attribute may use.
type scope struct {
	names  map[string]bool
	stored map[string]*Tensor // initializers of the graph itself
	outer  *scope
}

func (s *scope) define(where, name string) error {
	if name == "" {
		return bad(where, "a name is empty")
	}
	if reason := noText([]byte(name), maxName); reason != "" {
		return bad(where, "a name is %s", reason)
	}
	if s.names[name] {
		return bad(where, "%q is defined twice", name)
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

// graph checks a graph; outer is nil for that of the model.
func (c checker) graph(g *Graph, outer *scope) error {
	if g.Name == "" {
		return bad("graph", "it has no name")
	}
	if len(g.Outputs) == 0 {
		return bad("graph", "it has no outputs")
	}
	s := &scope{names: map[string]bool{}, stored: map[string]*Tensor{}, outer: outer}
	for _, v := range g.Inputs {
		if err := s.define("graph input", v.Name); err != nil {
			return err
		}
		if outer != nil {
			continue // what it gets is for its operator to say
		}
		if err := checkType(v.DataType, fmt.Sprintf("graph input %q", v.Name)); err != nil {
			return err
		}
	}
	if err := c.initializers(g, s); err != nil {
		return err
	}
	if err := c.nodes(g, s); err != nil {
		return err
	}
	outputs := map[string]bool{}
	for _, o := range g.Outputs {
		if !s.names[o.Name] {
			return bad("graph output", "nothing defines %q", o.Name)
		}
		if outputs[o.Name] {
			return bad("graph output", "%q is there twice", o.Name)
		}
		outputs[o.Name] = true
	}
	return nil
}

func checkType(t DataType, where string) error {
	switch {
	case t == 0:
		return bad(where, "it has no element type")
	case t.Size() == 0 && t != String:
		return unsupported(where, "elements of type %s are not supported", t)
	}
	return nil
}

// initializers checks the tensors of a graph. One with the name of an input is
// the input's default.
func (c checker) initializers(g *Graph, s *scope) error {
	inputs := map[string]DataType{}
	for _, v := range g.Inputs {
		inputs[v.Name] = v.DataType
	}
	for _, t := range g.Initializers {
		where := fmt.Sprintf("initializer %q", t.Name)
		if s.stored[t.Name] != nil {
			return bad(where, "it is there twice")
		}
		s.stored[t.Name] = t
		typ, isInput := inputs[t.Name]
		switch {
		case isInput && typ != t.DataType && typ != 0:
			return bad(where, "its elements are %s, those of the input are %s", t.DataType, typ)
		case !isInput && c.ir < freeIRVersion && s.outer == nil:
			return bad(where, "it is no graph input, as IR version %d wants", c.ir)
		case !isInput:
			if err := s.define(where, t.Name); err != nil {
				return err
			}
		}
		if err := c.tensor(t, where); err != nil {
			return err
		}
	}
	return nil
}

// nodes checks that every name is defined once and before it is used.
func (c checker) nodes(g *Graph, s *scope) error {
	makers := map[string]int{}
	for i, n := range g.Nodes {
		for _, o := range n.Outputs {
			if _, ok := makers[o]; !ok {
				makers[o] = i
			}
		}
	}
	for i, n := range g.Nodes {
		where := n.label(i)
		for _, in := range n.Inputs {
			if in == "" || s.has(in) {
				continue
			}
			if j, ok := makers[in]; ok {
				return bad(where, "it uses %q, which %s makes later: a cycle, or nodes out of order", in, g.Nodes[j].label(j))
			}
			return bad(where, "it uses %q, which nothing defines", in)
		}
		if err := c.node(n, where, s); err != nil {
			return err
		}
		for _, o := range n.Outputs {
			if o == "" {
				continue // an optional output left out
			}
			if err := s.define(where, o); err != nil {
				return err
			}
		}
	}
	return nil
}
