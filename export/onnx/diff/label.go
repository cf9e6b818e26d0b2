package diff

import (
	"encoding/binary"
)

// The levels of labels, from the exact to the coarse one.
const (
	whole  = iota // operator, attributes, and the elements of stored values
	shaped        // operator, attributes, and the shapes of stored values
	named         // operator alone
	levels
)

// hash is a hash that proposes pairs. It proves nothing.
type hash uint64

const seed hash = 0x9e3779b97f4a7c15

// add mixes a number in. The order counts.
func (h hash) add(x hash) hash {
	h = (h ^ x) * 0xff51afd7ed558ccd
	h ^= h >> 32
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}

// text mixes a text in.
func (h hash) text(s string) hash {
	f := hash(14695981039346656037) // FNV-1a
	for i := range len(s) {
		f = (f ^ hash(s[i])) * 1099511628211
	}
	return h.add(f).add(hash(len(s)))
}

func (s *stored) hash(level int) hash {
	switch level {
	case whole:
		return hash(binary.LittleEndian.Uint64(s.digest[:]))
	case shaped:
		return seed.text(s.kind())
	}
	return seed
}

// label sets the labels of the nodes.
func (s *side) label() {
	for i := range s.nodes {
		n := &s.nodes[i]
		domain := standard(n.Domain)
		op := seed.text(domain).text(n.Op)
		if call, ok := s.file.functions[functionName{domain, n.Op, n.Overload}]; ok {
			op = call
		}
		n.labels[named] = op
		for _, a := range n.attributes {
			op = op.add(a.hash())
		}
		for level := whole; level <= shaped; level++ {
			h := op.add(hash(n.own)).add(hash(len(n.outs)))
			for _, b := range n.bodies {
				h = h.text(b.attribute).add(b.inside(level))
			}
			h = h.add(s.slots(n, func(v int) hash {
				if st := s.values[v].stored; st != nil {
					return st.hash(level)
				}
				return seed
			}))
			n.labels[level] = h
		}
	}
}

// slots combines a hash of each input of a node.
func (s *side) slots(n *node, of func(v int) hash) hash {
	h := seed
	for slot, v := range n.ins {
		switch {
		case v < 0:
			h = h.add(1)
		case n.commutes:
			h += seed.add(of(v))
		default:
			h = h.add(hash(slot)).add(of(v))
		}
	}
	return h
}

// inside returns a hash of a subgraph or function, whatever it is called with.
func (s *side) inside(level int) hash {
	sources := make([]hash, len(s.values))
	for i, in := range s.inputs {
		sources[s.names[in.Name]] = seed.add(hash(i))
	}
	for i, v := range s.captured {
		sources[v] = seed.add(hash(i)).add(2)
	}
	values, _ := s.above(level, sources)
	h := seed
	for _, out := range s.outputs {
		h = h.add(values[s.names[out.Name]])
	}
	return h
}

// above hashes all that each value is computed from, with the given hashes of
// values that no node computes.
func (s *side) above(level int, sources []hash) (values, nodes []hash) {
	values, nodes = make([]hash, len(s.values)), make([]hash, len(s.nodes))
	for v, x := range s.values {
		if values[v] = sources[v]; x.stored != nil {
			values[v] = x.stored.hash(level)
		}
	}
	for _, i := range s.order {
		n := &s.nodes[i]
		h := n.labels[level].add(s.slots(n, func(v int) hash { return values[v] }))
		nodes[i] = h
		for slot, v := range n.outs {
			if v >= 0 {
				values[v] = h.add(hash(slot))
			}
		}
	}
	return values, nodes
}

// below hashes all that is computed from each node, with the given hashes of the
// outputs.
func (s *side) below(level int, outputs []hash) []hash {
	nodes := make([]hash, len(s.nodes))
	for k := len(s.order) - 1; k >= 0; k-- {
		i := s.order[k]
		h := s.nodes[i].labels[level]
		for slot, v := range s.nodes[i].outs {
			if v < 0 {
				continue
			}
			var read hash // in any order
			for _, r := range s.values[v].readers {
				at := hash(r.slot)
				if s.nodes[r.node].commutes {
					at = 0
				}
				read += nodes[r.node].add(at)
			}
			for _, out := range s.values[v].outputs {
				read += outputs[out].add(3)
			}
			h = h.add(hash(slot)).add(read)
		}
		nodes[i] = h
	}
	return nodes
}
