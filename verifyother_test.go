package attnx_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
)

// written is a network that a test writes.
type written struct {
	name    string
	forward func(b *nn.Builder)
}

func (w written) Architecture() string  { return "test/" + w.name }
func (w written) Forward(b *nn.Builder) { w.forward(b) }

// Verify runs what a network has: one without a past is run without it, one
// without a context has texts all the same, and one without text has none.
func TestVerifyWhatANetworkHas(t *testing.T) {
	if _, err := library.FindOrInstall(context.Background(), "", nil); err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	normal := graph.Normal(0.3)
	attended := func(b *nn.Builder, x *graph.Value, a nn.Attention) *graph.Value {
		part := func(name string) *graph.Value { return b.Project(name, x, 16, 16, normal) }
		return b.Add(x, b.Attention("attn", a, part("q"), part("k"), part("v")))
	}
	for _, c := range []struct {
		network written
		past    bool
		scores  bool
	}{
		{written{"boundless", func(b *nn.Builder) {
			x := b.Embedding("embed", b.Tokens(0), 19, 16, normal)
			x = attended(b, x, nn.Attention{Heads: 2, Width: 8, Causal: true, Rotary: &nn.Rotary{Theta: 10000}})
			b.Logits(b.Project("head", x, 16, 19, normal))
		}}, true, true},
		{written{"encoder", func(b *nn.Builder) {
			x := b.Embedding("embed", b.Tokens(12), 19, 16, normal)
			x = attended(b, x, nn.Attention{Heads: 2, Width: 8})
			b.Logits(b.Project("head", b.ReduceMean(x, false, 1), 16, 5, normal)) // (B,V)
		}}, false, true},
		{written{"regression", func(b *nn.Builder) {
			x := b.InputFor(role.Of(role.Features), format.Float32, nn.B, graph.N(6))
			b.OutputFor(role.Of(role.Prediction), b.Linear("out", b.Tanh(b.Linear("in", x, 6, 16, normal)), 16, 2, normal))
		}}, false, false},
	} {
		t.Run(c.network.name, func(t *testing.T) {
			checkpoint, err := model.New(c.network, 3)
			if err != nil {
				t.Fatal(err)
			}
			report, err := attnx.Verify(t.Context(), checkpoint, nil, attnx.VerifyOptions{Seed: 1})
			if err != nil || report.Verdict != runtime.Pass {
				t.Fatalf("%+v, %v", report, err)
			}
			want := []string{"ref", "gorgonia", "ort-cpu", "openvino"}
			if c.past {
				want = []string{"ref", "gorgonia", "ort-cpu", "ort-cpu-cache (disabled)", "ort-cpu-cache (basic)", "ort-cpu-cache (all)",
					"openvino", "openvino-cache", "onnx-go"}
			}
			var ran []string
			for _, r := range report.Results {
				if strings.HasPrefix(r.Runtime, "ort-cuda") {
					continue
				}
				ran = append(ran, r.Runtime)
				if strings.HasPrefix(r.Runtime, "openvino") && r.Status == runtime.StatusUnavailable {
					continue
				}
				if r.Status != runtime.StatusOK || r.Cases == 0 || (r.ArgmaxChecked > 0) != c.scores {
					t.Errorf("%+v", r)
				}
			}
			if !slices.Equal(ran, want) {
				t.Errorf("ran %q, want %q", ran, want)
			}
			if c.past {
				return
			}
			// What is asked for by name must be there.
			report, err = attnx.Verify(t.Context(), checkpoint, nil, attnx.VerifyOptions{Seed: 1, Runtimes: []string{"ort-cpu-cache"}})
			if err != nil || report.Verdict != runtime.Fail || !strings.Contains(report.Results[0].Reason, "no cache of keys and values") {
				t.Errorf("a past that it does not have: %+v, %v", report, err)
			}
		})
	}
}

// A network that onnx-go's matrices cannot express is none of its faults: without its name onnx-go
// is left out, and with it the verdict fails.
func TestVerifyWithoutAFlatForm(t *testing.T) {
	normal := graph.Normal(0.3)
	checkpoint, err := model.New(written{"erf", func(b *nn.Builder) {
		x := b.Gelu(b.Embedding("embed", b.Tokens(12), 19, 16, normal))
		part := func(name string) *graph.Value { return b.Project(name, x, 16, 16, normal) }
		x = b.Add(x, b.Attention("attn", nn.Attention{Heads: 2, Width: 8, Causal: true}, part("q"), part("k"), part("v")))
		b.Logits(b.Project("head", x, 16, 19, normal))
	}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		named   []string
		verdict runtime.Verdict
	}{{nil, runtime.Pass}, {[]string{"ref", "onnx-go"}, runtime.Fail}} {
		if c.named == nil {
			if _, err := library.FindOrInstall(context.Background(), "", nil); err != nil {
				continue // nothing but Go's own would run
			}
		}
		report, err := attnx.Verify(t.Context(), checkpoint, nil, attnx.VerifyOptions{Seed: 1, Budget: 100, Runtimes: c.named})
		if err != nil || report.Verdict != c.verdict {
			t.Fatalf("%q: %+v, %v", c.named, report, err)
		}
		at := slices.IndexFunc(report.Results, func(r runtime.Result) bool { return r.Runtime == "onnx-go" })
		if at < 0 || report.Results[at].Status != runtime.StatusUnavailable || !strings.Contains(report.Results[at].Reason, "(Erf)") {
			t.Errorf("%q: %+v", c.named, report.Results)
		}
	}
}
