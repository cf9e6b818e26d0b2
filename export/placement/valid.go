package placement

import (
	"fmt"
	"maps"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// refused says why a node is not valid, by its operator's signature and by the
// shapes that the file declares. ONNX Runtime refuses most such nodes when it
// reads the model. It says nothing of what it does not know.
func (p *planner) refused(i int) string {
	n, s := p.source[i], p.schemas[i]
	if s == nil {
		return fmt.Sprintf("the model's opset has no %s", n.Op)
	}
	for _, why := range []string{unfit(n, s), p.mistyped(n, s), p.misshapen(n, s)} {
		if why != "" {
			return why
		}
	}
	return ""
}

// unfit compares a node's inputs, outputs and attributes with a signature.
func unfit(n *onnx.Node, s *schema) string {
	switch {
	case len(n.Inputs) < s.minInputs || len(n.Inputs) > s.maxInputs:
		return fmt.Sprintf("%s-%d has %s, the node has %d", n.Op, s.since, between(s.minInputs, s.maxInputs, "inputs"), len(n.Inputs))
	case len(n.Outputs) < s.minOutputs || len(n.Outputs) > s.maxOutputs:
		return fmt.Sprintf("%s-%d has %s, the node has %d", n.Op, s.since, between(s.minOutputs, s.maxOutputs, "outputs"), len(n.Outputs))
	}
	for i, in := range n.Inputs {
		if in == "" && i < len(s.inputs) && !s.inputs[i].many && !slices.Contains(s.optional, i) {
			return fmt.Sprintf("%s-%d needs input %d", n.Op, s.since, i)
		}
	}
	has := map[string]bool{}
	for _, a := range n.Attributes {
		known, ok := s.attributes[a.Name]
		switch {
		case !ok:
			return fmt.Sprintf("%s-%d has no attribute %.80q", n.Op, s.since, a.Name)
		case a.Type != known.typ:
			return fmt.Sprintf("attribute %.80q is of type %s, %s-%d has type %s", a.Name, a.Type, n.Op, s.since, known.typ)
		}
		has[a.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(s.attributes)) {
		if s.attributes[name].required && !has[name] {
			return fmt.Sprintf("attribute %.80q is missing", name)
		}
	}
	if constant(n) && len(n.Attributes) != 1 {
		return fmt.Sprintf("a Constant has one value, this one has %d", len(n.Attributes))
	}
	return ""
}

func between(least, most int, what string) string {
	const many = 1_000_000
	switch {
	case most >= many:
		return fmt.Sprintf("%d or more %s", least, what)
	case least == most:
		return fmt.Sprintf("%d %s", most, what)
	}
	return fmt.Sprintf("%d to %d %s", least, most, what)
}

// mistyped compares the types that are known of a node's values with those that
// its operator may have, and with one another where they are one variable.
func (p *planner) mistyped(n *onnx.Node, s *schema) string {
	first := map[string]string{} // the value that a variable got its type from
	for _, side := range []struct {
		values     []string
		parameters []parameter
	}{{n.Inputs, s.inputs}, {n.Outputs, s.outputs}} {
		for i, value := range side.values {
			t, known := p.types[value]
			if value == "" || !known {
				continue
			}
			q := nth(side.parameters, i)
			switch {
			case q.fixed != "" && t != q.fixed:
				return fmt.Sprintf("%.80q is %s, %s-%d takes %s there", value, t, n.Op, s.since, q.fixed)
			case q.variable != "" && s.types[q.variable] != nil && !slices.Contains(s.types[q.variable], t):
				return fmt.Sprintf("%.80q is %s, which %s-%d does not take", value, t, n.Op, s.since)
			case q.variable != "" && !q.mixed:
				if other, ok := first[q.variable]; ok && p.types[other] != t {
					return fmt.Sprintf("%.80q is %s and %.80q is %s, %s-%d takes one type", other, p.types[other], value, t, n.Op, s.since)
				}
				first[q.variable] = value
			}
		}
	}
	for _, out := range n.Outputs {
		if other := p.other[out]; other != "" {
			return fmt.Sprintf("its output %.80q is %s, the file declares %s", out, p.types[out], other)
		}
	}
	return ""
}
