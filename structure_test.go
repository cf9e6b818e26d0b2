package attnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
)

// rotaryModel is a network like Llama: RMS norms, rotary positions, queries that
// share keys and values, SwiGLU, a head of its own.
type rotaryModel struct{ Layers int }

func (rotaryModel) Architecture() string { return "somebody/rotary" }

func (n rotaryModel) Forward(b *nn.Builder) {
	const vocab, context, d, heads, groups, inner, epsilon = 23, 24, 8, 4, 2, 40, 1e-5
	width, normal := heads*d, graph.Normal(0.3)
	x := b.Embedding("embed", b.Tokens(context), vocab, width, normal) // (B,T,C)
	for i := range n.Layers {
		b := b.Scope(fmt.Sprintf("layers.%d", i))
		y := b.RMSNorm("input_norm", x, width, epsilon)
		q := b.Project("q", y, width, width, normal)
		k := b.Project("k", y, width, groups*d, normal)
		v := b.Project("v", y, width, groups*d, normal)
		attention := nn.Attention{Heads: heads, KVHeads: groups, Width: d, Causal: true, Rotary: &nn.Rotary{Theta: 10000}}
		x = b.Name("attended", b.Add(x, b.Project("o", b.Attention("attn", attention, q, k, v), width, width, normal)))
		y = b.RMSNorm("post_norm", x, width, epsilon)
		gate := b.SiLU(b.Project("gate", y, width, inner, normal))
		x = b.Name("out", b.Add(x, b.Project("down", b.Mul(gate, b.Project("up", y, width, inner, normal)), inner, width, normal)))
	}
	b.Logits(b.Project("head", b.RMSNorm("norm", x, width, epsilon), width, vocab, normal))
}

// rotaryFaultModel is faultModel for a network like Llama.
func rotaryFaultModel(t *testing.T) *model.Checkpoint {
	t.Helper()
	c, err := model.New(rotaryModel{2}, 3)
	if err != nil {
		t.Fatal(err)
	}
	random := model.NewStream(11, "faults")
	n := uint64(0)
	for _, w := range c.Weights {
		if !strings.Contains(w.Name, "norm") {
			continue
		}
		for i := 0; i < len(w.Data); i += 4 {
			x := 1 + float32(random.IntN(n, 2001)-1000)/4000
			n++
			binary.LittleEndian.PutUint32(w.Data[i:], math.Float32bits(x))
		}
	}
	return c
}

// faultModels are the models that faults are put into, by name.
func faultModels(t *testing.T) map[string]*model.Checkpoint {
	return map[string]*model.Checkpoint{"gpt2": faultModel(t, "gpt2"), "simple": faultModel(t, "simple"), "llama": rotaryFaultModel(t)}
}

// TestFilesAreProved: what export writes is identical by structure in every form,
// also if it is written otherwise.
func TestFilesAreProved(t *testing.T) {
	for name, c := range faultModels(t) {
		e := &exported{checkpoint: c}
		for form, f := range faultForms {
			m, data, err := encoded(c, f)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, form, err)
			}
			info, err := export.Describe(m)
			if err != nil {
				t.Fatal(err)
			}
			for _, way := range []string{"", "everything renamed", "nodes reordered", "constants as nodes", "identities", "terms swapped"} {
				if way != "" && !fixtures.Exhaustive() && form != "plain" && form != "cache" {
					continue
				}
				m, err := onnx.Decode(data)
				if err != nil {
					t.Fatal(err)
				}
				if way != "" {
					benign[way](m)
				}
				_, file, err := compareFile(e, "file.onnx", m, info)
				if err != nil {
					t.Fatal(err)
				}
				want := restsOnGraph
				switch {
				case form == "fused", f.Numbers().Quantize != "":
					want = restsOnExport
				case f.Numbers().DType != format.Invalid:
					want = restsOnRounds
				}
				if v := file.verdict; v.Layer != runtime.IdenticalLayer || v.RestsOn != want {
					t.Errorf("%s, %s, %s: %+v", name, form, way, v)
				}
			}
		}
	}
}

// A runtime believes value_info, so a fused file whose value_info is not what export writes
// is not proved by its nodes.
func TestFusedFilesDeclare(t *testing.T) {
	c := faultModel(t, "gpt2")
	e := &exported{checkpoint: c}
	m, data, err := encoded(c, faultForms["fused"])
	if err != nil {
		t.Fatal(err)
	}
	info, err := export.Describe(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []bool{false, true} {
		m, err := onnx.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if wrong {
			m.Graph.Values = append(m.Graph.Values, onnx.ValueInfo{Name: m.Graph.Nodes[3].Outputs[0], DataType: onnx.Float, Dims: []onnx.Dim{{Value: 1}, {Value: 4}, {Value: 8}}})
		}
		_, file, err := compareFile(e, "file.onnx", m, info)
		if err != nil {
			t.Fatal(err)
		}
		if proved := file.verdict.Layer == runtime.IdenticalLayer; proved == wrong {
			t.Errorf("with a wrong value_info %v: %+v", wrong, file.verdict)
		}
	}
}

// TestConditionsAreDifferences: faults that only certain inputs show are found by
// structure, before anything runs.
func TestConditionsAreDifferences(t *testing.T) {
	c := faultModel(t, "gpt2")
	e := &exported{checkpoint: c}
	for name, f := range runFaults {
		m, _, err := ExportModel(c, faultForms[f.form])
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range m.Graph.Initializers {
			x.Raw = slices.Clone(x.Raw)
		}
		f.apply(&surgeon{Model: m})
		info, err := export.Describe(m)
		if err != nil {
			t.Fatal(err)
		}
		checks, file, err := compareFile(e, "file.onnx", m, info)
		if err != nil {
			t.Fatal(err)
		}
		failed := slices.ContainsFunc(checks, func(c runtime.Check) bool { return c.Status == runtime.StatusFail })
		if file.verdict.Layer != "" || !failed {
			t.Errorf("%s: %+v, %+v", name, file.verdict, checks)
		}
	}
}
