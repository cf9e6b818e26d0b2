package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// CacheError reports why a graph cannot have a past.
type CacheError struct {
	Value  string // name of the value at fault
	Reason string
}

func (e *CacheError) Error() string {
	return fmt.Sprintf("graph: no cache of keys and values: %.80q %s", e.Value, e.Reason)
}

// Cached returns g with a past, so that a text is computed once and each further token
// alone. In addition to the tokens (B,T) it has the inputs
//
//	the attention mask   int64 (B,P+T): 0 hides a token, such as left padding; otherwise 1
//	positions            int64 (B,T), if the network uses Positions
//	past keys            (B,G,P,D) and values (B,G,P,E) of each causal Attention; P may be 0
//
// and in addition to its outputs the present keys and values, (B,G,P+T,D), the past of the
// next run. Except for causal attention, every token must be computed independently of the
// others; a CacheError names an operator that violates this.
//
// A window counts columns of past and present, including masked ones, as in transformers.
// Left padding therefore does not affect it, but empty columns within a text shorten its
// window.
//
// A recurrent network without attention has the states of its layers instead, which are as
// large for any text: see stateful. It has neither a mask nor positions.
func Cached(g *Graph) (*Graph, error) {
	tokens := g.Input(role.Of(role.Tokens))
	if tokens == nil || len(tokens.Shape) != 2 {
		return nil, &CacheError{role.Of(role.Tokens).Name(), "is not an input (B,T) of the network: only what continues a text has a past"}
	}
	c := &cached{B: tokens.Shape[0], T: tokens.Shape[1], P: Sym("P"), tokens: tokens, layer: map[*Node]int{}}
	if len(States(g)) > 0 {
		return stateful(c, g)
	}
	return c.apply(g)
}

// apply rewrites the graph.
func (c *cached) apply(g *Graph) (*Graph, error) {
	if err := c.check(g); err != nil {
		return nil, err
	}
	out, err := Rewrite(g, c.rewrite)
	if c.refused != nil {
		return nil, c.refused
	}
	if err != nil {
		return nil, err
	}
	b := Extend(out)
	for i, l := range c.layers {
		b.OutputFor(role.Layered(c.kind(role.PresentKey), i), l.key)
		b.OutputFor(role.Layered(c.kind(role.PresentValue), i), l.value)
	}
	return b.Graph()
}

// kind returns the kind of a key or value of this graph.
func (c *cached) kind(k role.Kind) role.Kind {
	if !c.target {
		return k
	}
	return map[role.Kind]role.Kind{
		role.PastKey: role.PastTargetKey, role.PastValue: role.PastTargetValue, role.PresentKey: role.PresentTargetKey, role.PresentValue: role.PresentTargetValue,
	}[k]
}

// cached is the state of one rewriting.
type cached struct {
	B, T, P Dim
	tokens  *Value
	usesPos bool
	target  bool // of a network that translates: every text begins in the first column, so there are no masks
	layers  []*cachedLayer
	layer   map[*Node]int // index in layers

	mask, positions *Value // in the copy
	shown           *Value // the mask as BOOL
	past            [][2]*Value
	refused         *CacheError
}

// cachedLayer is one causal Attention.
type cachedLayer struct {
	node       *Node
	key, value *Value // the present ones, in the copy
}

