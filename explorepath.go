package attnx

import (
	"slices"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// linear is a layer x·weight + bias of a graph. Weight and bias are the names of
// parameters; the bias may be missing.
type linear struct {
	x            *graph.Value
	weight, bias string
}

// read returns the name of what the layer reads.
func (l linear) read() string {
	if l.x == nil {
		return ""
	}
	return l.x.Name
}

// linearOf returns the layer that gives v, if one does.
func linearOf(v *graph.Value) (l linear, ok bool) {
	if graph.Op(graph.Add) == v.Op() {
		for i, a := range v.Args() {
			bias := paramOf(v.Args()[1-i])
			if of, ok := linearOf(a); ok && bias != "" && of.bias == "" {
				of.bias = bias
				return of, true
			}
		}
		return l, false
	}
	if _, ok := graph.Is[graph.MatMul](v); !ok {
		return l, false
	}
	l = linear{x: v.Args()[0], weight: paramOf(v.Args()[1])}
	return l, l.weight != "" && paramOf(l.x) == ""
}

// paramOf returns the name of the parameter that v is, or from which it is made
// without computing: "" if it is none.
func paramOf(v *graph.Value) string {
	for {
		switch v.Op().(type) {
		case graph.Param:
			return v.Name
		case graph.Transpose, graph.Reshape, graph.Cast:
			v = v.Args()[0]
		default:
			return ""
		}
	}
}

// computed returns the first argument of v that depends on the text, nil if none
// does.
func computed(v *graph.Value) *graph.Value {
	for _, a := range v.Args() {
		if a.DType.Float() && !a.Leaf() && paramOf(a) == "" {
			return a
		}
	}
	return nil
}

// projection returns the layer from which an argument of Attention comes. Between
// them heads are split, normalized and rotated.
func projection(v *graph.Value) (made *graph.Value, l linear, ok bool) {
	for v != nil {
		if l, ok := linearOf(v); ok {
			return v, l, true
		}
		v = computed(v)
	}
	return nil, l, false
}

// feed is a feed-forward network: a layer, a nonlinear function and a second layer.
type feed struct {
	first linear
	inner *graph.Value // Z¹, what the second layer reads
	outer *graph.Value // Z², what it gives
}

// network is what Explore knows of the structure of a graph.
type network struct {
	users  map[*graph.Value][]*graph.Node
	order  map[*graph.Node]int
	nodes  []*graph.Node // with Attention
	feeds  []feed
	target map[*graph.Value]bool // what depends on the target of a translator; nil of others
}

func newNetwork(g *graph.Graph) *network {
	n := &network{users: map[*graph.Value][]*graph.Node{}, order: map[*graph.Node]int{}}
	for i, node := range g.Nodes {
		n.order[node] = i
		for _, a := range node.Args {
			n.users[a] = append(n.users[a], node)
		}
		if _, ok := node.Op.(graph.Attention); ok {
			n.nodes = append(n.nodes, node)
		}
	}
	if g.Input(role.Of(role.SourceTokens)) != nil {
		n.target = onTarget(g)
	}
	for _, node := range g.Nodes {
		if f, ok := n.feedOf(node.Results[0]); ok {
			n.feeds = append(n.feeds, f)
		}
	}
	return n
}

// onTarget returns the values that depend on the target of a translator.
func onTarget(g *graph.Graph) map[*graph.Value]bool {
	on := map[*graph.Value]bool{g.Input(role.Of(role.Tokens)): true}
	for _, n := range g.Nodes {
		if slices.ContainsFunc(n.Args, func(a *graph.Value) bool { return on[a] }) {
			for _, r := range n.Results {
				on[r] = true
			}
		}
	}
	return on
}

// biased reports whether an Attention adds to its scores what a parameter says of distances.
func (n *network) biased(node *graph.Node) bool {
	if len(node.Args) < 4 {
		return false
	}
	seen := map[*graph.Value]bool{}
	var from func(v *graph.Value) bool
	from = func(v *graph.Value) bool {
		if seen[v] {
			return false
		}
		seen[v] = true
		if _, ok := v.Op().(graph.RelativePositionBias); ok {
			return true
		}
		return slices.ContainsFunc(v.Args(), from)
	}
	return from(node.Args[3])
}

// whole returns the end of the layer v = x·weight: the sum with its bias, if that
// is all that becomes of v.
func (n *network) whole(v *graph.Value) *graph.Value {
	if users := n.users[v]; len(users) == 1 {
		if sum := users[0].Results[0]; len(users[0].Args) == 2 {
			if _, ok := linearOf(sum); ok && graph.Op(graph.Add) == sum.Op() {
				return sum
			}
		}
	}
	return v
}

// feedOf returns the feed-forward network that ends with v.
func (n *network) feedOf(v *graph.Value) (f feed, ok bool) {
	l, ok := linearOf(v)
	if !ok || n.whole(v) != v || len(l.x.Shape) != len(v.Shape) {
		return f, false
	}
	first, ok := activated(l.x, 0)
	return feed{first, l.x, v}, ok
}

// activated returns the first of the layers of which v is a nonlinear function,
// element by element. Products of several layers (gates) are such functions too.
func activated(v *graph.Value, depth int) (first linear, ok bool) {
	if depth > 16 || v.Leaf() {
		return first, false
	}
	switch v.Op().(type) {
	case graph.Unary, graph.Gelu, graph.Swish:
	case graph.Binary:
		if graph.Op(graph.Add) == v.Op() { // of a residual stream, or of a bias
			return first, false
		}
	default:
		return first, false
	}
	for _, a := range v.Args() {
		if l, ok := linearOf(a); ok {
			return l, true
		}
		if l, ok := activated(a, depth+1); ok {
			return l, true
		}
	}
	return first, false
}

// output returns what becomes of the result of an Attention: the layer that its
// heads, side by side, go through. ok is false if there is none.
func (n *network) output(v *graph.Value) (out *graph.Value, l linear, ok bool) {
	for {
		users := n.users[v]
		if len(users) != 1 || len(users[0].Results) != 1 {
			return nil, l, false
		}
		switch users[0].Op.(type) {
		case graph.Transpose, graph.Reshape:
			v = users[0].Results[0]
		case graph.MatMul:
			out = n.whole(users[0].Results[0])
			l, ok = linearOf(out)
			return out, l, ok && l.x == v
		default:
			return nil, l, false
		}
	}
}

// after returns the first feed-forward network between an Attention and the next.
func (n *network) after(layer int) (f feed, ok bool) {
	from, to := n.order[n.nodes[layer]], len(n.order)
	if layer+1 < len(n.nodes) {
		to = n.order[n.nodes[layer+1]]
	}
	i := slices.IndexFunc(n.feeds, func(f feed) bool {
		at := n.order[f.outer.Node]
		return at > from && at < to
	})
	if i < 0 {
		return f, false
	}
	return n.feeds[i], true
}

// scoresOf returns the value whose softmax p is: the masked scores.
func scoresOf(p *graph.Value) *graph.Value {
	for v := p; ; v = v.Args()[0] {
		switch v.Op().(type) {
		case graph.Softmax:
			return v.Args()[0]
		case graph.Reshape:
		default:
			return nil
		}
	}
}
