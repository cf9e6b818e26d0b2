package branch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// Split returns a branch of a model in the form that Merge writes as a model of its own:
// the one branch, or the other. It has those inputs of the model that are named, and the
// names that it had before Merge, if the model has kept them. An error names what is not
// as in this form: another operator that chooses, an input that the branch should not read, or
// an output that is not passed through. It shares the memory of the weights.
func Split(f Form, m *onnx.Model, one bool, inputs []string) (*onnx.Model, error) {
	choice, err := f.choice(m.Graph)
	if err != nil {
		return nil, err
	}
	prefix, attribute := otherPrefix, elseBranch
	if one {
		prefix, attribute = onePrefix, thenBranch
	}
	var from *onnx.Graph
	for _, a := range choice.Attributes {
		if a.Name == attribute {
			from = a.Graph
		}
	}
	if from == nil || len(from.Inputs) > 0 || len(from.Outputs) != len(choice.Outputs) {
		return nil, fmt.Errorf("branch: %s of the If by %.80q is missing, or does not return its %d results", attribute, f.Condition, len(choice.Outputs))
	}
	if err := plain(from); err != nil {
		return nil, err
	}
	s := splitting{form: f, from: from, outer: m.Graph, choice: choice, one: one, prefix: prefix, inputs: inputs}
	g, err := s.graph()
	if err != nil {
		return nil, err
	}
	out := *m
	out.Graph, out.Metadata = g, parted(m.Metadata, prefix)
	if err := onnx.Check(&out, ""); err != nil {
		return nil, fmt.Errorf("branch: %s: %w", attribute, err)
	}
	return &out, nil
}

// choice returns the operator that chooses: the only one with graphs, whose results are
// the outputs of the model in some order.
func (f Form) choice(g *onnx.Graph) (choice *onnx.Node, err error) {
	at := indexOf(g.Inputs, f.Condition)
	if at < 0 || g.Inputs[at].DataType != onnx.Bool {
		return nil, fmt.Errorf("branch: the model has no input %.80q of type bool", f.Condition)
	}
	for i, n := range g.Nodes {
		switch {
		case n.Op == "If" && n.Domain == "" && choice == nil && len(n.Inputs) == 1 && n.Inputs[0] == f.Condition:
			choice = n
		case plain(&onnx.Graph{Nodes: []*onnx.Node{n}}) != nil || slices.Contains(n.Inputs, f.Condition):
			return nil, fmt.Errorf("branch: %s: expected one If by %.80q, and no other operator with graphs", n.Label(i), f.Condition)
		}
	}
	if choice == nil {
		return nil, fmt.Errorf("branch: the model has no If by %.80q", f.Condition)
	}
	if len(choice.Outputs) != len(g.Outputs) {
		return nil, fmt.Errorf("branch: the If has %d results, the model %d outputs", len(choice.Outputs), len(g.Outputs))
	}
	for _, o := range g.Outputs {
		if !slices.Contains(choice.Outputs, o.Name) {
			return nil, fmt.Errorf("branch: the output %.80q is no result of the If", o.Name)
		}
	}
	return choice, nil
}

// splitting takes one branch out.
type splitting struct {
	form        Form
	from, outer *onnx.Graph
	choice      *onnx.Node
	one         bool
	prefix      string
	inputs      []string
	names       map[string]string // new names of the branch's own values
}

