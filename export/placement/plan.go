package placement

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/check"
	"github.com/attnx/attnx/export/onnx/schema"
)

// Places of a node.
const (
	OnCUDA    = "cuda"
	OnCPU     = "cpu"
	OnNothing = "none"    // no provider has a kernel
	OnUnknown = "unknown" // depends on an unknown element type
)

// Report lists where the nodes of a model would run, and what would be copied.
type Report struct {
	Provider  Provider `json:"provider"`
	Table     string   `json:"table"` // version of ONNX Runtime with these kernels
	CUDA      int      `json:"cuda"`  // nodes
	CPU       int      `json:"cpu"`
	Other     int      `json:"other"`     // neither; the nodes have reasons
	Unchecked int      `json:"unchecked"` // nodes whose shapes were not checked: not declared, or no rule for the operator
	Copies    []Copy   `json:"copies"`
	Nodes     []Node   `json:"nodes"` // in file order, without Constant, which ONNX Runtime turns into weights
}

// Clean reports whether every node runs on the GPU without copies between
// them.
func (r *Report) Clean() bool { return r.CUDA == len(r.Nodes) && len(r.Copies) == 0 }

// Node is a node of the model and its place.
type Node struct {
	Node   string `json:"node"` // its name, or operator and place if it has none
	Op     string `json:"op"`
	Domain string `json:"domain,omitempty"`
	Device string `json:"device"`
	Why    string `json:"why,omitempty"` // why it is not on the GPU
}

// Copy is a node that ONNX Runtime would insert for a value in one memory that
// is used in the other.
type Copy struct {
	Op    string   `json:"op"` // MemcpyFromHost, MemcpyToHost
	Value string   `json:"value"`
	From  string   `json:"from"` // the node that computes it; "input" for an input of the graph
	To    []string `json:"to"`   // the nodes that use it in the other memory
}

// Plan returns where the nodes of a model would run if it were opened for CUDA
// with fallback to the CPU. An invalid node runs nowhere: Plan checks its
// operator's versions, inputs, outputs, attributes, types and declared shapes.
// The model must have passed onnx.CheckStructure. Graphs in attributes (If,
// Loop, Scan) and an opset newer than the table give an
// [onnx.UnsupportedError].
func Plan(m *onnx.Model) (*Report, error) {
	p, err := newPlanner(table(), m)
	if err != nil {
		return nil, err
	}
	for i := range p.nodes {
		p.kernel(i)
	}
	p.preferCPU()
	r := &Report{Provider: CUDA, Table: Version(), Copies: p.copies(), Nodes: append([]Node{}, p.nodes...)}
	for i, n := range p.nodes {
		if !p.compared(i) {
			r.Unchecked++
		}
		switch n.Device {
		case OnCUDA:
			r.CUDA++
		case OnCPU:
			r.CPU++
		default:
			r.Other++
		}
	}
	return r, nil
}

// planner is the state of Plan. Its lists are indexed by node.
type planner struct {
	facts   *facts
	graph   *onnx.Graph
	source  []*onnx.Node
	schemas []*schema.Operator
	place   []int          // of the node in the graph
	refuses map[int]string // by place: what its operator refuses of the shapes
	nodes   []Node
	kernels []*Kernel          // CUDA's; nil if there is none
	types   map[string]string  // by value
	other   map[string]string  // values whose declared type differs
	shapes  map[string][]int64 // declared shapes by value; -1 is an open size
	weights map[string]int64   // elements of initializers and constants
	inputs  map[string]bool    // of the graph, without weights
	uses    map[string][]use   // by value
}

// use is an input of a node.
type use struct{ node, input int }

