package read

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/attnx/attnx/export/onnx"
)

// Limits on what a file may ask of any runtime. Files of others are far below them: a
// runtime makes some millions of rounds in a second.
const (
	maxRounds  = 1 << 31    // of loops whose count the file says
	maxInlined = 20_000_000 // nodes, once functions are inlined
)

// BoundError reports control flow that does not end in reasonable time, or that makes
// more nodes than fit into memory.
type BoundError struct {
	UnsupportedError
	// Rounds are those that the file asks for, at least. +Inf: it never ends. 0: the
	// limit is attnx's own, so a runtime may run the file.
	Rounds float64
}

// Unwrap returns the error as an UnsupportedError.
func (e *BoundError) Unwrap() error { return &e.UnsupportedError }

// Endless returns a *BoundError if constants of the file decide that no runtime comes to
// the end of it: a loop whose condition stays true without a count, counts whose
// product is beyond 2^31, functions that call one another too often. It looks at every
// graph, whether attnx reads its operators or not. A loop whose rounds data decide is
// not among them: see HasLoop.
func Endless(m *onnx.Model) error {
	if !HasLoop(m) && len(m.Functions) == 0 {
		return nil
	}
	w := &working{functions: map[functionKey]*onnx.Function{}, known: map[functionKey]work{}}
	for _, f := range m.Functions {
		w.functions[functionKey{domainOf(f.Domain), f.Name, f.Overload}] = f
	}
	_, err := w.graph(m.Graph, nil)
	return err
}

// HasLoop reports whether a graph or function of the model has a Loop: only data may
// decide how many rounds it makes.
func HasLoop(m *onnx.Model) bool {
	var any func(nodes []*onnx.Node) bool
	any = func(nodes []*onnx.Node) bool {
		for _, n := range nodes {
			if n.Op == "Loop" && domainOf(n.Domain) == "" {
				return true
			}
			for _, g := range Subgraphs(n) {
				if any(g.Nodes) {
					return true
				}
			}
		}
		return false
	}
	for _, f := range m.Functions {
		if any(f.Nodes) {
			return true
		}
	}
	return any(m.Graph.Nodes)
}

// Subgraphs returns the graphs in a node's attributes.
func Subgraphs(n *onnx.Node) (all []*onnx.Graph) {
	for _, a := range n.Attributes {
		if a.Graph != nil {
			all = append(all, a.Graph)
		}
		all = append(all, a.Graphs...)
	}
	return all
}

// work is what nodes ask for: how many they are with functions inlined, and the rounds
// of their loops, at least.
type work struct{ nodes, rounds float64 }

func (w *work) add(other work) {
	w.nodes += other.nodes
	w.rounds += other.rounds
}

// working adds up the work of a model.
type working struct {
	functions map[functionKey]*onnx.Function
	known     map[functionKey]work // NaN while a function is being worked out
}

// constants are the integers and truth values of one element that a graph and the
// graphs around it hold.
type constants struct {
	outer *constants
	own   map[string]int64
	named map[string]bool // everything that the graph defines
}

func (c *constants) of(name string) (value int64, known bool) {
	for ; c != nil; c = c.outer {
		if c.named[name] {
			value, known = c.own[name]
			return value, known
		}
	}
	return 0, false
}

// function returns the work of the function that a node calls.
func (w *working) function(n *onnx.Node, k functionKey) (total work, err error) {
	if total, done := w.known[k]; done {
		if math.IsNaN(total.nodes) {
			return total, &BoundError{UnsupportedError{Node: nodeName(n), Operator: key{k.domain, k.name}.String(), Reason: "the function calls itself", Remedy: "write it without"}, math.Inf(1)}
		}
		return total, nil
	}
	w.known[k] = work{nodes: math.NaN()}
	f := w.functions[k]
	total, err = w.nodes(f.Nodes, newConstants(nil, f.Inputs, nil, f.Nodes))
	w.known[k] = total
	return total, err
}

func newConstants(outer *constants, inputs []string, initializers []*onnx.Tensor, nodes []*onnx.Node) *constants {
	c := &constants{outer: outer, own: map[string]int64{}, named: map[string]bool{}}
	for _, name := range inputs {
		c.named[name] = true
	}
	for _, t := range initializers {
		c.named[t.Name] = true
		if v, ok := oneInteger(t); ok {
			c.own[t.Name] = v
		}
	}
	for _, n := range nodes {
		for _, name := range n.Outputs {
			c.named[name] = true
		}
		if n.Op == "Constant" && domainOf(n.Domain) == "" && len(n.Outputs) == 1 {
			for _, a := range n.Attributes {
				if v, ok := oneInteger(a.Tensor); a.Name == "value" && ok {
					c.own[n.Outputs[0]] = v
				}
				if a.Name == "value_int" {
					c.own[n.Outputs[0]] = a.Int
				}
			}
		}
	}
	return c
}

