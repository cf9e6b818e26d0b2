package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Features that attnx never supports.
const (
	notFunctions = "functions are not supported"
	notSparse    = "sparse tensors are not supported"
)

// Operator is an operator of a model, with the number of its nodes.
type Operator struct {
	Domain  string // "" for the standard domain
	Op      string
	Version int64  // of the domain, as imported by the graph or function; 0: not imported
	Nodes   int    // in the graph, inner graphs, functions and training information
	WhyNot  string // why attnx cannot run some of them; empty if it can run all
}

// Operators returns all operators of a model, sorted by domain and name.
func (m *Model) Operators() []Operator {
	type key struct {
		domain, op string
		version    int64
	}
	found := map[key]*Operator{}
	whyNot := m.marker()
	m.walk(func(n *Node, opsets map[string]int64) {
		domain := standard(n.Domain)
		k := key{domain, n.Op, opsets[domain]}
		o := found[k]
		if o == nil {
			o = &Operator{Domain: k.domain, Op: k.op, Version: k.version}
			found[k] = o
		}
		o.Nodes++
		if o.WhyNot == "" {
			o.WhyNot = whyNot(n, opsets)
		}
	})
	out := make([]Operator, 0, len(found))
	for _, o := range found {
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b Operator) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Version, b.Version))
	})
	return out
}

// walk visits every node of a model.
func (m *Model) walk(visit func(n *Node, opsets map[string]int64)) {
	var nodes func(list []*Node, opsets map[string]int64)
	nodes = func(list []*Node, opsets map[string]int64) {
		for _, n := range list {
			visit(n, opsets)
			for _, a := range n.Attributes {
				for _, g := range a.graphs() {
					nodes(g.Nodes, opsets)
				}
			}
		}
	}
	opsets := versions(m.Opsets)
	nodes(m.Graph.Nodes, opsets)
	for _, f := range m.Functions {
		nodes(f.Nodes, versions(f.Opsets))
	}
	for _, t := range m.Training {
		for _, g := range []*Graph{t.Initialization, t.Algorithm} {
			if g != nil {
				nodes(g.Nodes, opsets)
			}
		}
	}
}

// versions returns the versions by domain.
func versions(list []Opset) map[string]int64 {
	out := map[string]int64{}
	for _, o := range list {
		out[standard(o.Domain)] = o.Version
	}
	return out
}

// marker returns a function that gives the reason why attnx cannot run a node,
// or "" if nothing about its operator prevents it.
func (m *Model) marker() func(n *Node, opsets map[string]int64) string {
	type id struct{ domain, name, overload string }
	functions := map[id]bool{}
	for _, f := range m.Functions {
		functions[id{standard(f.Domain), f.Name, f.Overload}] = true
	}
	return func(n *Node, opsets map[string]int64) string {
		domain := standard(n.Domain)
		version := opsets[domain]
		switch {
		case functions[id{domain, n.Op, n.Overload}]:
			return notFunctions
		case version == 0:
			return fmt.Sprintf("operator set %.80q is not imported", domain)
		case domain != "" && domain != Microsoft:
			return fmt.Sprintf("attnx does not know the domain %.80q", domain)
		case domain == "" && version > newestOpset:
			return fmt.Sprintf("opset %d is newer than attnx knows, %d", version, newestOpset)
		case domain == Microsoft && microsoftOps[n.Op].since == 0:
			return fmt.Sprintf("%.80q is not an operator that attnx knows", n.Op)
		}
		return reasonOf(operator(n, version))
	}
}

// reasonOf returns the text of an error without the place.
func reasonOf(err error) string {
	var bad *FormatError
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &bad):
		return bad.Reason
	case errors.As(err, &unsupported):
		return unsupported.Reason
	}
	return ""
}

// WhyNot returns the reason why attnx does not support v's type, or "".
func (v ValueInfo) WhyNot() string {
	switch {
	case v.Other != nil:
		return "a value that is not a tensor is not supported"
	case v.DataType == 0:
		return ""
	}
	return reasonOf(checkType(v.DataType, ""))
}

// WhyNot returns the reason why attnx does not support t's type, or "".
func (t *Tensor) WhyNot() string {
	if t.DataType == String {
		return "tensors of strings are not supported"
	}
	return reasonOf(checkType(t.DataType, ""))
}
