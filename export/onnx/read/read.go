package read

import (
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Options give information about a model that its file lacks.
type Options struct {
	// Dir is the folder of the model's file, which contains external data.
	Dir string
	// Sizes are the sizes of named dimensions, by their names in the file.
	Sizes map[string]int
	// Shapes are whole shapes of inputs, by name, for inputs without a declared
	// shape.
	Shapes map[string][]int
	// Values are the elements of inputs, by name. They become part of the graph if
	// a size depends on them: see Result.Fixed.
	Values map[string]format.Tensor
	// Parts are the values of the inputs that are sequences or optional values, by name.
	// The graph is valid only for this structure and these shapes.
	Parts map[string]Part
	// Training reads what a file computes in training, Dropout that drops and
	// BatchNormalization with the moments of its batch, as what it is in inference: see
	// graph.Dropout. Result.BatchMoments reports the second. A parameter without dimensions
	// is a weight of shape [1].
	Training bool
	// Learned names initializers without dimensions that are weights too, with Training: of
	// those, Uses finds the others.
	Learned map[string]bool
}

// Result is the converted model.
type Result struct {
	Graph *graph.Graph
	// Weights are the parameters of the graph, in its order. They share the model's
	// memory if their elements are whole bytes.
	Weights []format.Tensor
	// BatchMoments reports whether, with Options.Training, a BatchNormalization normalizes
	// with the moments of the batch in the file.
	BatchMoments bool
	// Fixed names the inputs whose elements, from Options.Values, are built into the
	// graph. The graph is valid only for these elements.
	Fixed []string
	// Inputs and Outputs have the structure of the inputs and outputs that are sequences or
	// optional values: their tensors have the names, types and no elements of the graph's.
	Inputs, Outputs map[string]Part
	// Renamed maps names in the graph to names in the file, for values whose names
	// were taken (in a function that is called twice, or an unrolled loop).
	Renamed map[string]string
	// Assumes reports whether the graph holds only for sizes at which each Slice ends on its
	// axis: ONNX cuts off what is beyond. Read the model for the sizes of a case to know.
	Assumes bool
	// Contradiction is the first value that the file declares (value_info, outputs) otherwise
	// than the graph computes it, for some sizes of the inputs at least; "" if there is none.
	Contradiction string
}

// Model converts a model that onnx.Check accepts. Its errors are *InvalidError,
// *UnsupportedError, *BoundError, *OpenError, and errors of external data.
func Model(m *onnx.Model, o Options) (result *Result, err error) {
	if m.Graph == nil {
		return nil, &InvalidError{Reason: "the model has no graph"}
	}
	if err := Endless(m); err != nil {
		return nil, err
	}
	r := newReading(m, o)
	top := &scope{values: map[string]*value{}, opsets: opsetsOf(m.Opsets)}
	err = r.top(m.Graph, top)
	if err != nil {
		return nil, err
	}
	g, err := r.b.Graph()
	if err != nil {
		return nil, &UnsupportedError{Reason: err.Error()}
	}
	return &Result{Graph: g, Weights: r.weights, Fixed: r.fixed(), Inputs: r.parts, Outputs: r.results, Renamed: r.renamed, BatchMoments: r.batchMoments, Contradiction: r.contradiction, Assumes: r.assumes}, nil
}

// Missing returns the operators of a model that attnx cannot read, including
// those in subgraphs and functions, with the number of their nodes.
func Missing(m *onnx.Model) map[string]int {
	missing := map[string]int{}
	functions := map[key]bool{}
	for _, f := range m.Functions {
		functions[key{domainOf(f.Domain), f.Name}] = true
	}
	var count func(nodes []*onnx.Node)
	count = func(nodes []*onnx.Node) {
		for _, n := range nodes {
			k := key{domainOf(n.Domain), n.Op}
			if _, known := table[k]; !known && !functions[k] {
				missing[k.String()]++
			}
			for _, a := range n.Attributes {
				if a.Graph != nil {
					count(a.Graph.Nodes)
				}
				for _, g := range a.Graphs {
					count(g.Nodes)
				}
			}
		}
	}
	for _, f := range m.Functions {
		count(f.Nodes)
	}
	if m.Graph != nil {
		count(m.Graph.Nodes)
	}
	return missing
}

// top reads the graph of a model: its inputs, weights, nodes and outputs.
func (r *reading) top(g *onnx.Graph, s *scope) (err error) {
	r.reserve(g)
	if err := r.initializers(g, s); err != nil {
		return err
	}
	if err := r.inputs(g, s); err != nil {
		return err
	}
	if err := r.nodes(g.Nodes, s); err != nil {
		return err
	}
	r.contradict(g.Values, s)
	r.contradict(g.Outputs, s)
	for i, out := range g.Outputs {
		if slices.ContainsFunc(g.Outputs[:i], func(v onnx.ValueInfo) bool { return v.Name == out.Name }) {
			continue // one value, listed again
		}
		v := s.lookup(out.Name)
		if v == nil {
			return &InvalidError{Reason: fmt.Sprintf("output %.80q is no value of the graph", out.Name)}
		}
		if !v.isTensor() {
			part, err := r.outputPart(out.Name, v, s)
			if err != nil {
				return err
			}
			r.results[out.Name] = part
			continue
		}
		recorded, err := r.record(v)
		if err != nil {
			return err
		}
		r.b.Output(out.Name, recorded)
	}
	return nil
}

// inputs declares the inputs of the graph without an initializer.
func (r *reading) inputs(g *onnx.Graph, s *scope) error {
	r.bindShapes(g)
	for _, in := range g.Inputs {
		if s.values[in.Name] != nil {
			continue // its initializer is its default value
		}
		if part, ok := r.o.Parts[in.Name]; ok {
			v, named, err := r.inputPart(in.Name, part, s)
			if err != nil {
				return err
			}
			r.parts[in.Name], s.values[in.Name] = named, v
			continue
		}
		if in.Other != nil {
			return &UnsupportedError{Reason: fmt.Sprintf("input %.80q is a %s, not a tensor", in.Name, in.Other)}
		}
		dtype, err := elementType(in.DataType)
		if err != nil {
			return &UnsupportedError{Reason: fmt.Sprintf("input %.80q: %v", in.Name, err)}
		}
		shape, err := r.declared(in)
		if err != nil {
			return err
		}
		v := &value{name: in.Name, recorded: r.b.Input(in.Name, dtype, shape...), input: true}
		if t, ok := r.o.Values[in.Name]; ok && t.Elements() <= knownLimit {
			if v.elements, err = fromTensor(t); err != nil {
				return errors.Join(&InvalidError{Reason: fmt.Sprintf("input %.80q", in.Name)}, err)
			}
		}
		r.given = append(r.given, v)
		s.values[in.Name] = v
	}
	return nil
}
