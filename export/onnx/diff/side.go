package diff

import (
	"cmp"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// File is a model with the folder of its external data.
type File struct {
	*onnx.Model
	Dir string
}

// scope is a graph, a subgraph or the body of a function.
type scope struct {
	nodes           []*onnx.Node
	inputs, outputs []onnx.ValueInfo
	initializers    []*onnx.Tensor
	sparse          []*onnx.SparseTensor
	opsets          map[string]int64
	file            *file
}

// file is what the scopes of a file share.
type file struct {
	File
	functions map[functionName]hash // what stands for a call
	digests   map[*onnx.Tensor]digest
}

type functionName struct{ domain, name, overload string }

func graphScope(g *onnx.Graph, opsets map[string]int64, f *file) scope {
	return scope{g.Nodes, g.Inputs, g.Outputs, g.Initializers, g.Sparse, opsets, f}
}

func functionScope(fn *onnx.Function, f *file) scope {
	named := func(names []string) (all []onnx.ValueInfo) {
		for _, name := range names {
			all = append(all, onnx.ValueInfo{Name: name, NoShape: true})
		}
		return all
	}
	opsets := versions(fn.Opsets)
	for domain, v := range versions(f.Opsets) { // older files leave them to the model
		if _, ok := opsets[domain]; !ok {
			opsets[domain] = v
		}
	}
	return scope{nodes: fn.Nodes, inputs: named(fn.Inputs), outputs: named(fn.Outputs), opsets: opsets, file: f}
}

// side is a scope whose nodes and values are numbers.
type side struct {
	scope
	nodes    []node
	values   []value
	names    map[string]int // values by name
	captured []int          // values of the scopes around it, in the order of their first use
	order    []int          // nodes, each behind what it reads
}

// node is a node that is no constant.
type node struct {
	*onnx.Node
	at         int   // its place in the file
	ins        []int // values, -1 if omitted: inputs of the node, then what its subgraphs capture
	own        int   // how many are inputs of the node
	outs       []int // values, -1 if omitted
	attributes []attribute
	bodies     []body
	commutes   bool
	labels     [levels]hash
}

// body is a subgraph of a node.
type body struct {
	attribute string
	index     int
	*side
}

// value is what an edge carries.
type value struct {
	name    string
	maker   int     // node; -1: none
	slot    int     // among the results of its maker
	stored  *stored // of an initializer or constant
	readers []use
	outputs []int // places among the outputs of the scope
}

// use is a place where a node reads a value.
type use struct{ node, slot int }

// stored is a value that the file holds.
type stored struct {
	name      string
	attribute string // an attribute that newer versions of the operator take as an input
	constant  bool   // in a Constant node
	tensor    *onnx.Tensor
	sparse    *onnx.SparseTensor
	digest    digest
}

func newSide(sc scope) (*side, error) {
	s := &side{scope: sc, names: map[string]int{}}
	for _, t := range sc.initializers {
		s.names[t.Name] = s.value(value{name: t.Name, maker: -1, stored: &stored{name: t.Name, tensor: t}})
	}
	for _, t := range sc.sparse {
		s.names[t.Name()] = s.value(value{name: t.Name(), maker: -1, stored: &stored{name: t.Name(), sparse: t}})
	}
	for _, in := range sc.inputs {
		if _, held := s.names[in.Name]; !held {
			s.names[in.Name] = s.value(value{name: in.Name, maker: -1})
		}
	}
	for at, n := range sc.nodes {
		if c := constantOf(n); c != nil {
			s.names[n.Outputs[0]] = s.value(value{name: n.Outputs[0], maker: -1, stored: c})
			continue
		}
		m := node{Node: n, at: at, outs: make([]int, len(n.Outputs)), commutes: commutes(n)}
		for slot, name := range n.Outputs {
			if m.outs[slot] = -1; name != "" {
				m.outs[slot] = s.value(value{name: name, maker: len(s.nodes), slot: slot})
				s.names[name] = m.outs[slot]
			}
		}
		s.nodes = append(s.nodes, m)
	}
	for i := range s.nodes {
		if err := s.connect(i); err != nil {
			return nil, err
		}
	}
	for i, out := range sc.outputs {
		v := s.lookup(out.Name)
		s.values[v].outputs = append(s.values[v].outputs, i)
	}
	for i := range s.values {
		if st := s.values[i].stored; st != nil && st.digest == (digest{}) {
			if err := sc.file.fingerprint(st); err != nil {
				return nil, err
			}
		}
	}
	s.sort()
	s.label()
	return s, nil
}

func (s *side) value(v value) int {
	s.values = append(s.values, v)
	return len(s.values) - 1
}

// lookup returns the value of a name. A name that the scope does not have is one of
// the scopes around it.
func (s *side) lookup(name string) int {
	v, ok := s.names[name]
	if !ok {
		v = s.value(value{name: name, maker: -1})
		s.names[name] = v
		s.captured = append(s.captured, v)
	}
	return v
}

// connect sets what a node reads, and reads its attributes and subgraphs.
func (s *side) connect(i int) error {
	n := &s.nodes[i]
	for _, name := range n.Inputs {
		v := -1
		if name != "" {
			v = s.lookup(name)
		}
		n.ins = append(n.ins, v)
	}
	s.normalize(n)
	n.own = len(n.ins)
	for k := range n.Attributes {
		a := &n.Attributes[k]
		for j, g := range append([]*onnx.Graph{a.Graph}, a.Graphs...) {
			if g == nil {
				continue
			}
			inner, err := newSide(graphScope(g, s.opsets, s.file))
			if err != nil {
				return err
			}
			n.bodies = append(n.bodies, body{a.Name, j, inner})
		}
	}
	slices.SortStableFunc(n.bodies, func(a, b body) int { return cmp.Compare(a.attribute, b.attribute) })
	for _, b := range n.bodies {
		for _, v := range b.uses() {
			n.ins = append(n.ins, s.lookup(b.values[v].name))
		}
	}
	for slot, v := range n.ins {
		if v >= 0 {
			s.values[v].readers = append(s.values[v].readers, use{i, slot})
		}
	}
	return nil
}

// uses returns the captured values in the order in which a walk from the outputs
// comes to them: it does not depend on the order of nodes.
func (s *side) uses() []int {
	outer, seen := map[int]bool{}, make([]bool, len(s.nodes))
	for _, v := range s.captured {
		outer[v] = true
	}
	var list, left []int
	take := func(v int) {
		if outer[v] {
			delete(outer, v)
			list = append(list, v)
		}
	}
	for _, out := range slices.Backward(s.outputs) {
		left = append(left, s.names[out.Name])
	}
	for len(left) > 0 {
		v := left[len(left)-1]
		left = left[:len(left)-1]
		take(v)
		if m := s.values[v].maker; m >= 0 && !seen[m] {
			seen[m] = true
			for _, in := range slices.Backward(s.nodes[m].ins) {
				if in >= 0 {
					left = append(left, in)
				}
			}
		}
	}
	for _, v := range s.captured { // read by nodes that nothing reads
		take(v)
	}
	s.captured = list
	return list
}

// sort sets the order of the nodes. Nodes of a cycle come last.
func (s *side) sort() {
	waits := make([]int, len(s.nodes))
	var ready []int
	for i, n := range s.nodes {
		for _, v := range n.ins {
			if v >= 0 && s.values[v].maker >= 0 {
				waits[i]++
			}
		}
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	for k := 0; k < len(ready); k++ {
		for _, v := range s.nodes[ready[k]].outs {
			if v < 0 {
				continue
			}
			for _, r := range s.values[v].readers {
				if waits[r.node]--; waits[r.node] == 0 {
					ready = append(ready, r.node)
				}
			}
		}
	}
	s.order = ready
	for i := range s.nodes {
		if waits[i] > 0 {
			s.order = append(s.order, i)
		}
	}
}

// commuting are operators whose inputs have no order.
var commuting = []string{"Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Max", "Mean", "Min", "Mul", "Or", "Sum", "Xor"}

func commutes(n *onnx.Node) bool {
	return standard(n.Domain) == "" && slices.Contains(commuting, n.Op)
}

func standard(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// versions returns the operator sets by domain.
func versions(opsets []onnx.Opset) map[string]int64 {
	all := map[string]int64{}
	for _, o := range opsets {
		all[standard(o.Domain)] = max(all[standard(o.Domain)], o.Version)
	}
	return all
}
