package graph

import (
	"fmt"
	"strings"
)

// Merge drops nodes that repeat another one's computation (common
// subexpressions): the same operator with the same arguments and attributes. It
// keeps the first of them, with as many results as any of them has.
func Merge(g *Graph) (*Graph, error) {
	class := map[string]int{}  // classes of nodes with the same computation, by its key
	most := map[int]int{}      // number of results by class
	number := map[*Value]int{} // equal values have equal numbers
	of := map[*Node]int{}
	results := map[[2]int]int{}
	for _, n := range g.Nodes {
		c := len(of) // a class of its own
		if _, in := n.Op.(Input); !in {
			if _, param := n.Op.(Param); !param {
				c = classOf(class, n, number, c)
			}
		}
		of[n] = c
		most[c] = max(most[c], len(n.Results))
		for i, v := range n.Results {
			key := [2]int{c, i}
			if _, ok := results[key]; !ok {
				results[key] = len(results)
			}
			number[v] = results[key]
		}
	}
	first := map[int][]*Value{}
	merged, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		c := of[n]
		if r := first[c]; r != nil {
			return r
		}
		root := b.root()
		if most[c] == len(n.Results) {
			first[c] = root.clone(n, args)
			return first[c]
		}
		r := b.Apply(n.Op, most[c], args...)
		for i, v := range n.Results {
			root.Name(v.Name, r[i])
		}
		first[c] = r
		return r
	})
	if err != nil {
		return nil, err
	}
	return Prune(merged)
}

// classOf returns the class of nodes with n's computation, a new class if n is
// the first.
func classOf(class map[string]int, n *Node, number map[*Value]int, fresh int) int {
	var key strings.Builder
	fmt.Fprintf(&key, "%s %s%s", n.Op.Name(), n.Results[0].Type, identity(n.Op))
	for _, a := range n.Args {
		fmt.Fprintf(&key, " %d", number[a])
	}
	if c, ok := class[key.String()]; ok {
		return c
	}
	class[key.String()] = fresh
	return fresh
}
