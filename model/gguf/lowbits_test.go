package gguf

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ref"
)

// Integers that stay as a file has them stand for the numbers that Read gives, to the
// bit: those are held to the package gguf's. A checkpoint keeps them.
func TestLowBitsAreTheFile(t *testing.T) {
	c, err := model.New(arch.Llama{Vocab: 40, Context: 32, Width: 64, Inner: 96, Layers: 2, Heads: 4, KVHeads: 2, HeadWidth: 16, Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 1e4}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []blocks.Type{blocks.Q4_0, blocks.Q8_0} {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if _, err := Write(path, c, typ); err != nil {
			t.Fatal(err)
		}
		plain, _, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		low, _, err := ReadLowBits(path)
		if err != nil {
			t.Fatal(err)
		}
		saved := filepath.Join(t.TempDir(), "m.safetensors")
		if err := low.Save(saved); err != nil {
			t.Fatal(err)
		}
		again, err := model.Load(saved)
		if err != nil {
			t.Fatal(err)
		}
		if again.Weights.Hash() != low.Weights.Hash() || fmt.Sprint(again.LowBits) != fmt.Sprint(low.LowBits) {
			t.Errorf("%s: the checkpoint has other weights", typ)
		}
		wide, err := again.Expanded()
		if err != nil {
			t.Fatal(err)
		}
		if len(low.LowBits) < 14 || wide.Weights.Hash() != plain.Weights.Hash() || graph.Fingerprint(wide.Graph) != graph.Fingerprint(plain.Graph) {
			t.Errorf("%s: %d weights are integers, and stand for other numbers", typ, len(low.LowBits))
		}
		a, err := low.Parameters()
		b, _ := plain.Parameters()
		if err != nil || a != b {
			t.Errorf("%s: %d parameters, not %d: %v", typ, a, b, err)
		}
		ids := []int64{3, 1, 4, 1, 5, 9}
		x, y := logits(t, low, ids), logits(t, plain, ids)
		for i := range x {
			if x[i] != y[i] {
				t.Fatalf("%s: logit %d is %g, with float32 weights %g", typ, i, x[i], y[i])
			}
		}
		rounded, err := Quantized(c, low.LowBits[0].Bits)
		if err != nil {
			t.Fatal(err)
		}
		if wide, err = rounded.Expanded(); err != nil {
			t.Fatal(err)
		}
		byName := map[string]format.Tensor{}
		for _, w := range plain.Weights {
			byName[w.Name] = w
		}
		for _, l := range rounded.LowBits {
			for _, w := range wide.Weights {
				if w.Name == l.Weight && string(w.Data) != string(byName[w.Name].Data) {
					t.Errorf("%s: %s is rounded to other numbers", typ, w.Name)
				}
			}
		}
	}
}

// Blocks of Q4_1, which have offsets, stand for what Dequantize says.
func TestLowBitsWithOffsets(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 4*3*20) // (4,96)
	for i := range data {
		if data[i] = byte(draw.Uint32()); i%20 == 1 || i%20 == 3 { // the exponents of finite scales and offsets
			data[i] = data[i]&0x83 | 0x28
		}
	}
	want := make([]float32, 4*96)
	if err := blocks.Dequantize(blocks.Q4_1, want, data); err != nil {
		t.Fatal(err)
	}
	b := graph.NewBuilder()
	b.Output("w", b.Identity(b.Param("w", graph.Init{}, 4, 96)))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	kept := lowBits{}
	if err := kept.add("w", blocks.Q4_1, data); err != nil {
		t.Fatal(err)
	}
	low, err := kept.in(&model.Checkpoint{Graph: g, Weights: model.NewWeights(g, 1)})
	if err != nil {
		t.Fatal(err)
	}
	wide, err := low.Expanded()
	if err != nil {
		t.Fatal(err)
	}
	got, err := wide.Weights[0].Float32s()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %v\n%v", err, got, want)
	}
	o, err := ref.New(low.Graph, low.Weights)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	out, err := o.Run(nil)
	if err != nil {
		t.Fatal(err)
	}
	computed, _ := out["w"].AsFloat64s()
	for i, x := range computed {
		if float32(x) != want[i] {
			t.Fatalf("element %d is %g, expected %g", i, x, want[i])
		}
	}
}
