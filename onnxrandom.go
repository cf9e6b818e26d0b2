package attnx

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/cut"
	"github.com/attnx/attnx/internal/quote"
)

// randomOps draw: ONNX does not say which numbers they give, even with a seed.
var randomOps = []string{"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Sampling"}

// dropouts draw if they are told that they train: by their third input.
var dropouts = []string{"Dropout", "BiasDropout", "BitmaskDropout", "BitmaskBiasDropout"}

// sizeOnly are the operators whose results do not depend on the elements of their input.
var sizeOnly = []string{"Shape", "Size", "EyeLike"}

// RandomError reports a file of which every output depends on random draws.
type RandomError struct{ Node string }

func (e *RandomError) Error() string {
	return fmt.Sprintf("every output depends on what node %s draws at random, so there is nothing to compare: %s", e.Node, RunAlone)
}

// Remedy is what to do about it.
func (e *RandomError) Remedy() string { return RunAlone }

// randomOutputs returns the outputs of a file that depend on random draws, each with the
// first node that draws for it.
func randomOutputs(m *onnx.Model) map[string]string {
	s := draws{falses: map[string]bool{}, functions: map[[2]string]*onnx.Function{}, drawing: map[[2]string]bool{}}
	for _, o := range m.Opsets {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			s.version = o.Version
		}
	}
	for _, f := range m.Functions {
		s.functions[[2]string{f.Domain, f.Name}] = f
	}
	s.constants(m.Graph)
	parts, by, outputs := cut.Of(m), map[string]string{}, map[string]string{}
	for i, n := range m.Graph.Nodes {
		from := ""
		if s.draws(n) {
			from = fmt.Sprintf("%s (%s)", quote.Line(cmp.Or(n.Name, firstOf(n.Outputs)), 200), quote.Line(n.Op, 80))
		} else if n.Domain == "" && slices.Contains(sizeOnly, n.Op) {
			continue
		} else if len(by) > 0 {
			for _, v := range parts.Reads(i) {
				from = cmp.Or(from, by[v])
			}
		}
		if from != "" {
			for _, v := range n.Outputs {
				by[v] = from
			}
		}
	}
	for _, out := range m.Graph.Outputs {
		if from := by[out.Name]; from != "" && out.Name != "" {
			outputs[out.Name] = from
		}
	}
	return outputs
}

// draws knows what a file says of its nodes that draw.
type draws struct {
	version   int64
	falses    map[string]bool // constants that are false
	functions map[[2]string]*onnx.Function
	drawing   map[[2]string]bool // functions that are known to draw or not
}

// constants finds the constants that are false, in subgraphs too.
func (s *draws) constants(g *onnx.Graph) {
	no := func(t *onnx.Tensor) bool {
		return t != nil && t.DataType == onnx.Bool && !slices.Contains(t.Raw, 1) && t.External == nil
	}
	for _, t := range g.Initializers {
		s.falses[t.Name] = s.falses[t.Name] || no(t)
	}
	for _, n := range g.Nodes {
		for _, a := range n.Attributes {
			if n.Op == "Constant" && a.Name == "value" && len(n.Outputs) > 0 && no(a.Tensor) {
				s.falses[n.Outputs[0]] = true
			}
		}
		for _, g := range subgraphs(n) {
			s.constants(g)
		}
	}
}

// draws reports whether a node, one of its subgraphs or the function that it calls draws.
func (s *draws) draws(n *onnx.Node) bool {
	called := [2]string{n.Domain, n.Op}
	if f := s.functions[called]; f != nil {
		known, asked := s.drawing[called]
		if !asked {
			s.drawing[called] = false // one that calls itself is refused elsewhere
			known = slices.ContainsFunc(f.Nodes, s.draws)
			s.drawing[called] = known
		}
		return known
	}
	if slices.Contains(randomOps, n.Op) || s.trains(n) {
		return true
	}
	return slices.ContainsFunc(subgraphs(n), func(g *onnx.Graph) bool { return slices.ContainsFunc(g.Nodes, s.draws) })
}

// trains reports whether a node is a dropout that drops something.
func (s *draws) trains(n *onnx.Node) bool {
	if !slices.Contains(dropouts, n.Op) {
		return false
	}
	if n.Domain == "" && s.version < 7 {
		return !slices.ContainsFunc(n.Attributes, func(a onnx.Attribute) bool { return a.Name == "is_test" && a.Int != 0 })
	}
	mode := 2
	if n.Op != "Dropout" && n.Op != "BitmaskDropout" {
		mode = 4 // after the bias and the residual
	}
	return len(n.Inputs) > mode && n.Inputs[mode] != "" && !s.falses[n.Inputs[mode]]
}

// subgraphs returns the graphs in the attributes of a node.
func subgraphs(n *onnx.Node) (all []*onnx.Graph) {
	for _, a := range n.Attributes {
		if a.Graph != nil {
			all = append(all, a.Graph)
		}
		all = append(all, a.Graphs...)
	}
	return all
}
