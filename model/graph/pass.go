package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/model/role"
)

// Pass returns a transformed copy of a graph. It does not change its argument,
// keeps the names of the values it keeps, and ends with Verify.
type Pass func(*Graph) (*Graph, error)

// Apply runs passes one after the other.
func Apply(g *Graph, passes ...Pass) (*Graph, error) {
	for _, p := range passes {
		var err error
		if g, err = p(g); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Rewrite copies g node by node, in order. It calls f for each node with the
// replaced arguments and a Builder whose scope is the node's name. f returns
// the replacements of the node's results, or nil to keep the node. A value
// recorded by f takes over the result's name.
func Rewrite(g *Graph, f func(b *Builder, n *Node, args []*Value) []*Value) (*Graph, error) {
	b := NewBuilder()
	b.taken = make(map[string]bool, len(g.Nodes))
	for v := range g.Values() {
		b.taken[v.Name] = true
	}
	copies := make(map[*Value]*Value, len(g.Nodes))
	for _, n := range g.Nodes {
		args := make([]*Value, len(n.Args))
		for i, a := range n.Args {
			args[i] = copies[a]
		}
		before := len(b.graph.Nodes)
		results := f(&Builder{recording: b.recording, prefix: n.Name() + ".", made: true}, n, args)
		switch {
		case b.err != nil:
		case results == nil:
			results = b.root().clone(n, args)
		case len(results) < len(n.Results):
			return nil, fmt.Errorf("graph: %.80q: %d values for %d results", n.Name(), len(results), len(n.Results))
		default:
			for i, v := range n.Results {
				if r := results[i]; slices.Contains(b.graph.Nodes[before:], r.Node) {
					b.root().Name(v.Name, r)
				}
			}
		}
		if b.err != nil {
			return nil, fmt.Errorf("%w (value %.80q)", b.err, n.Name())
		}
		for i, v := range n.Results {
			copies[v] = results[i]
		}
	}
	copyOutputs(b, g, copies)
	return b.Graph()
}

func copyOutputs(b *Builder, g *Graph, copies map[*Value]*Value) {
	b.graph.Context = g.Context
	for _, o := range g.Outputs {
		o.Value = copies[o.Value]
		b.graph.Outputs = append(b.graph.Outputs, o)
	}
}

// clone records a copy of n with other arguments. A scalar that a pass has
// already recorded is reused.
func (b *Builder) clone(n *Node, args []*Value) []*Value {
	b = b.kept()
	first := n.Results[0]
	switch op := n.Op.(type) {
	case Const:
		if w := b.known(op.Value.WithName(first.Name)); w != nil {
			return []*Value{w}
		}
		return []*Value{b.leaf(op, first.Name, first.Type)}
	case Input:
		return []*Value{b.input(first.Name, op.Role, first.DType, first.Shape)}
	case Param:
		v := b.leaf(op, first.Name, first.Type)
		b.graph.Params = append(b.graph.Params, v)
		return []*Value{v}
	}
	results := b.Apply(n.Op, len(n.Results), args...)
	for i, v := range n.Results {
		b.Name(v.Name, results[i])
	}
	return results
}

// Select returns the pass that keeps only the named outputs and the values they
// need.
func Select(names ...string) Pass {
	return func(g *Graph) (*Graph, error) {
		kept := *g
		kept.Outputs = nil
		for _, name := range names {
			i := slices.IndexFunc(g.Outputs, func(o Output) bool { return o.Name == name })
			if i < 0 {
				return nil, fmt.Errorf("graph: no output is called %.80q", name)
			}
			kept.Outputs = append(kept.Outputs, g.Outputs[i])
		}
		return Prune(&kept)
	}
}

// Prune drops the nodes that no output needs, and unused trailing results that
// the operator may omit. Inputs stay, because callers pass them.
func Prune(g *Graph) (*Graph, error) {
	live := map[*Value]bool{}
	for _, o := range g.Outputs {
		live[o.Value] = true
	}
	needed := func(n *Node) bool {
		return slices.ContainsFunc(n.Results, func(v *Value) bool { return live[v] })
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		if n := g.Nodes[i]; needed(n) {
			for _, a := range n.Args {
				live[a] = true
			}
		}
	}
	b := NewBuilder()
	copies := map[*Value]*Value{}
	for _, n := range g.Nodes {
		if _, in := n.Op.(Input); !in && !needed(n) {
			continue
		}
		args := make([]*Value, len(n.Args))
		for i, a := range n.Args {
			args[i] = copies[a]
		}
		kept := *n
		if o, ok := n.Op.(optional); ok {
			for len(kept.Results) > o.required() && !live[kept.Results[len(kept.Results)-1]] {
				kept.Results = kept.Results[:len(kept.Results)-1]
			}
		}
		for i, r := range b.clone(&kept, args) {
			copies[n.Results[i]] = r
		}
	}
	copyOutputs(b, g, copies)
	return b.Graph()
}

// Decompose returns the pass that decomposes every operator for which keep is
// false, as far as possible. An Unrolled operator whose steps are not known stays. A value inside a decomposition is named after the
// composite: "h.0.attn.attention.scores".
func Decompose(keep func(*Node) bool) Pass {
	due := func(n *Node, args []*Value) (Composite, bool) {
		op, ok := n.Op.(Composite)
		if !ok || keep(n) {
			return nil, false
		}
		u, unrolls := op.(Unrolled)
		return op, !unrolls || u.Decomposes(args)
	}
	return func(g *Graph) (*Graph, error) {
		for depth := 0; ; depth++ {
			if !slices.ContainsFunc(g.Nodes, func(n *Node) bool { _, is := due(n, n.Args); return is }) {
				return g, nil
			}
			next, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
				op, is := due(n, args)
				if !is {
					return nil
				}
				if depth == maxDepth {
					b.tooDeep(op)
					return nil
				}
				return op.Decompose(b, args)
			})
			if err != nil {
				return nil, err
			}
			if g, err = Prune(next); err != nil {
				return nil, err
			}
		}
	}
}

