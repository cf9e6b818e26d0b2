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
		case "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat": // the others are ONNX Runtime's for it
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
	for _, n := range m.Graph.Nodes { // a tool may have made them nodes
		for _, a := range n.Attributes {
			if n.Op == "Constant" && a.Tensor != nil {
				tensors[a.Tensor.DataType]++
			}
		}
	}
	for _, f := range floats {
		if n := tensors[f.out]; f.out != onnx.Float && n > 0 && (2*n >= tensors[onnx.Float] || m.Metadata[MetaDType] == f.name) {
			o.DType = f.in
		}
	}
	return o
}

// NameOf returns the name of a floating-point type, such as "float16".
func NameOf(d format.DType) string {
	for _, f := range floats {
		if f.in == d {
			return f.name
		}
	}
	return d.String()
}

// StoredIn returns the floating-point type of most elements of a model's weights; of its
// inputs if it has no weights.
func StoredIn(m *onnx.Model) format.DType {
	elements := map[onnx.DataType]int64{}
	count := func(t *onnx.Tensor) {
		n := int64(1)
		for _, d := range t.Dims {
			n *= max(0, d)
		}
		elements[t.DataType] += n
	}
	for _, t := range m.Graph.Initializers {
		count(t)
	}
	for _, n := range m.Graph.Nodes {
		for _, a := range n.Attributes {
			if n.Op == "Constant" && a.Tensor != nil {
				count(a.Tensor)
			}
		}
	}
	if !slices.ContainsFunc(floats, func(f floatRow) bool { return elements[f.out] > 0 }) && elements[onnx.Float] == 0 {
		for _, in := range m.Graph.Inputs {
			elements[in.DataType]++
		}
	}
	stored, most := format.Float32, elements[onnx.Float]
	for _, f := range floats {
		if n := elements[f.out]; n > most {
			stored, most = f.in, n
		}
	}
	return stored
}

// HasDoubles reports whether a node of a file reads stored numbers of float64, or casts
// to it.
func HasDoubles(m *onnx.Model) bool { return typesIn(m)[onnx.Double] }

// ComputedIn returns the least exact floating-point type in which a model
// computes: of initializers that nodes read, and of casts.
func ComputedIn(m *onnx.Model) format.DType {
	found := typesIn(m)
	for _, f := range slices.Backward(floats) { // the least exact one is last
		if found[f.out] {
			return f.in
		}
	}
	return format.Float32
}

// typesIn returns the types of the numbers that nodes read or cast to.
func typesIn(m *onnx.Model) map[onnx.DataType]bool {
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
	return found
}
