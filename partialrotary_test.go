package attnx_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/runtime"
)

// ONNX Runtime runs fused files whose heads are rotated in part, by any number of
// angles: its operator rotates heads of a multiple of 16 elements by a multiple of 8
// angles, and the other files rotate before it.
func TestFusedPartialRotary(t *testing.T) {
	o := onnxRuntime(t)
	for i, n := range []struct {
		head    int
		partial float64
		inside  bool // the operator rotates
	}{
		{16, 0.5, false},
		{80, 0.25, false},
		{24, 2. / 3, false},
		{16, 1, true},
		{64, 0.25, true},
		{96, 0.25, false}, // from here on exhaustive
		{24, 1, false},
		{80, 0.4, true},
	} {
		if i > 4 && !fixtures.Exhaustive() {
			continue
		}
		t.Run(fmt.Sprintf("%d of %d angles", int(float64(n.head)*n.partial+0.5)/2, n.head/2), func(t *testing.T) {
			c := must(model.New(arch.GPTNeoX{
				Vocab: 23, Context: 4, Width: 2 * n.head, Inner: 48, Layers: 1, Heads: 2, Activation: "gelu", Epsilon: 1e-5,
				Rope: arch.Rope{Type: "default", Theta: 10000, Partial: n.partial}, Bias: true, Parallel: true,
			}, 3))
			m, _, err := attnx.ExportModel(c, export.Cache{Fuse: true})
			check(err)
			operators, inside := map[string]bool{}, false
			for _, x := range m.Graph.Nodes {
				operators[x.Op] = true
				for _, in := range x.Inputs {
					inside = inside || x.Op == "GroupQueryAttention" && strings.Contains(in, ".cos")
				}
			}
			if !operators["GroupQueryAttention"] || inside != n.inside {
				t.Errorf("the operator rotates: %t, in %v", inside, operators)
			}
			path := filepath.Join(t.TempDir(), "fused.onnx")
			f := must(os.Create(path))
			check(m.Encode(f))
			check(f.Close())
			report := must(attnx.Verify(t.Context(), c, []string{path}, attnx.VerifyOptions{Library: o.Library, Runtimes: []string{"ort-cpu-cache"}, Budget: 1}))
			if r := report.Results[0]; report.Verdict != runtime.Pass || r.Cases == 0 || r.Cases != report.Cases {
				t.Errorf("%s: %+v", report.Reason, report.Results)
			}
		})
	}
}
