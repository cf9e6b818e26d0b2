package read

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// drawing are the operators that draw: ONNX does not say which numbers they give, even
// with a seed.
var drawing = []key{
	{"", "RandomNormal"}, {"", "RandomNormalLike"}, {"", "RandomUniform"}, {"", "RandomUniformLike"},
	{"", "Multinomial"}, {"", "Bernoulli"}, {onnx.Microsoft, "Sampling"},
}

// dropouts draw if the input of this number says that they train.
var dropouts = map[key]int{
	{"", "Dropout"}:                        2,
	{onnx.Microsoft, "BitmaskDropout"}:     2,
	{onnx.Microsoft, "BiasDropout"}:        4, // after the bias and the residual
	{onnx.Microsoft, "BitmaskBiasDropout"}: 4,
}

// Draws reports for each node of a model's graph whether it draws at random, or one of
// its subgraphs or the function that it calls does. A dropout draws unless a constant, or
// the absence of that input, says that it does not train.
func Draws(m *onnx.Model) []bool {
	d := &draws{functions: map[functionKey]*onnx.Function{}, known: map[functionKey]bool{}, version: standardVersion(m.Opsets)}
	for _, f := range m.Functions {
		d.functions[functionKey{domainOf(f.Domain), f.Name, f.Overload}] = f
	}
	c := constantsOf(m.Graph, nil)
	all := make([]bool, len(m.Graph.Nodes))
	for i, n := range m.Graph.Nodes {
		all[i] = d.node(n, c, d.version)
	}
	return all
}

type draws struct {
	version   int64 // of the standard operators, where a function does not say
	functions map[functionKey]*onnx.Function
	known     map[functionKey]bool // functions that draw or do not
}

// standardVersion returns the version of the standard operators, 0 if it is not given.
func standardVersion(opsets []onnx.Opset) int64 {
	for _, o := range opsets {
		if domainOf(o.Domain) == "" {
			return o.Version
		}
	}
	return 0
}

// nodes reports whether one of the nodes draws. They see the constants c, and their
// standard operators are of a version.
func (d *draws) nodes(nodes []*onnx.Node, c *constants, version int64) bool {
	return slices.ContainsFunc(nodes, func(n *onnx.Node) bool { return d.node(n, c, version) })
}

func (d *draws) node(n *onnx.Node, c *constants, version int64) bool {
	called := functionKey{domainOf(n.Domain), n.Op, n.Overload}
	if f := d.functions[called]; f != nil {
		draws, asked := d.known[called]
		if !asked {
			d.known[called] = false // one that calls itself is refused elsewhere
			inner := standardVersion(f.Opsets)
			if inner == 0 {
				inner = d.version
			}
			draws = d.nodes(f.Nodes, newConstants(nil, f.Inputs, nil, f.Nodes), inner)
			d.known[called] = draws
		}
		return draws
	}
	op := key{called.domain, n.Op}
	if slices.Contains(drawing, op) || trains(n, op, c, version) {
		return true
	}
	return slices.ContainsFunc(Subgraphs(n), func(g *onnx.Graph) bool { return d.nodes(g.Nodes, constantsOf(g, c), version) })
}

// trains reports whether a node is a dropout that drops something.
func trains(n *onnx.Node, op key, c *constants, version int64) bool {
	mode, is := dropouts[op]
	if !is {
		return false
	}
	if op.domain == "" && version < 7 {
		return !slices.ContainsFunc(n.Attributes, func(a onnx.Attribute) bool { return a.Name == "is_test" && a.Int != 0 })
	}
	if len(n.Inputs) <= mode || n.Inputs[mode] == "" {
		return false
	}
	says, known := c.of(n.Inputs[mode])
	return !known || says != 0
}
