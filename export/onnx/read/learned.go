package read

import (
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// Use is what an initializer is for a network that is trained.
type Use int

// The uses.
const (
	Number    Use = iota // a constant of the computation, or a buffer
	Doubtful             // one number that may be either
	Parameter            // it is learned
)

// Uses tells, by name, which floating-point initializers of a model's graph are
// parameters.
//
//   - PyTorch's exporter writes beside an initializer what it was in the network.
//   - More than one number is a parameter.
//   - One number is a parameter if an operator reads it in a place that ONNX's schema
//     names after what is learned (scale, bias, slope, W), or if it is added to a product.
//   - In arithmetic one number may be learned, as in ReZero, or not, as in x/√2. Where
//     the file keeps its constants in Constant nodes, its initializers are parameters. Otherwise
//     it is in doubt.
func Uses(m *onnx.Model) map[string]Use {
	p := usage{uses: map[string]Use{}, single: map[string]string{}, opsets: opsetsOf(m.Opsets), product: map[string]bool{}}
	said := map[string]Use{}
	for _, v := range m.Graph.Values {
		for _, e := range v.Metadata {
			if e.Key == saidBy {
				if said[v.Name] = Number; e.Value == "PARAMETER" {
					said[v.Name] = Parameter
				}
			}
		}
	}
	for _, t := range m.Graph.Initializers {
		dtype, err := elementType(t.DataType)
		if err != nil || !dtype.Float() {
			continue
		}
		if p.uses[t.Name] = Parameter; t.Elements() == 1 {
			p.uses[t.Name], p.single[t.Name] = Number, t.Name
		}
	}
	p.nodes(m.Graph.Nodes)
	for name, use := range p.uses {
		if s, ok := said[name]; ok {
			p.uses[name] = s
		} else if use == Doubtful && p.keeps && !strings.HasPrefix(name, folded) {
			p.uses[name] = Parameter
		}
	}
	return p.uses
}

// saidBy is the metadata in which PyTorch's exporter says what a value was in the
// network: PARAMETER, BUFFER, CONSTANT_TENSOR and others.
const saidBy = "pkg.torch.export.graph_signature.InputSpec.kind"

// folded begins the names that PyTorch's older exporter gives to what it has computed
// of constants.
const folded = "onnx::"

// usage finds the uses of initializers.
type usage struct {
	uses    map[string]Use
	single  map[string]string // the initializer of one element that a value is
	product map[string]bool   // results of products
	opsets  map[string]int64
	keeps   bool // the file has numbers in Constant nodes
}

func (p *usage) nodes(nodes []*onnx.Node) {
	for _, n := range nodes {
		for _, g := range Subgraphs(n) {
			p.nodes(g.Nodes)
		}
		standard := domainOf(n.Domain) == ""
		switch {
		case standard && n.Op == "Constant":
			for _, a := range n.Attributes {
				p.keeps = p.keeps || a.Name != "value" || a.Tensor != nil && a.Tensor.Elements() == 1
			}
		case standard && len(n.Inputs) > 0 && len(n.Outputs) > 0 && slices.Contains([]string{"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand"}, n.Op):
			if from, ok := p.single[n.Inputs[0]]; ok {
				p.single[n.Outputs[0]] = from
			}
		default:
			p.node(n, standard)
		}
	}
}

func (p *usage) node(n *onnx.Node, standard bool) {
	if standard && len(n.Outputs) > 0 && slices.Contains([]string{"MatMul", "Gemm", "Conv", "ConvTranspose"}, n.Op) {
		p.product[n.Outputs[0]] = true
	}
	var o *schema.Operator
	for i, in := range n.Inputs {
		from, ok := p.single[in]
		if !ok {
			continue
		}
		if o == nil {
			if o = schema.Lookup(n.Domain, n.Op, p.opsets[domainOf(n.Domain)]); o == nil {
				return
			}
		}
		use := Number
		switch {
		case standard && n.Op == "Add" && len(n.Inputs) == 2 && p.product[n.Inputs[1-i]]:
			use = Parameter
		case standard && slices.Contains([]string{"Add", "Sub", "Mul", "Div", "Pow", "Sum"}, n.Op):
			use = Doubtful
		case standard && slices.Contains([]string{"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mod"}, n.Op): // of A and B too
		case standard && strings.HasPrefix(n.Op, "Gather") && i == 0:
			use = Parameter
		case o.Input(i) != nil && learnedPlace(o.Input(i).Name):
			use = Parameter
		}
		p.uses[from] = max(p.uses[from], use)
	}
}

// learnedPlace reports whether ONNX's schemas give the name to inputs that hold what a
// network has learned.
func learnedPlace(name string) bool {
	switch name {
	case "W", "w", "R", "P", "B", "C", "scale", "Scale", "slope", "weight", "weights", "bias", "gamma", "beta":
		return true
	}
	return strings.HasSuffix(name, "_weight") || strings.HasSuffix(name, "_weights") || strings.HasSuffix(name, "_bias") || strings.HasSuffix(name, "_embedding")
}
