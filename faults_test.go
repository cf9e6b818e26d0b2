package attnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
)

// faultForms are the forms of a file that faults are put into.
var faultForms = map[string]export.Profile{
	"plain":          export.Plain{},
	"plain opset 21": export.Plain{Opset: 21},
	"float16":        export.Plain{DType: format.Float16},
	"int8":           export.Plain{Quantize: precision.Int8},
	"cache":          export.Cache{},
	"cache last":     export.Cache{LastLogits: true},
	"cache float16":  export.Cache{DType: format.Float16},
	"cache int4":     export.Cache{Quantize: precision.Int4},
	"fused":          export.Cache{Fuse: true},
	"flat":           export.Flat{},
}

// faultModel returns a small model in which every weight counts: all of them
// are random, and none of them is that of an untrained network.
func faultModel(t *testing.T, name string) *model.Checkpoint {
	t.Helper()
	var net nn.Network = arch.GPT2{Vocab: 23, Context: 24, Layers: 2, Heads: 2, Width: 16, Inner: 32, Epsilon: 1e-5}
	if name == "simple" {
		net = arch.Simple{Vocab: 23, Context: 24, Heads: 2, Width: 16, Inner: 32, Positions: true}
	}
	c, err := model.New(net, 1)
	if err != nil {
		t.Fatal(err)
	}
	random := model.NewStream(7, "faults")
	n := uint64(0)
	for _, w := range c.Weights {
		for i := 0; i < len(w.Data); i += 4 {
			x := float32(random.IntN(n, 2001))/1000 - 1
			n++
			if strings.Contains(w.Name, "ln_") && strings.HasSuffix(w.Name, "weight") {
				x = 1 + x/4
			}
			binary.LittleEndian.PutUint32(w.Data[i:], math.Float32bits(x/2))
		}
	}
	c.Tokenizer = []byte(`{"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}}}`)
	return c
}

// alteration is one fault in a file.
type alteration struct {
	name  string
	value string // the first value that it alters, "" if it is left open
	apply func(m *onnx.Model)
}

