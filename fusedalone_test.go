package attnx_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
)

// A file whose cache is one buffer verifies alone, whatever its numbers are and whatever
// its inputs are called: the cases are those that ONNX Runtime's operator takes. A
// runtime whose cache grows is not asked.
func TestVerifyFusedFileAlone(t *testing.T) {
	o := onnxRuntime(t)
	verify := func(path, name string) runtime.Report {
		return must(attnx.VerifyONNX(t.Context(), []string{path}, attnx.VerifyOptions{Library: o.Library, Runtimes: []string{name}}))
	}
	write := func(m *onnx.Model) string {
		path := filepath.Join(t.TempDir(), "fused.onnx")
		f := must(os.Create(path))
		defer f.Close()
		check(m.Encode(f))
		return path
	}
	networks := map[string]nn.Network{
		"gpt2":  arch.GPT2{Vocab: 23, Context: 16, Layers: 2, Heads: 2, Width: 16, Inner: 48, Epsilon: 1e-5},
		"llama": smallLlama(23),
	}
	for name, n := range networks {
		c := must(model.New(n, 3))
		for numbers, p := range map[string]export.Cache{
			"float32":          {Fuse: true},
			"float16":          {Fuse: true, DType: format.Float16},
			"int4":             {Fuse: true, Quantize: precision.Int4},
			"float16 and int4": {Fuse: true, DType: format.Float16, Quantize: precision.Int4},
		} {
			for _, named := range []bool{true, false} {
				t.Run(fmt.Sprint(name, " ", numbers, ", named: ", named), func(t *testing.T) {
					m := must(export.Model(c.Graph, c.Weights, p))
					if !named {
						nameless(m)
					}
					path := write(m)
					report := verify(path, "ort-cpu")
					if report.Verdict != runtime.Pass {
						t.Errorf("%s: %+v", report.Reason, report.Results)
					}
					for _, r := range report.Results {
						if r.Cases != report.Cases {
							t.Errorf("%s ran %d cases of %d", r.Runtime, r.Cases, report.Cases)
						}
					}
					if !named || numbers != "float32" {
						return
					}
					r := verify(path, "openvino").Results[0]
					if r.Status != runtime.StatusUnavailable || !strings.Contains(r.Reason, "one buffer") && !strings.Contains(r.Reason, "runtime install") {
						t.Errorf("%+v", r)
					}
				})
			}
		}
	}
}

// nameless gives every input and dimension a name that says nothing.
func nameless(m *onnx.Model) {
	as, dims := map[string]string{}, map[string]string{}
	for i := range m.Graph.Inputs {
		in := &m.Graph.Inputs[i]
		as[in.Name] = fmt.Sprint("x", i)
		in.Name = as[in.Name]
		for axis, d := range in.Dims {
			if d.Open && dims[d.Param] == "" {
				dims[d.Param] = fmt.Sprint("n", len(dims))
			}
			in.Dims[axis].Param = dims[d.Param]
		}
	}
	for _, out := range m.Graph.Outputs {
		for axis, d := range out.Dims {
			out.Dims[axis].Param = dims[d.Param]
		}
	}
	for _, n := range m.Graph.Nodes {
		for i, in := range n.Inputs {
			if to, ok := as[in]; ok {
				n.Inputs[i] = to
			}
		}
	}
}
