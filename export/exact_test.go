package export_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// Weights from blocks of Q4_0 and Q8_0 become the same integers again: what
// MatMulNBits reads has the bits of what gguf reads. Other weights are kept.
func TestIntegersStay(t *testing.T) {
	c, err := model.New(arch.Llama{
		Vocab: 96, Context: 16, Width: 64, Inner: 96, Layers: 2, Heads: 4, KVHeads: 2, HeadWidth: 16,
		Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 10000},
	}, 3)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]gguf.Type{"layers.0.mlp.up_proj.weight": gguf.Q4_0, "layers.0.self_attn.q_proj.weight": gguf.Q8_0, "lm_head.weight": gguf.Q4_0}
	want := map[string][]byte{}
	for i, w := range c.Weights {
		typ, ok := types[w.Name]
		if !ok {
			continue
		}
		x, err := gguf.Encode(w, typ)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, len(w.Data)/4)
		if err := gguf.Dequantize(typ, values, x.Data); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, len(w.Data))
		for k, v := range values {
			binary.LittleEndian.PutUint32(data[4*k:], math.Float32bits(v))
		}
		c.Weights[i].Data, want[w.Name] = data, data
	}
	form := precision.Form{Quantize: precision.Int4}
	if form.Keep, err = form.KeepExact(c.Graph, c.Weights); err != nil {
		t.Fatal(err)
	}
	bits := form.Keep.Bits()
	for name, want := range map[string]int{"layers.0.mlp.up_proj.weight": 0, "lm_head.weight": 0, "layers.0.self_attn.q_proj.weight": 8, "layers.1.mlp.up_proj.weight": 32} {
		if bits[name] != want {
			t.Errorf("%s keeps %d bits, expected %d", name, bits[name], want)
		}
	}
	layers, err := form.Layers(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		if want[l.Name] == nil {
			continue
		}
		values := l.Choices[0].Values
		if bits[l.Name] == 8 {
			values = l.Choices[1].Values
		}
		var got bytes.Buffer
		for _, v := range values {
			binary.Write(&got, binary.LittleEndian, v+0) // -0 is 0
		}
		if !bytes.Equal(got.Bytes(), unsigned(want[l.Name])) {
			t.Errorf("%s has other numbers", l.Name)
		}
		delete(want, l.Name)
	}
	if len(want) > 0 {
		t.Errorf("not found: %d", len(want))
	}
	m, numbers, err := export.Convert(c.Graph, c.Weights, export.Plain{Quantize: precision.Int4, Keep: form.Keep}, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, node := range m.Graph.Nodes {
		if node.Domain == onnx.Microsoft && node.Op == "MatMulNBits" {
			n++
		}
	}
	if n != 3 || numbers.Weights != 3 || numbers.Error != 0 {
		t.Errorf("%d products of integers, %d weights, an error of %g", n, numbers.Weights, numbers.Error)
	}
}

// A table that is also the head is in 4 bits where these hold it exactly, whole blocks
// or not: the integers, the rows that are looked up and the logits are those of the
// table. Any other table has 8 bits.
func TestIntegersOfATable(t *testing.T) {
	const name, rows = "embed_tokens.weight", 96
	for _, width := range []int{64, 40} {
		c, err := model.New(arch.Llama{
			Vocab: rows, Context: 16, Width: width, Inner: 96, Layers: 1, Heads: 2, KVHeads: 1, HeadWidth: width / 2,
			Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 10000}, Tied: true,
		}, 3)
		if err != nil {
			t.Fatal(err)
		}
		table := slices.IndexFunc(c.Weights, func(w format.Tensor) bool { return w.Name == name })
		written := func(keep precision.Keep) (*onnx.Model, *onnx.Node) {
			m, _, err := export.Convert(c.Graph, c.Weights, export.Plain{Quantize: precision.Int4, Keep: keep}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return m, m.Graph.Nodes[slices.IndexFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Outputs[0] == "logits" })]
		}
		attribute := func(n *onnx.Node, name string) *int64 {
			return &n.Attributes[slices.IndexFunc(n.Attributes, func(a onnx.Attribute) bool { return a.Name == name })].Int
		}
		if _, head := written(""); *attribute(head, "bits") != 8 {
			t.Errorf("width %d: a table of any numbers has %d bits", width, *attribute(head, "bits"))
		}
		values := make([]float32, rows*width)
		for i := range values {
			values[i] = float32((7*i+i/width)%16-8) / 64
		}
		c.Weights[table] = format.FromFloat32s(name, []int{rows, width}, values)
		if _, head := written(precision.KeepOf(map[string]int{name: 8})); *attribute(head, "bits") != 8 {
			t.Errorf("width %d: a table that is kept in 8 bits has %d", width, *attribute(head, "bits"))
		}
		keep, err := precision.Form{Quantize: precision.Int4}.KeepExact(c.Graph, c.Weights)
		if err != nil {
			t.Fatal(err)
		}
		m, head := written(keep) // the other weights are as they were
		if *attribute(head, "bits") != 4 {
			t.Fatalf("width %d: a table of integers has %d bits", width, *attribute(head, "bits"))
		}
		stored := map[string]*onnx.Tensor{}
		for _, w := range m.Graph.Initializers {
			stored[w.Name] = w
		}
		whole, scales := stored[name+".blocks"].Raw, stored[name+".scale"].Raw
		blocks := (width + 31) / 32
		for i, want := range values {
			row, k := i/width, i%width
			block := row*blocks + k/32
			half := whole[block*16+k%32/2] >> (4 * (k % 2)) & 15
			scale := math.Float32frombits(binary.LittleEndian.Uint32(scales[4*block:]))
			if got := (float32(half) - 8) * scale; got != want {
				t.Fatalf("width %d: the file has %g at %d of row %d, the table %g", width, got, k, row, want)
			}
		}

		looked := ""
		for _, n := range c.Graph.Nodes {
			if _, ok := n.Op.(graph.Gather); ok && n.Args[0].Name == name {
				looked = n.Name()
			}
		}
		m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: looked, DataType: onnx.Float, NoShape: true})
		*attribute(head, "accuracy_level") = 1 // float32: as written, the kernel rounds activations to 8 bits
		inputs := runtime.NewCase(2, 7, rows, 1).Inputs()
		got := run(t, open(t, m), inputs)
		found, err := got[looked].AsFloat64s()
		if err != nil {
			t.Fatal(err)
		}
		ids, err := inputs[m.Graph.Inputs[0].Name].AsFloat64s()
		if err != nil || len(found) != len(ids)*width {
			t.Fatalf("%v: %d numbers of %d rows", err, len(found), len(ids))
		}
		for i, v := range found {
			if want := values[int(ids[i/width])*width+i%width]; v != float64(want) {
				t.Fatalf("width %d: row %g has %g at %d, the table %g", width, ids[i/width], v, i%width, want)
			}
		}
		want := run(t, oracle(t, c.Graph, c.Weights), inputs)["logits"]
		if d := runtime.CompareWithin(1e-4, want, got["logits"]); !d.Within {
			t.Errorf("width %d: %v", width, d.FirstBad)
		}
	}
}

// unsigned returns float32s with 0 for -0.
func unsigned(b []byte) []byte {
	out := bytes.Clone(b)
	for i := 0; i < len(out); i += 4 {
		if binary.LittleEndian.Uint32(out[i:]) == 1<<31 {
			out[i+3] = 0
		}
	}
	return out
}