// maxDepth bounds the nesting depth of decompositions.
const maxDepth = 16

// tooDeep refuses an operator whose decomposition does not end.
func (b *Builder) tooDeep(op Op) {
	b.fail("graph: %.80q is written with itself, or through more than %d operators: write it with operators that attnx has", op.Name(), maxDepth)
}

// DecomposeAll decomposes every operator that has a decomposition.
func DecomposeAll(g *Graph) (*Graph, error) {
	return Decompose(func(*Node) bool { return false })(g)
}

// Bind returns the pass that sets the sizes of named dimensions. A value that
// depends only on constants and sizes (Slice or Trilu of a constant, Range,
// ConstantOfShape) becomes a Const once its sizes are numbers, up to a million
// elements each and 32 MiB in total. It refuses sequences longer than the
// context.
func Bind(sizes map[string]int) Pass {
	return func(g *Graph) (*Graph, error) {
		constants := newAhead(foldLimit)
		bound, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
			op := bindAttributes(n.Op, sizes)
			root := b.root()
			if leaf(op) {
				first := *n.Results[0]
				first.Shape = first.Shape.bind(sizes)
				return root.clone(&Node{Op: op, Results: []*Value{&first}}, nil)
			}
			if sized(op) {
				if t, ok := constants.compute(op, args); ok {
					return []*Value{root.Const(t.WithName(""))}
				}
			}
			return root.clone(&Node{Op: op, Results: n.Results}, args)
		})
		if err != nil {
			return nil, err
		}
		if err := bound.checkContext(); err != nil {
			return nil, err
		}
		return Prune(bound)
	}
}

// sized reports whether Bind computes an operator once its sizes are numbers.
func sized(op Op) bool {
	switch op.(type) {
	case Slice, Range, ConstantOfShape, Trilu:
		return true
	}
	return false
}

// checkContext refuses sequences longer than the context, as far as their sizes
// are numbers.
func (g *Graph) checkContext() error {
	for _, r := range []role.Kind{role.Tokens, role.AttentionMask, role.SourceTokens} {
		v := g.Input(role.Of(r))
		if v == nil || len(v.Shape) == 0 {
			continue
		}
		if n, ok := v.Shape[len(v.Shape)-1].Number(); ok && g.Context > 0 && n > g.Context {
			return fmt.Errorf("graph: a sequence of %d tokens: the network has a context of %d", n, g.Context)
		}
	}
	return nil
}

// MarkOutputs returns the graph with every computed floating-point value as an
// output, under its own name, after the existing outputs: comparisons value by
// value need this. If an output of another value has that name, the name gets a
// number.
func MarkOutputs(g *Graph) (*Graph, error) {
	marked := *g
	marked.Outputs = slices.Clone(g.Outputs)
	names, out := &Builder{recording: &recording{names: map[string]*Value{}}}, map[string]*Value{}
	for v := range g.Values() {
		names.names[v.Name] = v
	}
	handed := map[*Value]bool{}
	for _, o := range g.Outputs {
		names.names[o.Name], out[o.Name], handed[o.Value] = o.Value, o.Value, true
	}
	for v := range g.Values() {
		name := v.Name
		switch of := out[name]; {
		case v.Leaf() || !v.DType.Float() || of == v:
			continue
		case of != nil && handed[v]:
			continue
		case of != nil:
			name = names.free(name)
			names.names[name] = v
		}
		marked.Outputs = append(marked.Outputs, Output{Name: name, Value: v})
	}
	if err := Verify(&marked); err != nil {
		return nil, fmt.Errorf("marking outputs: %w", err)
	}
	return &marked, nil
}