// alterations returns faults of every kind at every place of a model.
func alterations(m *onnx.Model) (all []alteration) {
	add := func(value, name string, apply func(m *onnx.Model)) { all = append(all, alteration{name, value, apply}) }
	for i, x := range m.Graph.Initializers {
		if len(x.Raw) == 0 {
			continue
		}
		add("", "the lowest bit of "+x.Name, func(m *onnx.Model) {
			raw := bytes.Clone(m.Graph.Initializers[i].Raw)
			raw[len(raw)/2/8*8] ^= 1
			m.Graph.Initializers[i].Raw = raw
		})
		if len(x.Dims) == 2 && x.Dims[0] != x.Dims[1] {
			add("", "the shape of "+x.Name, func(m *onnx.Model) { slices.Reverse(m.Graph.Initializers[i].Dims) })
		}
		for j, y := range m.Graph.Initializers[:i] {
			if y.DataType == x.DataType && slices.Equal(x.Dims, y.Dims) && !bytes.Equal(x.Raw, y.Raw) {
				add("", x.Name+" for "+y.Name, func(m *onnx.Model) { m.Graph.Initializers[j].Raw = m.Graph.Initializers[i].Raw })
				break
			}
		}
	}
	outputs := map[string]bool{}
	for _, o := range m.Graph.Outputs {
		outputs[o.Name] = true
	}
	same := map[string]string{} // what an Identity gives, and what it takes
	for i, n := range m.Graph.Nodes {
		out := n.Outputs[0]
		if n.Op == "Identity" {
			same[out] = n.Inputs[0]
			continue
		}
		for j, a := range n.Attributes {
			add(out, fmt.Sprintf("attribute %s of %s", a.Name, out), func(m *onnx.Model) {
				a := &m.Graph.Nodes[i].Attributes[j]
				a.Int++
				a.Float *= 1.0001
				a.String = append(a.String, 'x')
				if len(a.Ints) > 1 {
					a.Ints[0], a.Ints[1] = a.Ints[1], a.Ints[0]
				} else if len(a.Ints) == 1 {
					a.Ints[0]++
				}
			})
		}
		add(out, "operator of "+out, func(m *onnx.Model) {
			swap := map[string]string{"Add": "Mul", "Mul": "Sub", "Tanh": "Erf", "Softmax": "LogSoftmax", "Sub": "Add"}
			n := m.Graph.Nodes[i]
			if n.Op = swap[n.Op]; n.Op == "" {
				n.Op, n.Domain = "Neg", ""
			}
		})
		if !outputs[out] {
			add("", "dropped "+out, func(m *onnx.Model) {
				n := m.Graph.Nodes[i]
				m.Graph.Nodes = slices.Delete(m.Graph.Nodes, i, i+1)
				for _, reader := range m.Graph.Nodes {
					for k, in := range reader.Inputs {
						if slices.Contains(n.Outputs, in) {
							reader.Inputs[k] = n.Inputs[0]
						}
					}
				}
			})
		}
		for j := range n.Inputs {
			if i > 0 && n.Inputs[j] != "" && n.Inputs[j] != m.Graph.Nodes[i-1].Outputs[0] && n.Inputs[j] != same[m.Graph.Nodes[i-1].Outputs[0]] {
				add(out, fmt.Sprintf("input %d of %s", j, out), func(m *onnx.Model) { m.Graph.Nodes[i].Inputs[j] = m.Graph.Nodes[i-1].Outputs[0] })
			}
		}
		if len(n.Inputs) > 1 && n.Inputs[0] != n.Inputs[1] && slices.Contains([]string{"MatMul", "Sub", "Div", "Gather"}, n.Op) {
			add(out, "swapped inputs of "+out, func(m *onnx.Model) {
				in := m.Graph.Nodes[i].Inputs
				in[0], in[1] = in[1], in[0]
			})
		}
	}
	for i, o := range m.Graph.Outputs {
		add("", "open axis of output "+o.Name, func(m *onnx.Model) {
			d := &m.Graph.Outputs[i].Dims[1]
			*d = onnx.Dim{Open: !d.Open, Value: 1}
			if d.Open {
				*d = onnx.Dim{Open: true, Param: "x"}
			}
		})
	}
	for key, value := range m.Metadata {
		add("", "metadata "+key, func(m *onnx.Model) {
			other := []byte(value)
			other[len(other)/2] ^= 1
			m.Metadata[key] = string(other)
		})
	}
	add("", "metadata that says bfloat16", func(m *onnx.Model) { m.Metadata[precision.MetaDType] = "bfloat16" })
	return all
}

// sizeAlone reports whether an alteration is of how a size is read, or of the number
// that means the end of an axis, which may give the same.
func sizeAlone(name string) bool {
	return strings.Contains(name, "of size.") || strings.Contains(name, "int64.9223372036854775807")
}