// check finds the causal attentions and refuses any other operator that mixes
// tokens.
func (c *cached) check(g *Graph) error {
	if c.T.Symbols() == nil {
		return &CacheError{c.tokens.Name, fmt.Sprintf("has %s tokens: the number must be a name", c.T)}
	}
	if c.B.Symbols() == nil && !c.B.Is(1) {
		return &CacheError{c.tokens.Name, fmt.Sprintf("has %s texts: the number must be a name, or 1", c.B)}
	}
	for _, n := range g.Nodes {
		for _, v := range n.Results {
			if slices.ContainsFunc(v.Shape, func(d Dim) bool { return slices.Contains(d.Symbols(), c.P.String()) }) {
				return &CacheError{v.Name, fmt.Sprintf("has the size %s, the name of the number of tokens before", c.P)}
			}
		}
		switch op := n.Op.(type) {
		case Attention:
			fixed := func(v *Value) bool { return !slices.ContainsFunc(v.Shape, c.has) }
			switch {
			case c.target && !op.Causal && fixed(n.Args[1]) && fixed(n.Args[2]) && (len(n.Args) == 3 || fixed(n.Args[3])):
				continue // to the source: each token for itself
			case !op.Causal:
				return &CacheError{n.Name(), "is not causal: a token depends on those after it"}
			case len(n.Args) == 4 && !(c.target && relative(n.Args[3])):
				return &CacheError{n.Name(), "has a mask of its own, which says nothing of tokens before"}
			case n.Args[0].Shape[0] != c.B || slices.ContainsFunc(n.Args, func(v *Value) bool { return slices.ContainsFunc(v.Shape[1:], c.ofBatch) }):
				return &CacheError{n.Name(), fmt.Sprintf("has %s queries: expected the texts (%s) first", n.Args[0].Shape, c.B)}
			case n.Args[1].Shape[2] != c.T:
				return &CacheError{n.Name(), fmt.Sprintf("has %s keys for %s tokens", n.Args[1].Shape[2], c.T)}
			}
			i := len(c.layers)
			c.layer[n] = i
			c.layers = append(c.layers, &cachedLayer{node: n})
		case RelativePositionBias:
			if !c.target || op.Queries != c.T || op.Keys != c.T {
				return &CacheError{n.Name(), "depends on the places of tokens, and not on their positions"}
			}
		case Positions:
			c.usesPos = true
			if n.Args[0] != c.tokens {
				return &CacheError{n.Name(), "are the positions of something else than the tokens"}
			}
		default:
			if !c.tokenwise(n) {
				return &CacheError{n.Name(), fmt.Sprintf("(%s) mixes tokens: only causal attention can have a past", n.Op.Name())}
			}
			if !c.textwise(n) {
				return &CacheError{n.Name(), fmt.Sprintf("(%s) mixes texts, or depends on their order: padding beside one would change another", n.Op.Name())}
			}
		}
	}
	if len(c.layers) == 0 {
		return &CacheError{g.Outputs[0].Name, "does not depend on an Attention"}
	}
	return nil
}

// relative reports whether a value is the bias of the places of two tokens.
func relative(v *Value) bool {
	_, ok := Is[RelativePositionBias](v)
	return ok
}

func (c *cached) rewrite(b *Builder, n *Node, args []*Value) []*Value {
	root := b.root()
	switch op := n.Op.(type) {
	case Input:
		if n.Results[0] != c.tokens {
			return nil
		}
		r := root.clone(n, args)
		c.inputs(root)
		return r
	case Positions:
		if c.target {
			return []*Value{b.Range(c.P, c.P.Add(c.T))}
		}
		return []*Value{c.positions}
	case RelativePositionBias:
		op.Keys = c.P.Add(c.T)
		return []*Value{b.RelativePositionBias(op, args[0])}
	case Attention:
		i, own := c.layer[n]
		if !own {
			return nil
		}
		present := func(k role.Kind, past, new *Value) *Value {
			return root.Name(role.Layered(c.kind(k), i).Name(), root.Concat(2, past, new))
		}
		l := c.layers[i]
		l.key = present(role.PresentKey, c.past[i][0], args[1])
		l.value = present(role.PresentValue, c.past[i][1], args[2])
		mask := c.shown
		switch {
		case !c.target:
			mask = c.seen(root)
		case len(args) == 4:
			mask = args[3]
		}
		return []*Value{b.Attention(op, args[0], l.key, l.value, mask)}
	}
	for i, a := range n.Args {
		// Positions become (B,T) instead of (T), so an axis would change its meaning.
		if len(args[i].Shape) != len(a.Shape) && !alignedAtTheEnd(n.Op) && c.refused == nil {
			c.refused = &CacheError{n.Name(), fmt.Sprintf("(%s) counts dimensions of positions, which differ from text to text", n.Op.Name())}
		}
	}
	return nil
}

// alignedAtTheEnd reports whether an operator keeps its meaning if its argument
// gets an extra leading dimension.
func alignedAtTheEnd(op Op) bool {
	switch op.(type) {
	case Unary, Binary, Where, Cast, Gelu, Swish, OneHot, Gather, MatMul, LayerNormalization, RMSNormalization, RotaryEmbedding:
		return true
	}
	return false
}

// inputs declares the additional inputs of a run.
func (c *cached) inputs(b *Builder) {
	if !c.target {
		c.mask = b.InputFor(role.Of(role.AttentionMask), format.Int64, c.B, c.P.Add(c.T))
	}
	if c.usesPos && !c.target {
		c.positions = b.InputFor(role.Of(role.Positions), format.Int64, c.B, c.T)
	}
	for i, l := range c.layers {
		in := func(k role.Kind, v *Value) *Value {
			return b.InputFor(role.Layered(c.kind(k), i), v.DType, v.Shape.with(2, c.P)...)
		}
		c.past = append(c.past, [2]*Value{in(role.PastKey, l.node.Args[1]), in(role.PastValue, l.node.Args[2])})
	}
}

