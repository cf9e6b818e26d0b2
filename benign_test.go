package attnx

import (
	"fmt"
	"slices"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/runtime"
)

// benign are ways to write a file otherwise that change nothing in what it
// computes.
var benign = map[string]func(m *onnx.Model){
	"nodes renamed": func(m *onnx.Model) {
		for i, n := range m.Graph.Nodes {
			n.Name = fmt.Sprint("node", i)
		}
	},
	"values renamed":         func(m *onnx.Model) { renamed(m, true, false) },
	"initializers renamed":   func(m *onnx.Model) { renamed(m, false, true) },
	"everything renamed":     func(m *onnx.Model) { renamed(m, true, true) },
	"initializers reordered": func(m *onnx.Model) { slices.Reverse(m.Graph.Initializers) },
	"nodes reordered": func(m *onnx.Model) { // a node as late as its readers allow
		for i := len(m.Graph.Nodes) - 2; i >= 0; i-- {
			for j := i; j+1 < len(m.Graph.Nodes); j++ {
				a, b := m.Graph.Nodes[j], m.Graph.Nodes[j+1]
				if slices.ContainsFunc(b.Inputs, func(in string) bool { return slices.Contains(a.Outputs, in) }) {
					break
				}
				m.Graph.Nodes[j], m.Graph.Nodes[j+1] = b, a
			}
		}
	},
	"no value_info": func(m *onnx.Model) { m.Graph.Values = nil },
	"notes": func(m *onnx.Model) {
		m.ProducerName, m.DocString, m.Metadata["mine"] = "another", "text", "1"
	},
	"constants as nodes": func(m *onnx.Model) {
		var nodes []*onnx.Node
		m.Graph.Initializers = slices.DeleteFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool {
			if t.Elements() > 8 {
				return false
			}
			nodes = append(nodes, &onnx.Node{Op: "Constant", Outputs: []string{t.Name}, Attributes: []onnx.Attribute{onnx.TensorAttr("value", &onnx.Tensor{DataType: t.DataType, Dims: t.Dims, Raw: t.Raw})}})
			return true
		})
		m.Graph.Nodes = append(nodes, m.Graph.Nodes...)
	},
	"identities": func(m *onnx.Model) {
		var nodes []*onnx.Node
		for _, n := range m.Graph.Nodes {
			for i, in := range n.Inputs {
				if in != "" && len(nodes)%2 == 0 {
					copied := fmt.Sprint(in, ".copy", len(nodes))
					nodes = append(nodes, &onnx.Node{Op: "Identity", Inputs: []string{in}, Outputs: []string{copied}})
					n.Inputs[i] = copied
				}
			}
			nodes = append(nodes, n)
		}
		m.Graph.Nodes = nodes
	},
	"equal constants once": func(m *onnx.Model) {
		first := map[string]string{}
		as := map[string]string{}
		for _, t := range m.Graph.Initializers {
			key := fmt.Sprint(t.DataType, t.Dims, t.Raw)
			if first[key] == "" {
				first[key] = t.Name
			}
			as[t.Name] = first[key]
		}
		for _, n := range m.Graph.Nodes {
			for i, in := range n.Inputs {
				if as[in] != "" {
					n.Inputs[i] = as[in]
				}
			}
		}
	},
	"terms swapped": func(m *onnx.Model) {
		for _, n := range m.Graph.Nodes {
			if n.Domain == "" && (n.Op == "Add" || n.Op == "Mul") {
				slices.Reverse(n.Inputs)
			}
		}
	},
	"defaults written": func(m *onnx.Model) {
		for _, n := range m.Graph.Nodes {
			if n.Op == "LayerNormalization" {
				n.Attributes = append(n.Attributes, onnx.IntAttr("stash_type", 1))
			}
			if n.Op == "Reshape" {
				n.Attributes = append(n.Attributes, onnx.IntAttr("allowzero", 0))
			}
		}
	},
}

// renamed gives the values between nodes, and the initializers, other names.
func renamed(m *onnx.Model, values, initializers bool) {
	as := map[string]string{}
	if initializers {
		for i, t := range m.Graph.Initializers {
			as[t.Name] = fmt.Sprint("w", i)
			t.Name = as[t.Name]
		}
	}
	keep := map[string]bool{}
	for _, o := range m.Graph.Outputs {
		keep[o.Name] = true
	}
	for i, n := range m.Graph.Nodes {
		for j, out := range n.Outputs {
			if values && out != "" && !keep[out] {
				as[out] = fmt.Sprint("v", i, ".", j)
				n.Outputs[j] = as[out]
			}
		}
		for j, in := range n.Inputs {
			if as[in] != "" {
				n.Inputs[j] = as[in]
			}
		}
	}
	m.Graph.Values = nil
}

// TestNoAlarm writes files otherwise: each is compared as a whole and agrees.
func TestNoAlarm(t *testing.T) {
	for _, arch := range []string{"gpt2", "simple"} {
		c := faultModel(t, arch)
		e := &exported{checkpoint: c}
		for name, f := range faultForms {
			if arch == "simple" && !fixtures.Exhaustive() && name != "plain" && name != "fused" {
				continue
			}
			m, data, err := encoded(c, f)
			if err != nil {
				t.Fatal(err)
			}
			info, err := export.Describe(m)
			if err != nil {
				t.Fatal(err)
			}
			for way, rewrite := range benign {
				m, err := onnx.Decode(data)
				if err != nil {
					t.Fatal(err)
				}
				rewrite(m)
				checks, _, err := compareFile(e, "rewritten.onnx", m, info)
				if err != nil {
					t.Errorf("%s, %s, %s: %v", arch, name, way, err)
				}
				for _, x := range checks {
					if x.Status != runtime.StatusOK || x.Compared != x.Total {
						t.Errorf("%s, %s, %s: %+v", arch, name, way, x)
					}
				}
			}
		}
	}
}