func (s *splitting) graph() (*onnx.Graph, error) {
	g := &onnx.Graph{Name: strings.TrimPrefix(s.from.Name, s.prefix)}
	for _, v := range s.outer.Inputs {
		if slices.Contains(s.inputs, v.Name) {
			g.Inputs = append(g.Inputs, v)
		}
	}
	passed, err := s.rename()
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	var nodes []*onnx.Node
	for _, n := range s.from.Nodes {
		if len(n.Outputs) == 1 && passed[n.Outputs[0]] {
			continue
		}
		moved := *n
		moved.Name = strings.TrimPrefix(n.Name, s.prefix)
		moved.Inputs, moved.Outputs = s.all(n.Inputs), s.all(n.Outputs)
		nodes = append(nodes, &moved)
		for _, in := range moved.Inputs {
			needed[in] = true
		}
	}
	var before []*onnx.Node
	for i := len(s.outer.Nodes) - 1; i >= 0; i-- {
		n := s.outer.Nodes[i]
		if n == s.choice || !slices.ContainsFunc(n.Outputs, func(o string) bool { return needed[o] }) {
			continue
		}
		before = append(before, n)
		for _, in := range n.Inputs {
			needed[in] = true
		}
	}
	slices.Reverse(before)
	g.Nodes = append(before, nodes...)
	for _, t := range s.outer.Initializers {
		if needed[t.Name] {
			g.Initializers = append(g.Initializers, t)
		}
	}
	for _, t := range s.from.Initializers {
		moved := *t
		moved.Name = s.name(t.Name)
		g.Initializers = append(g.Initializers, &moved)
	}
	for i, o := range s.choice.Outputs {
		if passed[s.from.Outputs[i].Name] {
			continue
		}
		v := s.from.Outputs[i]
		if v.Name = o; v.DataType == 0 { // a branch need not declare what it returns
			v = s.outer.Outputs[indexOf(s.outer.Outputs, o)]
		}
		g.Outputs = append(g.Outputs, v)
	}
	for _, v := range s.outer.Values {
		if needed[v.Name] {
			g.Values = append(g.Values, v)
		}
	}
	for _, v := range s.from.Values {
		v.Name = s.name(v.Name)
		g.Values = append(g.Values, v)
	}
	return g, nil
}

// rename chooses the names of the branch's values: outputs get those of the model. It
// returns the values that the branch only passes through.
func (s *splitting) rename() (passed map[string]bool, err error) {
	s.names, passed = map[string]string{}, map[string]bool{}
	for i, o := range s.choice.Outputs {
		v := s.from.Outputs[i].Name
		input, through := s.form.Through[o]
		if !through || !s.one {
			if s.names[v] != "" {
				return nil, fmt.Errorf("branch: a branch returns %.80q twice, as %.80q and %.80q", v, s.names[v], o)
			}
			s.names[v] = o
			continue
		}
		is := slices.ContainsFunc(s.from.Nodes, func(n *onnx.Node) bool {
			return n.Op == "Identity" && n.Domain == "" && slices.Equal(n.Outputs, []string{v}) && slices.Equal(n.Inputs, []string{input})
		})
		if !is && v != input {
			return nil, fmt.Errorf("branch: the output %.80q is not the input %.80q", o, input)
		}
		passed[v] = true
	}
	taken := map[string]bool{}
	for _, t := range s.outer.Initializers {
		taken[t.Name] = true
	}
	for _, n := range s.outer.Nodes {
		if n != s.choice {
			for _, o := range n.Outputs {
				taken[o] = true
			}
		}
	}
	for _, v := range s.outer.Inputs {
		taken[v.Name] = true
	}
	for _, v := range slices.Sorted(maps.Values(s.names)) {
		taken[v] = true
	}
	own := func(v string) {
		if v == "" || s.names[v] != "" || passed[v] {
			return
		}
		name := strings.TrimPrefix(v, s.prefix)
		for taken[name] {
			name += "'"
		}
		taken[name], s.names[v] = true, name
	}
	for _, t := range s.from.Initializers {
		own(t.Name)
	}
	for _, n := range s.from.Nodes {
		for _, o := range n.Outputs {
			own(o)
		}
	}
	return passed, nil
}

func (s *splitting) name(v string) string {
	if name := s.names[v]; name != "" {
		return name
	}
	return v
}

func (s *splitting) all(names []string) []string {
	out := make([]string, len(names))
	for i, v := range names {
		out[i] = s.name(v)
	}
	return out
}

// parted returns the metadata of one branch.
func parted(all map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for key, v := range all {
		own, is := strings.CutPrefix(key, prefix)
		switch {
		case is:
			out[own] = v
		case !strings.HasPrefix(key, onePrefix) && !strings.HasPrefix(key, otherPrefix):
			out[key] = v
		}
	}
	return out
}
