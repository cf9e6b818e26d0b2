package graph

import "slices"

// loosened returns the graph with large values apart that need not be together: a
// product to which another gradient is added, and gradients whose sum is made smaller
// afterwards, as those by a bias that layers share. They are made smaller and then
// summed.
func loosened(g *Graph, limit int64) (*Graph, error) {
	g, err := Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		gemm, ok := n.Op.(Gemm)
		if !ok || len(args) < 3 || !args[2].Shape.Equal(n.Results[0].Shape) || max(bytesOf(args[0]), bytesOf(args[1])) <= limit {
			return nil
		}
		return []*Value{b.Add(b.apply(gemm, args[0], args[1]), args[2])}
	})
	if err != nil {
		return nil, err
	}
	s := survey(g)
	through, apart := s.shrinking(limit)
	if len(through) == 0 {
		return g, nil
	}
	terms := map[*Value][]*Value{} // of results of these nodes
	g, err = Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		if !through[n] {
			return nil
		}
		v := n.Results[0]
		if n.Op == Op(Add) {
			for i, a := range n.Args {
				if apart[a] {
					terms[v] = append(terms[v], terms[a]...)
				} else {
					terms[v] = append(terms[v], args[i])
				}
			}
		} else {
			at := slices.IndexFunc(n.Args, func(a *Value) bool { return apart[a] })
			for _, x := range terms[n.Args[at]] {
				with := slices.Clone(args)
				with[at] = x
				terms[v] = append(terms[v], b.Apply(n.Op, 1, with...)[0])
			}
		}
		sum := terms[v][0]
		if apart[v] { // nobody reads it
			return []*Value{sum}
		}
		for _, x := range terms[v][1:] {
			sum = b.Add(sum, x)
		}
		return []*Value{sum}
	})
	if err != nil {
		return nil, err
	}
	return Prune(g)
}

// shrinking returns the nodes from sums of large values to where these are much
// smaller, if all between are linear and read by the next one only, and the values between
// these nodes, whose terms stay apart. Where two ways meet, a sum takes the terms of both,
// another node those of the first.
func (s *surveyed) shrinking(limit int64) (through map[*Node]bool, apart map[*Value]bool) {
	through, apart = map[*Node]bool{}, map[*Value]bool{}
	for _, n := range s.g.Nodes {
		v := n.Results[0]
		if n.Op != Op(Add) || through[n] || bytesOf(v) <= limit || !n.Args[0].Shape.Equal(n.Args[1].Shape) {
			continue
		}
		chain := []*Node{n}
		for at := v; elements(at)*muchSmaller > elements(v); {
			if len(s.users[at]) != 1 || s.out[at] || !linear(s.users[at][0], at) {
				chain = nil
				break
			}
			next := s.users[at][0]
			if through[next] && next.Op != Op(Add) && !apart[at] {
				chain = nil
				break
			}
			chain = append(chain, next)
			at = next.Results[0]
		}
		for i, c := range chain {
			through[c] = true
			if i > 0 {
				apart[chain[i-1].Results[0]] = true
			}
		}
	}
	return through, apart
}

// linear reports whether the result of n is linear in its argument v.
func linear(n *Node, v *Value) bool {
	at := 0
	for i, a := range n.Args {
		if a == v {
			at = i
		}
	}
	if len(n.Results) != 1 || len(n.Args) > 1 && n.Args[0] == n.Args[1] {
		return false
	}
	switch op := n.Op.(type) {
	case Reshape, Transpose, MatMul:
		return true
	case Gemm:
		return len(n.Args) == 2
	case Reduce:
		return op.Kind == ReduceSum || op.Kind == ReduceMean
	case Where:
		return at > 0 && everyElement(n.Args[3-at], 0)
	case Binary:
		return op == Add && n.Args[0].Shape.Equal(n.Args[1].Shape) || op == Mul && elements(n.Args[1-at]) == 1
	}
	return false
}
