package branch

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// Form says how two models are branches of one.
type Form struct {
	// Condition is the name of the input, bool (1), that is true for the one branch
	// and false for the other.
	Condition string
	// Through are outputs that only the other branch computes: the one returns the input
	// that is named here.
	Through map[string]string
	// Dims are new names for open dimensions of inputs that only the one branch reads:
	// the sizes that they have in the other are nothing to it.
	Dims map[string]string
}

// Prefixes of the names within a branch, and of the metadata that the two differ in.
const (
	onePrefix   = "then/"
	otherPrefix = "else/"
)

// Merge returns a model with the inputs of both, which computes what one does if
// Form.Condition is true, and otherwise what other does, whose outputs it has.
// Initializers that both have are there once, in the graph around the branches, and so is
// what is computed from initializers alone. It shares the memory of the weights.
func Merge(f Form, one, other *onnx.Model) (*onnx.Model, error) {
	if !slices.Equal(one.Opsets, other.Opsets) {
		return nil, fmt.Errorf("branch: the models have the operator sets %v and %v", one.Opsets, other.Opsets)
	}
	for _, m := range []*onnx.Model{one, other} {
		if err := plain(m.Graph); err != nil {
			return nil, err
		}
	}
	g := &onnx.Graph{Name: other.Graph.Name}
	if err := f.inputs(g, one.Graph, other.Graph); err != nil {
		return nil, err
	}
	c := common(one.Graph, other.Graph)
	g.Initializers, g.Nodes, g.Values = c.initializers, c.nodes, c.values
	yes, err := c.branch(onePrefix, one.Graph, other.Graph.Outputs, f.Through)
	if err != nil {
		return nil, err
	}
	no, err := c.branch(otherPrefix, other.Graph, other.Graph.Outputs, nil)
	if err != nil {
		return nil, err
	}
	choice := &onnx.Node{Op: "If", Name: f.Condition + "?", Inputs: []string{f.Condition}, Attributes: []onnx.Attribute{
		{Name: thenBranch, Type: onnx.AttrGraph, Graph: yes}, {Name: elseBranch, Type: onnx.AttrGraph, Graph: no},
	}}
	for _, o := range other.Graph.Outputs {
		choice.Outputs = append(choice.Outputs, o.Name)
		if i := indexOf(one.Graph.Outputs, o.Name); i >= 0 { // it has the general length
			o = one.Graph.Outputs[i]
		}
		g.Outputs = append(g.Outputs, o)
	}
	g.Nodes = append(g.Nodes, choice)
	out := *other
	out.IRVersion, out.Graph, out.Metadata = max(one.IRVersion, other.IRVersion), g, joined(one.Metadata, other.Metadata)
	if err := onnx.Check(&out, ""); err != nil {
		return nil, fmt.Errorf("branch: %w", err)
	}
	return &out, nil
}

const (
	thenBranch = "then_branch"
	elseBranch = "else_branch"
)

// plain refuses a graph with graphs in it, whose names would need prefixes too.
func plain(g *onnx.Graph) error {
	for i, n := range g.Nodes {
		for _, a := range n.Attributes {
			if a.Graph != nil || len(a.Graphs) > 0 {
				return fmt.Errorf("branch: %s has a graph of its own", n.Label(i))
			}
		}
	}
	return nil
}

// inputs declares the inputs of both graphs, and the condition.
func (f Form) inputs(g, one, other *onnx.Graph) error {
	g.Inputs = slices.Clone(other.Inputs)
	for _, v := range one.Inputs {
		i := indexOf(other.Inputs, v.Name)
		if i < 0 {
			v.Dims = slices.Clone(v.Dims)
			for axis, d := range v.Dims {
				if name, ok := f.Dims[d.Param]; ok && d.Open {
					v.Dims[axis].Param = name
				}
			}
			g.Inputs = append(g.Inputs, v)
			continue
		}
		if w := other.Inputs[i]; w.DataType != v.DataType || len(w.Dims) != len(v.Dims) {
			return fmt.Errorf("branch: the input %.80q is declared as %s and as %s", v.Name, v, w)
		}
	}
	if indexOf(g.Inputs, f.Condition) >= 0 {
		return fmt.Errorf("branch: a model has an input %.80q already", f.Condition)
	}
	g.Inputs = append(g.Inputs, onnx.ValueInfo{Name: f.Condition, DataType: onnx.Bool, Dims: []onnx.Dim{{Value: 1}}})
	return nil
}

func indexOf(list []onnx.ValueInfo, name string) int {
	return slices.IndexFunc(list, func(v onnx.ValueInfo) bool { return v.Name == name })
}

// around is what stands in the graph around the branches.
type around struct {
	names        map[string]bool
	initializers []*onnx.Tensor
	nodes        []*onnx.Node
	values       []onnx.ValueInfo
}

