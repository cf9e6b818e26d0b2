package graph

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/attnx/attnx/model/role"
)

// Pair are the parts of a network that translates, which run one after the other:
// the encoder once for a source, the first decoder with the first token of the target,
// and Next for each further token. Names and roles are those of optimum's exports.
type Pair struct {
	// Encoder computes the states of the source, (B,S,C), as Hidden. The source and its
	// mask are its Tokens and AttentionMask.
	Encoder *Graph
	// First scores a target (B,T) from its beginning, with SourceMask and
	// SourceStates as inputs. Besides the logits it returns the keys and values of each
	// layer: those of the target, (B,H,T,D), and those of the source, (B,H,S,D).
	First *Graph
	// Next scores T more tokens behind P others. It has the keys and values of both as
	// inputs, and returns those of the target, (B,H,P+T,D). No row of a batch is padded
	// on its left, because each target begins with one and the same token: so it has
	// neither a mask of the target nor positions as inputs.
	Next *Graph
}

// Cut returns the parts of a network that translates. A *CacheError names what has no
// place in one of them.
func Cut(g *Graph) (p Pair, err error) {
	source, mask, tokens := g.Input(role.Of(role.SourceTokens)), g.Input(role.Of(role.SourceMask)), g.Input(role.Of(role.Tokens))
	states, ok := g.Output(role.Of(role.SourceStates))
	logits, scores := g.Output(role.Of(role.Logits))
	if source == nil || tokens == nil || !ok || !scores || len(tokens.Shape) != 2 {
		return p, &CacheError{role.Of(role.SourceTokens).Name(), "is not read, or no states of it are handed out: only what translates has an encoder and a decoder"}
	}
	c := cutter{g: g, named: map[*Value]role.Role{source: role.Of(role.Tokens)}}
	if mask != nil {
		c.named[mask] = role.Of(role.AttentionMask)
	}
	if p.Encoder, err = c.part([]Output{{Role: role.Of(role.Hidden), Value: states.Value}}); err != nil {
		return p, err
	}
	c.named = map[*Value]role.Role{states.Value: role.Of(role.SourceStates)}
	if nodes := c.recurrent(tokens); len(nodes) > 0 {
		return c.recurrentPair(p, logits, nodes)
	}
	own, across, err := c.layers(tokens, source)
	if err != nil {
		return p, err
	}
	outputs := []Output{{Role: logits.Role, Value: logits.Value}}
	layered := func(k role.Kind, i int, v *Value) {
		outputs = append(outputs, Output{Role: role.Layered(k, i), Value: v})
	}
	for i, n := range own {
		layered(role.PresentTargetKey, i, n.Args[1])
		layered(role.PresentTargetValue, i, n.Args[2])
		layered(role.PresentSourceKey, i, across[i].Args[1])
		layered(role.PresentSourceValue, i, across[i].Args[2])
	}
	if p.First, err = c.part(outputs); err != nil {
		return p, err
	}
	for i, n := range across {
		c.named[n.Args[1]] = role.Layered(role.PastSourceKey, i)
		c.named[n.Args[2]] = role.Layered(role.PastSourceValue, i)
	}
	next, err := c.part(outputs[:1])
	if err != nil {
		return p, err
	}
	if s := next.Input(role.Of(role.SourceStates)); s != nil {
		return p, &CacheError{states.Value.Name, "is read by something else than the keys and values of an Attention"}
	}
	p.Next, err = cachedTarget(next)
	return p, err
}

// cutter copies parts of a graph.
type cutter struct {
	g     *Graph
	named map[*Value]role.Role // values that the part has as inputs
}

