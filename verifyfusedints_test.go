package attnx

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/runtime"
)

// Verify runs a fused file with integer weights: it passes if ONNX Runtime computes what its
// integers give in float64, and fails if ONNX Runtime cannot run it, although nothing else
// is wrong with it.
func TestVerifyFusedIntegers(t *testing.T) {
	library, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	c, err := model.New(arch.Llama{Vocab: 23, Context: 16, Width: 32, Inner: 64, Layers: 1, Heads: 2, KVHeads: 1, HeadWidth: 16, Activation: "silu", Epsilon: 1e-5,
		Rope: arch.Rope{Type: "default", Theta: 10000}}, 3)
	okay(t, err)
	for _, q := range []precision.Quantize{precision.Int8, precision.Int4} {
		m, _, err := ExportModel(c, export.Cache{Fuse: true, Quantize: q})
		okay(t, err)
		for _, named := range []string{"", "ort-cpu-cache"} {
			if named == "" && !fixtures.Exhaustive() {
				continue // the runtimes run the network too
			}
			t.Run(fmt.Sprintf("%s %s", q, named), func(t *testing.T) {
				o := VerifyOptions{Library: library, Budget: 20}
				if named != "" {
					o.Runtimes = []string{named}
				}
				verify := func(m *onnx.Model) (runtime.Report, []runtime.Result) {
					path := filepath.Join(t.TempDir(), "fused.onnx")
					okay(t, writeTo(path, m.Encode))
					report, err := Verify(t.Context(), c, []string{path}, o)
					okay(t, err)
					var ran []runtime.Result
					for _, x := range report.Results {
						if x.File == path && x.Status != runtime.StatusUnavailable {
							ran = append(ran, x)
						}
					}
					for _, k := range report.Checks {
						if strings.Contains(k.Reason, "no runtime here ran it") {
							t.Errorf("%+v beside %+v", k, ran)
						}
					}
					return report, ran
				}
				report, ran := verify(m)
				if report.Verdict != runtime.Pass || len(ran) == 0 {
					t.Errorf("%s: %+v", report.Reason, report.Results)
				}
				for _, x := range ran {
					if x.Status != runtime.StatusOK || x.Cases < 12 || x.Against != "its integers in float64" {
						t.Errorf("%+v", x)
					}
				}
				bad := *m
				graph := *m.Graph
				bad.Graph, graph.Nodes = &graph, nil
				for _, n := range m.Graph.Nodes {
					if n.Op == "GroupQueryAttention" {
						other := *n
						other.Attributes = append([]onnx.Attribute{}, n.Attributes...)
						for i, a := range other.Attributes {
							if a.Name == "num_heads" {
								other.Attributes[i] = onnx.IntAttr("num_heads", 3)
							}
						}
						n = &other
					}
					graph.Nodes = append(graph.Nodes, n)
				}
				if report, ran := verify(&bad); report.Verdict != runtime.Fail || len(ran) == 0 || ran[0].Status != runtime.StatusFail {
					t.Errorf("%s: %+v", report.Reason, report.Results)
				}
			})
		}
	}
}
