package export

import (
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
)

// A fused file in the form that attnx wrote before rotations and norms were inside
// ONNX Runtime's operators is compared with that form, and one of today with
// today's.
func TestFormOfFusedFiles(t *testing.T) {
	c, err := model.New(arch.Llama{
		Vocab: 11, Context: 8, Width: 32, Inner: 16, Layers: 1, Heads: 2, KVHeads: 1, HeadWidth: 16, Activation: "silu", Epsilon: 1e-5,
		Rope: arch.Rope{Type: "default", Theta: 10000}, Tied: true,
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, apart := range []bool{false, true} {
		want := Cache{Opset: 21, Fuse: true, apart: apart}
		m, err := Model(c.Graph, c.Weights, want)
		if err != nil {
			t.Fatal(err)
		}
		if got := ProfileOf(m, Cache{}); got != want {
			t.Errorf("%+v, expected %+v", got, want)
		}
	}
}