// part returns what the outputs need. They get the names of their roles.
func (c cutter) part(outputs []Output) (*Graph, error) {
	live := map[*Value]bool{}
	for _, o := range outputs {
		live[o.Value] = true
	}
	needed := func(n *Node) (all, given bool) {
		for _, v := range n.Results {
			_, named := c.named[v]
			all, given = all || live[v] && !named, given || live[v] && named
		}
		return all, given
	}
	for i := len(c.g.Nodes) - 1; i >= 0; i-- {
		if n := c.g.Nodes[i]; n != nil {
			if all, _ := needed(n); all {
				for _, a := range n.Args {
					live[a] = true
				}
			}
		}
	}
	b := NewBuilder()
	b.taken = map[string]bool{}
	for v := range c.g.Values() {
		b.taken[v.Name] = true
	}
	copies := map[*Value]*Value{}
	for _, n := range c.g.Nodes {
		all, given := needed(n)
		if all {
			args := make([]*Value, len(n.Args))
			for i, a := range n.Args {
				args[i] = copies[a]
			}
			for i, r := range b.clone(n, args) {
				copies[n.Results[i]] = r
			}
		}
		if !given {
			continue
		}
		for _, v := range n.Results {
			if r, named := c.named[v]; named && live[v] {
				copies[v] = b.InputFor(r, v.DType, v.Shape...)
			}
		}
	}
	b.graph.Context = c.g.Context
	for _, o := range outputs {
		b.OutputFor(o.Role, copies[o.Value])
	}
	return b.Graph()
}

// layers returns the attentions of the decoder to its own tokens and to the source, in
// order.
func (c cutter) layers(tokens, source *Value) (own, across []*Node, err error) {
	target, of := reach(c.g, tokens), reach(c.g, source)
	for _, n := range c.g.Nodes {
		a, ok := n.Op.(Attention)
		switch {
		case !ok || !target[n.Results[0]]:
		case a.Causal && target[n.Args[1]] && target[n.Args[2]]:
			own = append(own, n)
		case !a.Causal && of[n.Args[1]] && !target[n.Args[1]] && !target[n.Args[2]]:
			across = append(across, n)
		default:
			return nil, nil, &CacheError{n.Name(), "is neither causal over the target nor over the source alone"}
		}
	}
	if len(own) == 0 || len(own) != len(across) {
		return nil, nil, &CacheError{tokens.Name, fmt.Sprintf("has %d attentions to the target and %d to the source: expected one of each in a layer", len(own), len(across))}
	}
	return own, across, nil
}

// reach returns the values that depend on v.
func reach(g *Graph, v *Value) map[*Value]bool {
	out := map[*Value]bool{v: true}
	for _, n := range g.Nodes {
		for _, a := range n.Args {
			if out[a] {
				for _, r := range n.Results {
					out[r] = true
				}
			}
		}
	}
	return out
}

// cachedTarget gives the target of a decoder a past.
func cachedTarget(g *Graph) (*Graph, error) {
	tokens := g.Input(role.Of(role.Tokens))
	c := &cached{B: tokens.Shape[0], T: tokens.Shape[1], P: Sym("P"), tokens: tokens, layer: map[*Node]int{}, target: true}
	out, err := c.apply(g)
	if err != nil {
		return nil, err
	}
	return byLayer(out)
}

// byLayer puts the inputs first, those of a layer side by side: optimum gives keys and
// values by their order, and not by their names.
func byLayer(g *Graph) (*Graph, error) {
	kinds := []role.Kind{role.PastTargetKey, role.PastTargetValue, role.PastSourceKey, role.PastSourceValue}
	place := func(v *Value) (layer, kind int) {
		r := v.Role()
		if kind = slices.Index(kinds, r.Kind); kind < 0 {
			return -1, 0 // masks and tokens stay in front
		}
		return r.Layer, kind
	}
	sorted := *g
	sorted.Inputs = slices.Clone(g.Inputs)
	slices.SortStableFunc(sorted.Inputs, func(a, b *Value) int {
		layerA, kindA := place(a)
		layerB, kindB := place(b)
		return cmp.Or(cmp.Compare(layerA, layerB), cmp.Compare(kindA, kindB))
	})
	sorted.Nodes = nil
	for _, v := range sorted.Inputs {
		sorted.Nodes = append(sorted.Nodes, v.Node)
	}
	for _, n := range g.Nodes {
		if _, in := n.Op.(Input); !in {
			sorted.Nodes = append(sorted.Nodes, n)
		}
	}
	return &sorted, Verify(&sorted)
}
