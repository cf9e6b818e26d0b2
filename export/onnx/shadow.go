package onnx

// A node in the graph of an attribute must not make a value with the name of one that
// it sees in a graph around it. An input or an initializer of its graph may have that
// name. ONNX's checker and ONNX Runtime say the same.

func shadows(where, name string) error {
	return bad(where, "it makes %.80q, a name that its graph or one around it has already: give the value another name", name)
}

// function checks that each name in a function's body is made once.
func (c *checker) function(f *Function) {
	s := &scope{names: map[string]bool{}, depth: 1}
	for _, in := range f.Inputs {
		s.names[in] = true
	}
	c.made(f.Nodes, "function "+f.label()+": ", s)
}

// made checks that nodes make no name that s has, and adds the names they make.
func (c *checker) made(nodes []*Node, prefix string, s *scope) {
	if s.depth > maxDepth {
		c.add(unsupported("graph", "graphs nested more than %d deep are not supported", maxDepth))
		return
	}
	for i, n := range nodes {
		where := prefix + n.Label(i)
		for j := range n.Attributes {
			a := &n.Attributes[j]
			for _, g := range a.Graphs {
				c.made(g.Nodes, prefix, within(g, s))
			}
			if a.Graph != nil {
				c.made(a.Graph.Nodes, prefix, within(a.Graph, s))
			}
		}
		for _, o := range n.Outputs {
			switch {
			case o == "": // an omitted optional output
			case s.has(o):
				if c.add(shadows(where, o)) {
					return
				}
			default:
				s.names[o] = true
			}
		}
	}
}

// within returns the scope of a graph in an attribute, with its inputs and initializers.
func within(g *Graph, outer *scope) *scope {
	s := &scope{names: map[string]bool{}, outer: outer, depth: outer.depth + 1}
	for _, v := range g.Inputs {
		s.names[v.Name] = true
	}
	for _, t := range g.Initializers {
		s.names[t.Name] = true
	}
	for _, t := range g.Sparse {
		s.names[t.Name()] = true
	}
	return s
}