// oneInteger returns the one element of a tensor of int64 or truth values.
func oneInteger(t *onnx.Tensor) (int64, bool) {
	if t == nil || t.External != nil || t.DataType != onnx.Int64 && t.DataType != onnx.Bool {
		return 0, false
	}
	for _, d := range t.Dims {
		if d != 1 {
			return 0, false
		}
	}
	x, err := Tensor(t, "")
	switch {
	case err != nil:
		return 0, false
	case t.DataType == onnx.Bool && len(x.Data) == 1:
		return int64(x.Data[0]), true
	case len(x.Data) == 8:
		return int64(binary.LittleEndian.Uint64(x.Data)), true
	}
	return 0, false
}

// constantsOf returns the constants of a graph inside others.
func constantsOf(g *onnx.Graph, outer *constants) *constants {
	var inputs []string
	for _, in := range g.Inputs {
		inputs = append(inputs, in.Name)
	}
	return newConstants(outer, inputs, g.Initializers, g.Nodes)
}

func (w *working) graph(g *onnx.Graph, outer *constants) (work, error) {
	return w.nodes(g.Nodes, constantsOf(g, outer))
}

func (w *working) nodes(nodes []*onnx.Node, c *constants) (total work, err error) {
	for _, n := range nodes {
		one, err := w.node(n, c)
		if err != nil {
			return total, err
		}
		if total.add(one); total.nodes > maxInlined {
			return total, exceeded(n, 0, fmt.Sprintf("functions make more than %d nodes", maxInlined))
		}
		if total.rounds > maxRounds {
			return total, exceeded(n, total.rounds, fmt.Sprintf("the loops make %.3g rounds", total.rounds))
		}
	}
	return total, nil
}

func exceeded(n *onnx.Node, rounds float64, reason string) error {
	return &BoundError{UnsupportedError{Node: nodeName(n), Operator: key{domainOf(n.Domain), n.Op}.String(), Reason: reason, Remedy: "write it with fewer"}, max(rounds, maxRounds+1)}
}

func (w *working) node(n *onnx.Node, c *constants) (total work, err error) {
	k := functionKey{domainOf(n.Domain), n.Op, n.Overload}
	if w.functions[k] != nil {
		return w.function(n, k)
	}
	total.nodes = 1
	standard := k.domain == ""
	if standard && n.Op == "If" {
		return w.branches(n, c)
	}
	for _, g := range Subgraphs(n) {
		inner, err := w.graph(g, c)
		if standard && n.Op == "Loop" {
			rounds := rounds(n, g, c)
			if rounds == 0 { // data decide, and it may make none
				continue
			}
			if err != nil {
				return total, err
			}
			if math.IsInf(rounds, 1) {
				return total, &BoundError{UnsupportedError{Node: nodeName(n), Operator: n.Op, Reason: "it never ends: its condition stays true, and nothing bounds its rounds", Remedy: "give it a count or a condition that ends it"}, rounds}
			}
			if inner.rounds = rounds * max(1, inner.rounds); inner.rounds > maxRounds {
				return total, exceeded(n, inner.rounds, fmt.Sprintf("it makes %.3g rounds", inner.rounds))
			}
		}
		if err != nil {
			return total, err
		}
		total.add(inner)
	}
	return total, nil
}

// branches returns the least work of the branches of an If.
func (w *working) branches(n *onnx.Node, c *constants) (least work, err error) {
	for i, g := range Subgraphs(n) {
		branch, bad := w.graph(g, c)
		switch {
		case i == 0:
			least, err = branch, bad
		case bad == nil && err != nil:
			least, err = branch, nil
		case bad == nil:
			least = work{min(least.nodes, branch.nodes), min(least.rounds, branch.rounds)}
		}
	}
	least.nodes++
	return least, err
}

// rounds returns how many rounds a loop makes: 0 if constants do not decide it.
func rounds(n *onnx.Node, body *onnx.Graph, c *constants) float64 {
	input := func(i int) string {
		if i < len(n.Inputs) {
			return n.Inputs[i]
		}
		return ""
	}
	if name := input(1); name != "" {
		if going, known := c.of(name); !known || going == 0 {
			return 0
		}
	}
	if !stays(body, c) {
		return 0
	}
	name := input(0)
	if name == "" {
		return math.Inf(1)
	}
	count, _ := c.of(name)
	return float64(max(0, count))
}

// stays reports whether the condition of a loop is true in each round if it was so
// in the round before.
func stays(body *onnx.Graph, c *constants) bool {
	if len(body.Outputs) == 0 || len(body.Inputs) < 2 {
		return false
	}
	inner := newConstants(c, nil, body.Initializers, body.Nodes)
	from := map[string]string{}
	for _, n := range body.Nodes {
		if n.Op == "Identity" && domainOf(n.Domain) == "" && len(n.Inputs) == 1 && len(n.Outputs) == 1 {
			from[n.Outputs[0]] = n.Inputs[0]
		}
	}
	name := body.Outputs[0].Name
	for range len(from) + 1 {
		if name == body.Inputs[1].Name {
			return true
		}
		if v, known := inner.of(name); known {
			return v != 0
		}
		next, is := from[name]
		if !is {
			return false
		}
		name = next
	}
	return false
}
