package attnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
)

// TestNoAlarmOnRandomNetworks verifies exports of random networks, of 1 to 12 layers,
// with weights of a tenth to ten times the usual size, and single keys 50 times larger. None
// fails: where roundings are not small it is not certified.
func TestNoAlarmOnRandomNetworks(t *testing.T) {
	lib, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(library.EnvLibrary, lib)
	n := 6
	if fixtures.Exhaustive() {
		n = 200
	}
	count := map[runtime.Status]int{}
	least := math.Inf(1)
	for seed := range n {
		c, what := randomNetwork(t, uint64(seed))
		report, err := Verify(t.Context(), c, nil, VerifyOptions{Runtimes: []string{"ort-cpu"}, Budget: 64, Seed: uint64(seed)})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		x := report.Results[0]
		count[x.Status]++
		if x.Status != runtime.StatusOK && x.Status != runtime.StatusUncertified {
			t.Errorf("seed %d, %s: %+v", seed, what, x)
		}
		if x.Status == runtime.StatusOK {
			least = min(least, float64(x.BoundRatio))
		} else {
			t.Logf("seed %d, %s: %s", seed, what, x.Reason)
		}
	}
	t.Logf("%v; the bound is at least %.2f times the error", count, least)
	if 4*count[runtime.StatusOK] < 3*n {
		t.Errorf("only %d of %d are certified", count[runtime.StatusOK], n)
	}
}

// randomNetwork returns a network with random sizes and weights.
func randomNetwork(t *testing.T, seed uint64) (*model.Checkpoint, string) {
	t.Helper()
	r := model.NewStream(seed, "networks")
	at := uint64(0)
	draw := func(n int) int { at++; return r.IntN(at, n) }
	layers := 1 + draw(12)
	if !fixtures.Exhaustive() {
		layers = 1 + layers%4
	}
	heads := 1 + draw(3)
	width := heads * 8 * (1 + draw(2))
	var net nn.Network
	switch draw(3) {
	case 0:
		net = arch.Simple{Vocab: 31, Context: 24, Heads: heads, Width: width, Inner: 2 * width, Positions: true}
	case 1:
		net = arch.Llama{Vocab: 31, Context: 24, Width: width, Inner: 2 * width, Layers: layers, Heads: heads, KVHeads: heads, HeadWidth: width / heads, Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 10000}}
	default:
		net = arch.GPT2{Vocab: 31, Context: 24, Layers: layers, Heads: heads, Width: width, Inner: 4 * width, Epsilon: 1e-5}
	}
	c, err := model.New(net, seed+1)
	if err != nil {
		t.Fatal(err)
	}
	scale := math.Pow(10, float64(draw(2001))/1000-1)
	for _, w := range c.Weights {
		by := scale
		if len(w.Shape) < 2 {
			by = 1
		}
		key := strings.Contains(w.Name, "k_proj") || strings.Contains(w.Name, "key")
		for i := 0; i < len(w.Data); i += 4 {
			x := by * float64(math.Float32frombits(binary.LittleEndian.Uint32(w.Data[i:])))
			if (key || strings.Contains(w.Name, "c_attn.bias")) && draw(40) == 0 {
				x = float64(draw(101) - 50)
			}
			binary.LittleEndian.PutUint32(w.Data[i:], math.Float32bits(float32(x)))
		}
	}
	return c, fmt.Sprintf("%s of %d layers, weights times %.3g", net.Architecture(), layers, scale)
}