// common returns the initializers of both graphs and what is computed from them alone.
// What has one name and two meanings stays in the branches.
func common(graphs ...*onnx.Graph) around {
	c := around{names: map[string]bool{}}
	tensors, nodes := map[string]*onnx.Tensor{}, map[string]*onnx.Node{}
	apart := map[string]bool{} // names with two meanings
	for _, g := range graphs {
		for _, v := range g.Inputs {
			apart[v.Name] = true
		}
		for _, v := range g.Outputs { // a branch returns what it computes
			apart[v.Name] = true
		}
	}
	for _, g := range graphs {
		for _, t := range g.Initializers {
			if u := tensors[t.Name]; u != nil && !sameTensor(t, u) {
				apart[t.Name] = true
			}
			tensors[t.Name] = t
		}
		for _, n := range g.Nodes {
			for _, o := range n.Outputs {
				if u := nodes[o]; u != nil && !reflect.DeepEqual(n, u) || tensors[o] != nil {
					apart[o] = true
				}
				nodes[o] = n
			}
		}
	}
	for _, t := range tensors {
		if nodes[t.Name] != nil {
			apart[t.Name] = true
		}
	}
	for _, g := range graphs {
		for _, t := range g.Initializers {
			if !apart[t.Name] && !c.names[t.Name] {
				c.names[t.Name] = true
				c.initializers = append(c.initializers, t)
			}
		}
	}
	for _, g := range graphs {
		for _, n := range g.Nodes {
			stays := slices.ContainsFunc(n.Inputs, func(in string) bool { return in != "" && !c.names[in] }) ||
				slices.ContainsFunc(n.Outputs, func(out string) bool { return apart[out] || c.names[out] })
			if stays {
				continue
			}
			for _, out := range n.Outputs {
				c.names[out] = true
			}
			c.nodes = append(c.nodes, n)
		}
		for _, v := range g.Values {
			if c.names[v.Name] && indexOf(c.values, v.Name) < 0 {
				c.values = append(c.values, v)
			}
		}
	}
	return c
}

func sameTensor(a, b *onnx.Tensor) bool {
	return a.DataType == b.DataType && slices.Equal(a.Dims, b.Dims) && a.External == nil && b.External == nil && bytes.Equal(a.Raw, b.Raw)
}

// branch returns a graph as a branch, whose own names have a prefix. It returns the
// outputs in their order; through names inputs for those that it does not compute.
func (c around) branch(prefix string, g *onnx.Graph, outputs []onnx.ValueInfo, through map[string]string) (*onnx.Graph, error) {
	out := &onnx.Graph{Name: prefix + g.Name}
	own := map[string]bool{}
	name := func(v string) string {
		if own[v] {
			return prefix + v
		}
		return v
	}
	for _, t := range g.Initializers {
		if c.names[t.Name] {
			continue
		}
		own[t.Name] = true
		moved := *t
		moved.Name = prefix + t.Name
		out.Initializers = append(out.Initializers, &moved)
	}
	for _, n := range g.Nodes {
		if len(n.Outputs) > 0 && c.names[n.Outputs[0]] {
			continue
		}
		moved := *n
		moved.Inputs, moved.Outputs = slices.Clone(n.Inputs), slices.Clone(n.Outputs)
		if n.Name != "" {
			moved.Name = prefix + n.Name
		}
		for i, in := range n.Inputs {
			moved.Inputs[i] = name(in)
		}
		for i, o := range n.Outputs {
			if o != "" {
				own[o] = true
				moved.Outputs[i] = prefix + o
			}
		}
		out.Nodes = append(out.Nodes, &moved)
	}
	for _, v := range g.Values {
		if own[v.Name] {
			v.Name = prefix + v.Name
			out.Values = append(out.Values, v)
		}
	}
	for _, o := range outputs {
		i := indexOf(g.Outputs, o.Name)
		if i >= 0 {
			o = g.Outputs[i]
			if !own[o.Name] {
				return nil, fmt.Errorf("branch: no node computes the output %.80q", o.Name)
			}
			o.Name = prefix + o.Name
			out.Outputs = append(out.Outputs, o)
			continue
		}
		from := indexOf(g.Inputs, through[o.Name])
		if from < 0 {
			return nil, fmt.Errorf("branch: one model has no output %.80q, and none of its inputs stands for it", o.Name)
		}
		v := g.Inputs[from]
		out.Nodes = append(out.Nodes, &onnx.Node{Op: "Identity", Name: prefix + o.Name, Inputs: []string{v.Name}, Outputs: []string{prefix + o.Name}})
		v.Name = prefix + o.Name
		out.Outputs = append(out.Outputs, v)
	}
	return out, nil
}

// joined returns the metadata of both. Where they differ, each has its prefix.
func joined(one, other map[string]string) map[string]string {
	all := map[string]string{}
	for key := range maps.Keys(one) {
		if v, both := other[key]; !both || v != one[key] {
			all[onePrefix+key] = one[key]
		} else {
			all[key] = v
		}
	}
	for key, v := range other {
		if w, both := one[key]; !both || v != w {
			all[otherPrefix+key] = v
		}
	}
	return all
}