// seen returns the attention mask as BOOL (B,1,1,P+T), one value for all layers.
func (c *cached) seen(b *Builder) *Value {
	if c.shown == nil {
		c.shown = b.Name("seen", b.Reshape(b.Cast(c.mask, format.Bool), c.B, N(1), N(1), c.P.Add(c.T)))
	}
	return c.shown
}

// has reports whether a size depends on the number of tokens.
func (c *cached) has(d Dim) bool { return dependsOn(d, c.T) }

// ofBatch reports whether a size depends on the number of texts.
func (c *cached) ofBatch(d Dim) bool { return dependsOn(d, c.B) }

// dependsOn reports whether d depends on a name in n.
func dependsOn(d, n Dim) bool {
	names := d.Symbols()
	return len(names) > 0 && slices.ContainsFunc(n.Symbols(), func(name string) bool { return slices.Contains(names, name) })
}

// tokenwise reports whether n, which is not an Attention, computes each token
// independently.
func (c *cached) tokenwise(n *Node) bool {
	switch op := n.Op.(type) {
	case Reshape:
		// The tokens keep their order if only the batch precedes them.
		return c.leading(n.Args[0].Shape) && c.leading(op.Shape)
	case Expand:
		x := n.Args[0].Shape
		return x.Elements() == op.Shape.Elements() || !slices.ContainsFunc(op.Shape, func(d Dim) bool { return c.has(d) && !slices.Contains(x, d) })
	}
	return apart(n, c.has)
}

// textwise reports whether n, which is not an Attention, computes each text
// independently.
func (c *cached) textwise(n *Node) bool {
	switch op := n.Op.(type) {
	case Reshape:
		return c.rows(n.Args[0].Shape) && c.rows(op.Shape)
	case Expand, ConstantOfShape: // the same for all texts
		return !pairs(n.Results[0], c.ofBatch)
	}
	return apart(n, c.ofBatch)
}

// rows reports whether the first size of a shape is a multiple of the batch and
// no other size depends on it, so that the elements of each text are contiguous.
// It is false for a shape without the batch.
func (c *cached) rows(s Shape) bool {
	if !slices.ContainsFunc(s, c.ofBatch) {
		return true
	}
	if slices.ContainsFunc(s[1:], c.ofBatch) || len(c.B.Terms()) != 1 {
		return false
	}
	return !slices.ContainsFunc(s[0].Terms(), func(t Term) bool {
		return !slices.Contains(t.Symbols, c.B.Symbols()[0])
	})
}

// apart reports whether n computes each position of the dimensions for which
// has is true independently.
func apart(n *Node, has func(Dim) bool) bool {
	if !slices.ContainsFunc(n.Args, func(v *Value) bool { return slices.ContainsFunc(v.Shape, has) }) {
		return leaf(n.Op) || !slices.ContainsFunc(n.Results, func(v *Value) bool { return slices.ContainsFunc(v.Shape, has) })
	}
	if slices.ContainsFunc(n.Results, func(v *Value) bool { return pairs(v, has) }) {
		return false
	}
	free := func(v *Value, axis int) bool { return !has(v.Shape[axis]) }
	x := n.Args[0]
	last := len(x.Shape) - 1
	switch op := n.Op.(type) {
	case Unary, Binary, Where, Cast, Gelu, Swish, RotaryEmbedding, OneHot, Transpose:
		return true
	case Gather:
		return !slices.ContainsFunc(x.Shape, has)
	case MatMul:
		y := n.Args[1]
		return free(x, last) && free(y, len(y.Shape)-2) && free(y, len(y.Shape)-1)
	case Gemm:
		return !slices.ContainsFunc(n.Args[1].Shape, has) && !op.TransA
	case LayerNormalization, RMSNormalization:
		return free(x, last)
	case Softmax:
		return free(x, op.Axis)
	case LogSoftmax:
		return free(x, op.Axis)
	case CumSum:
		return free(x, op.Axis)
	case ArgMax:
		return free(x, op.Axis)
	case Concat:
		return free(x, op.Axis)
	case Split:
		return true // numbers only
	case Slice:
		return free(x, op.Axis) && !has(op.Start) && !has(op.Limit)
	case Reduce:
		return !slices.ContainsFunc(op.Axes, func(axis int) bool { return !free(x, axis) })
	}
	return false
}

// pairs reports whether v has an element per pair, such as (B,T,T).
func pairs(v *Value, has func(Dim) bool) bool {
	first := slices.IndexFunc(v.Shape, has)
	return first >= 0 && slices.ContainsFunc(v.Shape[first+1:], has)
}

