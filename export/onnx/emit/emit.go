package emit

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Form controls how a graph is written.
type Form struct {
	Opset        int  // 9 to 12, or 17 to 21
	ValueInfo    bool // write type and shape of every value
	WeightInputs bool // write weights as inputs instead of initializers
}

// Lowered is a graph in which every operator has a node, or is part of one of
// ONNX Runtime's own operators.
type Lowered struct {
	Graph *graph.Graph
	fused *fusions // nil: every value has its own node
}

// Lower decomposes the operators of g that have no node. The values of the
// result are those that the file computes, with the same names.
func Lower(g *graph.Graph) (Lowered, error) {
	g, err := graph.Apply(g, graph.SliceRanges, graph.Decompose(hasNode), graph.Merge)
	return Lowered{Graph: g}, err
}

// hasNode reports whether ONNX has a node for a composite operator.
func hasNode(n *graph.Node) bool {
	switch op := n.Op.(type) {
	case graph.LayerNormalization, graph.Gemm, graph.OneHot, graph.BatchNormalization:
		return true
	case graph.LSTM:
		return !op.Quantized && writable(op.Activations, 3)
	case graph.GRU:
		return writable(op.Activations, 2)
	case graph.AveragePool: // it has dilations only from opset 19 on
		return !slices.ContainsFunc(op.Dilations, func(d int) bool { return d != 1 })
	}
	return false
}

// Fused reports whether n is part of one of ONNX Runtime's own operators, or
// not written.
func (l Lowered) Fused(n *graph.Node) bool { return l.fused.has(n) }

// Model returns the graph as an ONNX model with the weights that it uses. It
// shares their memory. Values keep their names, so that two runtimes can be
// compared value by value.
func (l Lowered) Model(weights []format.Tensor, f Form) (*onnx.Model, error) {
	e := &emitter{graph: l.Graph, opset: int64(f.Opset), form: f, fused: l.fused, out: onnx.Graph{Name: "attnx"}, shared: map[string]bool{}}
	return e.model(weights)
}

// emitter writes the nodes of one graph.
type emitter struct {
	graph  *graph.Graph
	opset  int64
	form   Form
	out    onnx.Graph
	shared map[string]bool // helper values created so far, by name
	fused  *fusions        // nil: every value has its own node
}

// irVersions maps an operator set to the IR version of the same release, from
// ONNX's docs/Versioning.md. Runtimes reject IR versions newer than they know.
var irVersions = map[int64]int64{
	9: 4, 10: 5, 11: 6, 12: 7, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10,
}

// letterNames maps named dimensions to the names that optimum and
// transformers.js expect.
var letterNames = map[string]string{"B": "batch_size", "T": "sequence_length", "P": "past_sequence_length"}

// dim converts a dimension to ONNX. ONNX has no symbol for a sum, so it
// becomes a text.
func dim(d graph.Dim) onnx.Dim {
	if n, ok := d.Number(); ok {
		return onnx.Dim{Value: int64(n)}
	}
	var text strings.Builder
	for i, t := range d.Terms() {
		n := t.Coefficient
		switch {
		case i > 0 && n < 0:
			text.WriteString(" - ")
			n = -n
		case i > 0:
			text.WriteString(" + ")
		}
		factors := make([]string, 0, len(t.Symbols)+1)
		if n != 1 || len(t.Symbols) == 0 {
			factors = append(factors, strconv.Itoa(n))
		}
		for _, s := range t.Symbols {
			factors = append(factors, cmp.Or(letterNames[s], s))
		}
		text.WriteString(strings.Join(factors, "*"))
	}
	return onnx.Dim{Open: true, Param: text.String()}
}

func info(name string, v *graph.Value) (onnx.ValueInfo, error) {
	t, err := dataType(v.DType)
	i := onnx.ValueInfo{Name: name, DataType: t}
	for _, d := range v.Shape {
		i.Dims = append(i.Dims, dim(d))
	}
	return i, err
}