func newPlanner(f *facts, m *onnx.Model) (*planner, error) {
	p := &planner{facts: f, graph: m.Graph, weights: map[string]int64{}, inputs: map[string]bool{}, uses: map[string][]use{}}
	if f.ir > 0 && m.IRVersion > f.ir {
		return nil, &onnx.UnsupportedError{Offset: -1, Reason: fmt.Sprintf(
			"IR version %d is newer than the last that ONNX Runtime %s opens, %d: write the model in an older one", m.IRVersion, f.version, f.ir)}
	}
	if err := unplanned(m); err != nil {
		return nil, err
	}
	for i, v := range slices.Concat(m.Graph.Inputs, m.Graph.Outputs) {
		if v.Other == nil && v.DataType == 0 && (!v.NoShape || v.Undefined) {
			what := "output"
			if i < len(m.Graph.Inputs) {
				what = "input"
			}
			return nil, &onnx.FormatError{Offset: -1, Where: fmt.Sprintf("graph %s %.80q", what, v.Name), Reason: "its element type is undefined, which ONNX Runtime does not open: declare it"}
		}
	}
	opsets := map[string]int64{}
	for _, o := range m.Opsets {
		domain := standard(o.Domain)
		opsets[domain] = o.Version
		if newest, known := f.newest[domain]; known && o.Version > newest {
			return nil, &onnx.UnsupportedError{Offset: -1, Reason: fmt.Sprintf(
				"opset %d is newer than the last that ONNX Runtime %s opens, %d: export with an older one", o.Version, f.version, newest)}
		}
	}
	p.types = map[string]string{}
	if err := initialized(m.Graph); err != nil {
		return nil, err
	}
	for _, t := range m.Graph.Initializers {
		p.weights[t.Name] = t.Elements()
		p.types[t.Name] = t.DataType.String()
	}
	for _, v := range m.Graph.Inputs {
		if _, weight := p.weights[v.Name]; !weight {
			p.inputs[v.Name] = true
			p.types[v.Name] = v.DataType.String()
		}
	}
	declared := declaredTypes(m.Graph)
	p.other, p.shapes = map[string]string{}, declaredShapes(m.Graph)
	for i, n := range m.Graph.Nodes {
		s := f.at(operator{standard(n.Domain), n.Op}, opsets[standard(n.Domain)])
		if constant(n) {
			p.constant(n)
			if s != nil && unfit(n, s) == "" {
				continue
			}
		}
		label := n.Name
		if label == "" {
			label = fmt.Sprintf("%s (node %d)", n.Op, i)
		}
		for _, a := range n.Attributes {
			if a.Graph != nil {
				return nil, &onnx.UnsupportedError{Offset: -1, Where: fmt.Sprintf("node %.80q", label), Reason: fmt.Sprintf(
					"%s holds a graph: only models without graphs in their nodes are planned", n.Op)}
			}
		}
		for j, in := range n.Inputs {
			if in != "" {
				p.uses[in] = append(p.uses[in], use{len(p.nodes), j})
			}
		}
		p.infer(n, s, declared)
		p.source, p.schemas, p.place = append(p.source, n), append(p.schemas, s), append(p.place, i)
		p.nodes = append(p.nodes, Node{Node: label, Op: n.Op, Domain: standard(n.Domain)})
	}
	p.kernels = make([]*Kernel, len(p.nodes))
	p.refuses = check.Contradictions(m, func(domain, op string, opset int64) *schema.Operator { return f.at(operator{domain, op}, opset) })
	return p, nil
}

// unplanned refuses what the rules here do not know.
func unplanned(m *onnx.Model) error {
	refuse := func(where, reason string) error {
		return &onnx.UnsupportedError{Offset: -1, Where: where, Reason: reason}
	}
	if len(m.Functions) > 0 {
		return refuse(fmt.Sprintf("function %.80q", m.Functions[0].Name), "functions are not supported: only models without them are planned")
	}
	if len(m.Graph.Sparse) > 0 {
		return refuse("graph", "sparse initializers are not supported: only models without them are planned")
	}
	for _, list := range [][]onnx.ValueInfo{m.Graph.Inputs, m.Graph.Outputs, m.Graph.Values} {
		for _, v := range list {
			if v.Other != nil {
				return refuse(fmt.Sprintf("value %.80q", v.Name), fmt.Sprintf("a value that is not a tensor is not supported: %s", v.Other))
			}
		}
	}
	for _, n := range m.Graph.Nodes {
		for _, a := range n.Attributes {
			if a.Type > onnx.AttrStrings {
				return refuse(fmt.Sprintf("node %.80q", n.Name), fmt.Sprintf("an attribute of type %s is not supported", a.Type))
			}
		}
	}
	return nil
}

// initialized refuses an initializer that is not what the input of its name declares.
func initialized(g *onnx.Graph) error {
	declared := map[string]onnx.ValueInfo{}
	for _, v := range g.Inputs {
		declared[v.Name] = v
	}
	for _, t := range g.Initializers {
		v, is := declared[t.Name]
		if !is || v.Other != nil {
			continue
		}
		same := v.NoShape || len(v.Dims) == len(t.Dims)
		for i := 0; same && !v.NoShape && i < len(t.Dims); i++ {
			same = v.Dims[i].Open || v.Dims[i].Value == t.Dims[i]
		}
		if !same || v.DataType != 0 && v.DataType != t.DataType {
			return &onnx.FormatError{Offset: -1, Where: fmt.Sprintf("initializer %.80q", t.Name), Reason: fmt.Sprintf("it is %s%v, the input of that name is declared as %s", t.DataType, t.Dims, v)}
		}
	}
	return nil
}

// constant reports whether ONNX Runtime turns a node into an initializer when
// it reads the file, at every optimization level (the constructor of Graph in
// onnxruntime/core/graph/graph.cc).
func constant(n *onnx.Node) bool { return n.Op == "Constant" && standard(n.Domain) == "" }

// constant records a Constant's output as a weight.
func (p *planner) constant(n *onnx.Node) {
	for _, a := range n.Attributes {
		t, ok := constants[a.Name]
		if !ok || len(n.Outputs) == 0 {
			continue
		}
		elements := int64(1)
		switch {
		case a.Tensor != nil:
			t, elements = a.Tensor.DataType.String(), a.Tensor.Elements()
		case a.Type == onnx.AttrInts:
			elements = int64(len(a.Ints))
		case a.Type == onnx.AttrFloats:
			elements = int64(len(a.Floats))
		case a.Type == onnx.AttrStrings:
			elements = int64(len(a.Strings))
		}
		p.weights[n.Outputs[0]], p.types[n.Outputs[0]] = elements, t
	}
}
