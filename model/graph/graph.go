package graph

import (
	"fmt"
	"iter"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// Type is the element type and the shape of a value.
type Type struct {
	DType format.DType
	Shape Shape
}

// String returns t as "F32(B,T,64)".
func (t Type) String() string { return t.DType.String() + t.Shape.String() }

// Equal reports whether t and u are the same type.
func (t Type) Equal(u Type) bool { return t.DType == u.DType && t.Shape.Equal(u.Shape) }

// Node is one application of an operator.
type Node struct {
	Op      Op
	Args    []*Value
	Results []*Value // at least one; unused trailing ones may be left out
}

// Name returns the name of the first result, which identifies the node in
// messages and scopes.
func (n *Node) Name() string { return n.Results[0].Name }

// Value is one result of a node.
type Value struct {
	Node  *Node
	Index int    // index in Node.Results
	Name  string // unique in its graph: "h.0.attn.scores"
	Type
}

// Op returns the operator that computes v.
func (v *Value) Op() Op { return v.Node.Op }

// Args returns the arguments of the node that computes v.
func (v *Value) Args() []*Value { return v.Node.Args }

// Leaf reports whether v is an input, a parameter or a constant, and not
// computed.
func (v *Value) Leaf() bool { return leaf(v.Node.Op) }

// Constant returns the elements of v if v is a constant.
func (v *Value) Constant() (format.Tensor, bool) {
	c, ok := v.Node.Op.(Const)
	return c.Value, ok
}

// Is reports whether an operator of type O computes v, and returns the
// operator.
func Is[O Op](v *Value) (O, bool) {
	op, ok := v.Node.Op.(O)
	return op, ok
}

// Output is an output of a graph, under the name that its users know.
type Output struct {
	Name  string
	Role  role.Role
	Value *Value
}

// Graph is a computation. A Builder, Parse or a pass creates it; afterwards it
// does not change.
type Graph struct {
	Nodes   []*Node  // in topological order
	Inputs  []*Value // given in every run
	Params  []*Value // the weights, in the order of checkpoints and optimizers
	Outputs []Output

	// Context is the maximum number of tokens in a sequence, including its past; 0
	// means unlimited.
	Context int
}

// Values yields the results of all nodes, in topological order.
func (g *Graph) Values() iter.Seq[*Value] {
	return func(yield func(*Value) bool) {
		for _, n := range g.Nodes {
			for _, v := range n.Results {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// Lookup returns the value with the given name, or nil.
func (g *Graph) Lookup(name string) *Value {
	for v := range g.Values() {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// Input returns the input with a role, or nil.
func (g *Graph) Input(r role.Role) *Value {
	for _, v := range g.Inputs {
		if v.Role() == r {
			return v
		}
	}
	return nil
}

// Output returns the output with a role; ok is false if there is none.
func (g *Graph) Output(r role.Role) (o Output, ok bool) {
	for _, o := range g.Outputs {
		if o.Role == r {
			return o, true
		}
	}
	return Output{}, false
}

// Role returns the role of an input. Other values have none.
func (v *Value) Role() role.Role {
	in, _ := Is[Input](v)
	return in.Role
}

// ParamError reports that weights do not match a graph.
type ParamError struct {
	Name   string // of the weight
	Reason string
}

func (e *ParamError) Error() string { return fmt.Sprintf("graph: weight %.80q: %s", e.Name, e.Reason) }

// CheckParams reports the first mismatch between tensors and the parameters of
// g: their order, names and shapes. The element type may be another
// floating-point type, which the reader of the numbers converts.
func (g *Graph) CheckParams(weights []format.TensorInfo) error {
	for i, p := range g.Params {
		if i >= len(weights) {
			return &ParamError{p.Name, "it is missing"}
		}
		w := weights[i]
		switch {
		case w.Name != p.Name:
			return &ParamError{w.Name, fmt.Sprintf("the network has %.80q in its place", p.Name)}
		case !p.Shape.Equal(Numbers(w.Shape...)):
			return &ParamError{w.Name, fmt.Sprintf("its shape is %v, the network's %s", w.Shape, p.Shape)}
		case w.DType != p.DType && !(w.DType.Float() && p.DType.Float()):
			return &ParamError{w.Name, fmt.Sprintf("it is %s, the network's %s", w.DType, p.DType)}
		}
	}
	if len(weights) > len(g.Params) {
		return &ParamError{weights[len(g.Params)].Name, "the network has no such weight"}
	}
	return nil
}

// BindInputs returns the sizes of the named dimensions for inputs of the given
// shapes, by name. It refuses an input that is missing, unknown, or of the
// wrong rank, and sizes that contradict the graph or each other.
func (g *Graph) BindInputs(shapes map[string][]int) (map[string]int, error) {
	sizes := map[string]int{}
	known := map[string]bool{}
	for _, in := range g.Inputs {
		known[in.Name] = true
		got, ok := shapes[in.Name]
		if !ok {
			return nil, fmt.Errorf("graph: input %.80q %s is missing", in.Name, in.Shape)
		}
		if len(got) != len(in.Shape) {
			return nil, fmt.Errorf("graph: input %.80q has shape %v, expected %s", in.Name, got, in.Shape)
		}
		for i, d := range in.Shape {
			if names := d.Symbols(); len(names) == 1 && d == Sym(names[0]) {
				if _, bound := sizes[names[0]]; !bound {
					sizes[names[0]] = got[i]
				}
			}
		}
	}
	for _, in := range g.Inputs {
		want, err := in.Shape.Eval(sizes)
		if err != nil {
			return nil, err
		}
		for i, d := range want {
			if d != shapes[in.Name][i] {
				return nil, fmt.Errorf("graph: input %.80q has shape %v, but %s is %d elsewhere", in.Name, shapes[in.Name], in.Shape[i], d)
			}
		}
	}
	for name := range shapes {
		if !known[name] {
			return nil, fmt.Errorf("graph: no input is called %.80q", name)
		}
	}
	return sizes, nil
}