func dataType(t format.DType) (onnx.DataType, error) {
	switch t {
	case format.Float32:
		return onnx.Float, nil
	case format.Float64:
		return onnx.Double, nil
	case format.Float16:
		return onnx.Float16, nil
	case format.BFloat16:
		return onnx.BFloat16, nil
	case format.Int64:
		return onnx.Int64, nil
	case format.Int32:
		return onnx.Int32, nil
	case format.Int16:
		return onnx.Int16, nil
	case format.Int8:
		return onnx.Int8, nil
	case format.Uint16:
		return onnx.Uint16, nil
	case format.Uint8:
		return onnx.Uint8, nil
	case format.Bool:
		return onnx.Bool, nil
	}
	return 0, fmt.Errorf("export: element type %s is not supported", t)
}

func (e *emitter) model(weights []format.Tensor) (*onnx.Model, error) {
	given := e.graph.Inputs
	if e.form.WeightInputs {
		given = append(slices.Clone(given), e.graph.Params...)
	}
	for _, v := range given {
		i, err := e.declared(v.Name, v)
		if err != nil {
			return nil, err
		}
		e.out.Inputs = append(e.out.Inputs, i)
	}
	byName := map[string]format.Tensor{}
	for _, t := range weights {
		byName[t.Name] = t
	}
	for _, p := range e.graph.Params { // the remaining ones: Lower drops unused parameters
		if e.form.WeightInputs {
			break
		}
		if err := e.initializer(p.Name, byName[p.Name]); err != nil {
			return nil, err
		}
	}
	reads := needed(e.graph)
	for _, n := range e.graph.Nodes {
		if e.fused != nil && e.fused.write(e, n) || !slices.ContainsFunc(n.Results, func(v *graph.Value) bool { return reads[v] }) {
			continue
		}
		if err := e.write(n); err != nil {
			return nil, &graph.UnsupportedError{Node: n.Name(), Err: fmt.Errorf("export: %s %.80q: %w", n.Op.Name(), n.Name(), err)}
		}
	}
	for _, o := range e.graph.Outputs {
		if o.Name != o.Value.Name || o.Value.Leaf() {
			e.node("Identity", o.Name, []string{o.Value.Name})
		}
		i, err := e.declared(o.Name, o.Value)
		if err != nil {
			return nil, err
		}
		e.out.Outputs = append(e.out.Outputs, i)
	}
	opsets := []onnx.Opset{{Version: e.opset}}
	if e.fused != nil {
		opsets = append(opsets, onnx.Opset{Domain: microsoft, Version: 1})
	}
	return &onnx.Model{
		IRVersion: irVersions[e.opset], Graph: &e.out, Opsets: opsets,
	}, nil
}

// declared returns the declaration of an input or output.
func (e *emitter) declared(name string, v *graph.Value) (onnx.ValueInfo, error) {
	i, err := info(name, v)
	if e.fused != nil {
		i = e.fused.declare(i)
	}
	return i, err
}

func (e *emitter) initializer(name string, t format.Tensor) error {
	typ, err := dataType(t.DType)
	if err != nil {
		return err
	}
	out := &onnx.Tensor{Name: name, DataType: typ, Raw: t.Data}
	for _, d := range t.Shape {
		out.Dims = append(out.Dims, int64(d))
	}
	e.out.Initializers = append(e.out.Initializers, out)
	return nil
}

// node adds a node with one output, named after it.
func (e *emitter) node(op, output string, inputs []string, attrs ...onnx.Attribute) {
	e.out.Nodes = append(e.out.Nodes, &onnx.Node{Op: op, Name: output, Inputs: inputs, Outputs: []string{output}, Attributes: attrs})
}

// nodeOf adds a node with the results of n.
func (e *emitter) nodeOf(n *graph.Node, inputs []string, attrs ...onnx.Attribute) {
	e.out.Nodes = append(e.out.Nodes, &onnx.Node{Op: n.Op.Name(), Name: n.Name(), Inputs: inputs, Outputs: names(n.Results), Attributes: attrs})
}

func names(values []*graph.Value) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.Name
	}
	return out
}