// TestEveryFaultIsSeen puts faults into files of every form. None of them gets
// by the comparison with what export writes, which also says where they are.
func TestEveryFaultIsSeen(t *testing.T) {
	tried, open, located := 0, 0, 0
	for _, arch := range []string{"gpt2", "simple"} {
		c := faultModel(t, arch)
		e := &exported{checkpoint: c}
		for name, f := range faultForms {
			m, data, err := encoded(c, f)
			if err != nil {
				t.Fatalf("%s, %s: %v", arch, name, err)
			}
			info, err := export.Describe(m)
			if err != nil {
				t.Fatal(err)
			}
			all := alterations(m)
			stride := fixtures.Stride(17)
			for i := 0; i < len(all); i += stride {
				a := all[i]
				altered, err := onnx.Decode(data)
				if err != nil {
					t.Fatal(err)
				}
				a.apply(altered)
				checks, file, err := compareFile(e, "altered.onnx", altered, info)
				if err != nil {
					t.Errorf("%s, %s, %s: %v", arch, name, a.name, err)
					continue
				}
				if tried++; sizeAlone(a.name) && file.verdict.Layer == runtime.IdenticalLayer {
					continue // it reads the same size elsewhere, or ends an axis at another number beyond it
				}
				at := slices.IndexFunc(checks, func(c runtime.Check) bool { return c.Status == runtime.StatusFail })
				if at < 0 {
					t.Errorf("%s, %s, %s: not seen: %+v", arch, name, a.name, checks)
					continue
				}
				if a.value != "" {
					open++
					if checks[at].FirstDifference == a.value {
						located++
					} else {
						t.Logf("%s, %s, %s: located at %q: %s", arch, name, a.name, checks[at].FirstDifference, checks[at].Reason)
					}
				}
			}
			kept, err := e.as(f)
			if err != nil {
				t.Fatal(err)
			}
			var after bytes.Buffer
			if err := kept.Encode(&after); err != nil || !bytes.Equal(after.Bytes(), data) {
				t.Errorf("%s, %s: comparing changed what export writes: %v", arch, name, err)
			}
		}
	}
	t.Logf("%d faults, of %d whose place is known %d are located there", tried, open, located)
	if located < open*9/10 {
		t.Errorf("%d of %d are located", located, open)
	}
}

// TestExactGelu has the exact GELU in the place of its tanh form, which a small
// model's logits hardly show.
func TestExactGelu(t *testing.T) {
	c := faultModel(t, "gpt2")
	for _, name := range []string{"plain", "cache", "cache float16"} {
		m, _, err := ExportModel(c, faultForms[name])
		if err != nil {
			t.Fatal(err)
		}
		info, err := export.Describe(m)
		if err != nil {
			t.Fatal(err)
		}
		s := &surgeon{Model: m}
		gelu := s.maker("h.0.mlp.gelu")
		x := "h.0.mlp.c_fc"
		erf := s.node("h.0.mlp.gelu", "Erf", []string{s.node("h.0.mlp.gelu", "Mul", []string{x, s.number(float32(math.Sqrt2 / 2))})})
		half := s.node("h.0.mlp.gelu", "Mul", []string{erf, s.number(0.5)})
		gelu.Inputs = []string{x, s.node("h.0.mlp.gelu", "Add", []string{half, s.number(0.5)})}
		checks, _, err := compareFile(&exported{checkpoint: c}, "exact.onnx", m, info)
		if err != nil {
			t.Fatal(err)
		}
		if x := checks[1]; x.Status != runtime.StatusFail || !strings.HasPrefix(x.FirstDifference, "h.0.mlp.gelu") || !strings.Contains(x.Reason, "Erf") {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

// TestForeignOperators puts an operator of another domain in the place of each
// node, under the same names. What it computes is not known: it is counted as
// not compared, and left to the runs.
func TestForeignOperators(t *testing.T) {
	c := faultModel(t, "gpt2")
	e := &exported{checkpoint: c}
	for name, f := range faultForms {
		m, data, err := encoded(c, f)
		if err != nil {
			t.Fatal(err)
		}
		info, err := export.Describe(m)
		if err != nil {
			t.Fatal(err)
		}
		stride := fixtures.Stride(5)
		if f == (export.Cache{Fuse: true}) { // its nodes leave out inputs and results
			stride = 1
		}
		for i := 0; i < len(m.Graph.Nodes); i += stride {
			altered, err := onnx.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			n := altered.Graph.Nodes[i]
			if n.Op == "Identity" {
				continue
			}
			n.Op, n.Domain = "Foreign", "other"
			altered.Opsets = append(altered.Opsets, onnx.Opset{Domain: "other", Version: 1})
			checks, _, err := compareFile(e, "altered.onnx", altered, info)
			if err != nil {
				t.Fatal(err)
			}
			nodes := checks[slices.IndexFunc(checks, func(c runtime.Check) bool { return c.Part == "nodes" })]
			if nodes.Compared == nodes.Total || nodes.Reason == "" {
				t.Errorf("%s: %s: %+v", name, n.Outputs[0], nodes)
			}
		}
	}
}
