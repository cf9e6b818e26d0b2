package precision

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// Of returns the number types of a model, from its nodes and initializers,
// because metadata are not reliable.
func Of(m *onnx.Model) Form {
	var o Form
	for _, n := range m.Graph.Nodes {
		switch n.Op {
		case "MatMulInteger":
			o.Quantize = Int8
		case "MatMulNBits":
			o.Quantize = Int4
		}
	}
	if o.Quantize != "" { // which weights were kept is a question of the exporter's options: the comparison shows whether it is true
		o.Keep = Keep(m.Metadata[MetaKeep])
	}
	// In a 16-bit file normalizations and masks stay float32: fewer tensors
	// than the others, at most twice their number. If the metadata say 16 bits
	// and there are such tensors, optimizers may have left few.
	tensors := map[onnx.DataType]int{}
	for _, t := range m.Graph.Initializers {
		tensors[t.DataType]++
	}
	for _, f := range floats {
		if n := tensors[f.out]; f.out != onnx.Float && n > 0 && (2*n >= tensors[onnx.Float] || m.Metadata[MetaDType] == f.name) {
			o.DType = f.in
		}
	}
	return o
}

// ComputedIn returns the least exact floating-point type in which a model
// computes: of initializers that nodes read, and of casts.
func ComputedIn(m *onnx.Model) format.DType {
	found := map[onnx.DataType]bool{}
	read := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		for _, in := range n.Inputs {
			read[in] = true
		}
		for _, a := range n.Attributes {
			switch {
			case n.Op == "Cast" && a.Name == "to":
				found[onnx.DataType(a.Int)] = true
			case a.Tensor != nil:
				found[a.Tensor.DataType] = true
			}
		}
	}
	for _, t := range m.Graph.Initializers {
		found[t.DataType] = found[t.DataType] || read[t.Name]
	}
	for _, f := range slices.Backward(floats) { // the least exact one is last
		if found[f.out] {
			return f.in
		}
	}
	return format.Float32
}
