package attnx

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// ONNX Runtime's CPU has no product in bfloat16: such a file is right, and ONNX Runtime is unavailable for it. A wrong
// one fails all the same, by its structure and in the runtimes that run it.
func TestBFloat16HasNoKernelOnTheCPU(t *testing.T) {
	c := faultModel(t, "gpt2")
	m, _, err := ExportModel(c, export.Plain{DType: format.BFloat16})
	okay(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	verified := func(runtimes ...string) runtime.Report {
		okay(t, writeTo(path, m.Encode))
		r, err := Verify(t.Context(), c, []string{path}, VerifyOptions{Seed: 1, Budget: 60, Runtimes: runtimes})
		okay(t, err)
		return r
	}
	openvino := false
	for _, wrong := range []bool{false, true} {
		if wrong {
			w := m.Graph.Initializers[0]
			w.Raw = append([]byte{}, w.Raw...)
			for i := 1; i < len(w.Raw); i += 2 {
				w.Raw[i] ^= 0x80 // the sign
			}
		}
		r := verified()
		for _, x := range r.Results {
			switch {
			case x.Runtime == "ort-cpu" && (x.Status != runtime.StatusUnavailable || !strings.Contains(x.Reason, "has no kernel for ") && !strings.Contains(x.Reason, "runtime install")):
				t.Errorf("wrong %v: %s: %s, %s", wrong, x.Runtime, x.Status, x.Reason)
			case x.Runtime == "openvino" && x.Status != runtime.StatusUnavailable:
				openvino = true
				if want := map[bool]runtime.Status{false: runtime.StatusOK, true: runtime.StatusFail}[wrong]; x.Status != want {
					t.Errorf("wrong %v: %s: %s, %s", wrong, x.Runtime, x.Status, x.Reason)
				}
			}
		}
		if want := openvino && !wrong; (r.Verdict == runtime.Pass) != want || wrong && r.Files[0].Layer != runtime.DifferentLayer {
			t.Errorf("wrong %v: %s %s, %+v", wrong, r.Verdict, r.Reason, r.Files)
		}
	}
	if r := verified("ort-cpu"); r.Verdict != runtime.Fail {
		t.Errorf("asked for by name: %s", r.Verdict)
	}
}