// leading reports whether a shape is (B,T,...), (B*T,...) or has no tokens.
func (c *cached) leading(s Shape) bool {
	if !slices.ContainsFunc(s, c.has) {
		return true
	}
	if len(s) > 0 && s[0] == c.B.Mul(c.T) {
		return !slices.ContainsFunc(s[1:], c.has)
	}
	return len(s) > 1 && s[0] == c.B && s[1] == c.T && !slices.ContainsFunc(s[2:], c.has)
}

// LastToken returns g with the logits of only each sequence's last token,
// (B,1,V) instead of (B,T,V). Values that only these logits need are computed
// for the last token alone, starting after the last operator that mixes tokens.
func LastToken(g *Graph) (*Graph, error) {
	tokens := g.Input(role.Of(role.Tokens))
	logits, ok := g.Output(role.Of(role.Logits))
	if tokens == nil || len(tokens.Shape) != 2 || !ok || len(logits.Value.Shape) != 3 || logits.Value.Shape[1] != tokens.Shape[1] {
		return nil, fmt.Errorf("graph: the logits of the last token are those of a graph from tokens (B,T) to logits (B,T,V)")
	}
	c := &cached{B: tokens.Shape[0], T: tokens.Shape[1], tokens: tokens}
	alone := c.lastAlone(g, logits)
	sliced := map[*Value]*Value{}
	last := func(b *Builder, name string, v *Value) *Value {
		if sliced[v] == nil {
			sliced[v] = b.Name(name+".last", b.Slice(v, 1, c.T.Sub(N(1)), c.T))
		}
		return sliced[v]
	}
	var names map[string]int
	if s := c.T.Symbols(); len(s) == 1 && c.T == Sym(s[0]) {
		names = map[string]int{s[0]: 1}
	} else {
		return nil, fmt.Errorf("graph: the tokens have %s positions: expected a name", c.T)
	}
	out, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		if !alone[n] {
			return nil
		}
		own := slices.Clone(args)
		for i, a := range n.Args {
			if !alone[a.Node] && slices.ContainsFunc(a.Shape, c.has) {
				own[i] = last(b.root(), a.Name, args[i])
			}
		}
		return b.root().clone(&Node{Op: bindAttributes(n.Op, names), Results: n.Results}, own)
	})
	if err != nil || alone[logits.Value.Node] {
		return out, err
	}
	b := Extend(out)
	for i, o := range b.graph.Outputs {
		if o.Name == logits.Name {
			b.graph.Outputs[i].Value = b.Name(o.Name+".last", b.Slice(o.Value, 1, c.T.Sub(N(1)), c.T))
		}
	}
	return b.Graph()
}

// lastAlone returns the nodes that only the last token's logits need and that
// compute each token independently: values (B,T,C).
func (c *cached) lastAlone(g *Graph, logits Output) map[*Node]bool {
	users := map[*Value][]*Node{}
	for _, n := range g.Nodes {
		for _, a := range n.Args {
			users[a] = append(users[a], n)
		}
	}
	handed := map[*Value]bool{}
	for _, o := range g.Outputs {
		handed[o.Value] = handed[o.Value] || o.Name != logits.Name
	}
	alone := map[*Node]bool{}
	for _, n := range slices.Backward(g.Nodes) {
		yes := !leaf(n.Op) && c.tokenwise(n) && !slices.ContainsFunc(n.Args, func(v *Value) bool {
			return slices.ContainsFunc(v.Shape, c.has) && !(len(v.Shape) == 3 && v.Shape[1] == c.T && !c.has(v.Shape[0]) && !c.has(v.Shape[2]))
		})
		for _, v := range n.Results {
			yes = yes && !handed[v] && (v == logits.Value || len(users[v]) > 0) && slices.ContainsFunc(v.Shape, c.has)
			for _, u := range users[v] {
				yes = yes && alone[u]
			}
		}
		if yes {
			alone[n] = true
		}
	}
	return alone
}

// KeysAndValues returns g with the keys and values of every causal Attention as
// further outputs. Names and roles are those that Cached gives them for a text
// without a past. Of a recurrent network they are the states at the end of the text.
func KeysAndValues(g *Graph) (*Graph, error) {
	if nodes := States(g); len(nodes) > 0 {
		return finalStates(g, nodes)
	}
	b := Extend(g)
	layer := 0
	for _, n := range g.Nodes {
		if a, ok := n.Op.(Attention); ok && a.Causal {
			b.OutputFor(role.Layered(role.PresentKey, layer), n.Args[1])
			b.OutputFor(role.Layered(role.PresentValue, layer), n.Args[2])
			layer++
		}
	}
	return b.Graph()
}
