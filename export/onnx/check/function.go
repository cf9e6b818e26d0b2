package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// functionID identifies a function: nodes call it by domain, name and overload.
type functionID struct{ domain, name, overload string }

func (id functionID) String() string {
	s := fmt.Sprintf("function %.80q", id.name)
	if id.domain != "" {
		s += fmt.Sprintf(" of %.80q", id.domain)
	}
	return s
}

func idOf(f *onnx.Function) functionID { return functionID{f.Domain, f.Name, f.Overload} }
func callee(n *onnx.Node) functionID   { return functionID{n.Domain, n.Op, n.Overload} }

// functions checks the functions of a model. They have their own operator sets,
// whose operators must equal those of the model's.
func (c *checker) functions(m *onnx.Model, imports opsets) {
	all := maps.Clone(imports)
	for _, f := range m.Functions {
		for _, o := range f.Opsets {
			if _, ok := all[o.Domain]; !ok {
				all[o.Domain] = o.Version
			}
		}
	}
	if !c.calls(m) {
		return
	}
	for _, f := range m.Functions {
		if c.full() {
			return
		}
		c.function(f, all)
	}
}

// calls refuses recursive functions.
func (c *checker) calls(m *onnx.Model) bool {
	if len(m.Functions) > maxFunctions {
		c.bad("", "%d functions, more than %d", len(m.Functions), maxFunctions)
		return false
	}
	byID := map[functionID]*onnx.Function{}
	for _, f := range m.Functions {
		if byID[idOf(f)] != nil {
			c.bad(idOf(f).String(), "it is there twice")
			return false
		}
		byID[idOf(f)] = f
	}
	const open, done = 1, 2
	state := map[functionID]int{}
	var visit func(id functionID, depth int) bool
	visit = func(id functionID, depth int) bool {
		switch {
		case state[id] == done:
			return true
		case state[id] == open:
			c.bad(id.String(), "it calls itself")
			return false
		case depth > maxFunctionDepth:
			c.bad(id.String(), "functions call one another more than %d deep", maxFunctionDepth)
			return false
		}
		state[id] = open
		called := map[functionID]bool{}
		calledBy(byID[id].Nodes, byID, called)
		for other := range called {
			if !visit(other, depth+1) {
				return false
			}
		}
		state[id] = done
		return true
	}
	for _, f := range m.Functions {
		if !visit(idOf(f), 1) {
			return false
		}
	}
	return true
}

// calledBy collects the functions that nodes and their subgraphs call.
func calledBy(nodes []*onnx.Node, known map[functionID]*onnx.Function, into map[functionID]bool) {
	for _, n := range nodes {
		if known[callee(n)] != nil {
			into[callee(n)] = true
		}
		for i := range n.Attributes {
			for _, g := range append(slices.Clip(n.Attributes[i].Graphs), n.Attributes[i].Graph) {
				if g != nil {
					calledBy(g.Nodes, known, into)
				}
			}
		}
	}
}

func (c *checker) function(f *onnx.Function, model opsets) {
	where := idOf(f).String()
	if f.Name == "" {
		c.bad(where, "it has no name")
	}
	if f.Domain == "" {
		c.bad(where, "it has no domain")
	}
	s := &scope{opsets: c.opsets(where, f.Opsets), names: map[string]bool{}, main: true}
	c.unique(where, "input", f.Inputs)
	c.unique(where, "output", f.Outputs)
	c.unique(where, "attribute", f.Attributes)
	for _, in := range f.Inputs {
		s.names[in] = true
	}
	for i, n := range f.Nodes {
		if c.full() {
			return
		}
		at := where + ": " + n.Label(i)
		if why := incompatible(n, s.opsets, model); why != "" {
			c.bad(at, "%s", why)
		}
		c.graphNode(n, at, s)
	}
}

func (c *checker) unique(where, what string, names []string) {
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			c.bad(where, "%s %.80q is there twice", what, name)
		}
		seen[name] = true
	}
}

// incompatible returns why the operator of a function's node is a different one
// in the model's operator sets; empty if it is the same.
func incompatible(n *onnx.Node, function, model opsets) string {
	own, ok := function[n.Domain]
	if !ok {
		return fmt.Sprintf("the function does not import operator set %.80q", n.Domain)
	}
	models, ok := model[n.Domain]
	if !ok || own == models {
		return ""
	}
	a, b := lookup(n, own), lookup(n, models)
	if a == b {
		return ""
	}
	since := func(o *schema.Operator) string {
		if o == nil {
			return "none"
		}
		return fmt.Sprint(o.Since)
	}
	return fmt.Sprintf("the function imports opset %d of %s and the model %d: %s is %.80q in one and %.80q in the other",
		own, domainName(n.Domain), models, n.Op, since(a), since(b))
}
