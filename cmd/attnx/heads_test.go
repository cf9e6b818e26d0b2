package main

import (
	"bytes"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// ownHead gives the model a head of its own, under the name that PyTorch gives it.
func ownHead(m *onnx.Model) { headNamed(m, "lm_head.weight").Raw[0] ^= 1 }

// hiddenHead does so as PyTorch writes a folded Transpose.
func hiddenHead(m *onnx.Model) {
	w := foldedHead(m)
	w.Raw[len(w.Raw)-1] ^= 1
}

// gemmHead writes the head as a Gemm with a transposed factor.
func gemmHead(m *onnx.Model) {
	n := m.Graph.Nodes[len(m.Graph.Nodes)-1]
	n.Op, n.Inputs[1] = "Gemm", "wte.weight"
	n.Attributes = []onnx.Attribute{{Name: "transB", Type: onnx.AttrInt, Int: 1}}
	unused(m)
}

// scaledHead writes it as a Gemm that doubles the logits.
func scaledHead(m *onnx.Model) {
	gemmHead(m)
	n := m.Graph.Nodes[len(m.Graph.Nodes)-1]
	n.Attributes = append(n.Attributes, onnx.Attribute{Name: "alpha", Type: onnx.AttrFloat, Float: 2})
}

// twoNames gives the file a second initializer for one weight, under the name that
// it has in transformers.
func twoNames(m *onnx.Model) { copied(m, "transformer.wte.weight").Raw[0] ^= 1 }

// headBias adds something to the logits.
func headBias(m *onnx.Model) {
	m.Graph.Nodes[len(m.Graph.Nodes)-1].Outputs[0] = "product"
	m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{Op: "Add", Inputs: []string{"product", "product"}, Outputs: []string{"logits"}})
}

// ownEmbedding looks ids up in another table than the head.
func ownEmbedding(m *onnx.Model) {
	w := copied(m, "embeddings.weight")
	w.Raw[0] ^= 1
	for _, n := range m.Graph.Nodes {
		if n.Op == "Gather" && n.Inputs[0] == "wte.weight" {
			n.Inputs[0] = w.Name
		}
	}
}

// computedEmbedding looks ids up in a table that is computed.
func computedEmbedding(m *onnx.Model) {
	for _, n := range m.Graph.Nodes {
		if n.Op == "Gather" && n.Inputs[0] == "wte.weight" {
			n.Inputs[0] = "table"
		}
	}
	double := &onnx.Node{Op: "Add", Inputs: []string{"wte.weight", "wte.weight"}, Outputs: []string{"table"}}
	m.Graph.Nodes = append([]*onnx.Node{double}, m.Graph.Nodes...)
}

// pytorchNames gives the initializers the names that they have in PyTorch.
func pytorchNames(m *onnx.Model) {
	const prefix = "module.transformer."
	names := map[string]bool{}
	for _, t := range m.Graph.Initializers {
		names[t.Name] = true
		t.Name = prefix + t.Name
	}
	for _, n := range m.Graph.Nodes {
		for i, in := range n.Inputs {
			if names[in] {
				n.Inputs[i] = prefix + in
			}
		}
	}
}

// copied adds a copy of the token embedding under another name.
func copied(m *onnx.Model, name string) *onnx.Tensor {
	wte := m.Graph.Initializers[slices.IndexFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == "wte.weight" })]
	w := *wte
	w.Name, w.Raw = name, bytes.Clone(wte.Raw)
	m.Graph.Initializers = append(m.Graph.Initializers, &w)
	return &w
}

// headNamed gives the model a head of another name.
func headNamed(m *onnx.Model, name string) *onnx.Tensor {
	w := copied(m, name)
	for _, n := range m.Graph.Nodes {
		if n.Op == "Transpose" && n.Inputs[0] == "wte.weight" {
			n.Inputs[0] = name
		}
	}
	return w
}

// foldedHead gives the model a head that is transposed in the file.
func foldedHead(m *onnx.Model) *onnx.Tensor {
	w := copied(m, "onnx::MatMul_670")
	rows, columns := w.Dims[0], w.Dims[1]
	raw := make([]byte, 0, len(w.Raw))
	for c := range columns {
		for r := range rows {
			at := (r*columns + c) * 4
			raw = append(raw, w.Raw[at:at+4]...)
		}
	}
	w.Dims, w.Raw = []int64{columns, rows}, raw
	m.Graph.Nodes[len(m.Graph.Nodes)-1].Inputs[1] = w.Name
	unused(m)
	return w
}

// unused takes away the Transpose before the head.
func unused(m *onnx.Model) {
	m.Graph.Nodes = slices.DeleteFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "Transpose" && n.Inputs[0] == "wte.weight" })
}
