package attnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/runtime"
)

// TestVerifyQuantized: files with integer weights are within their derived bounds in each
// runtime, not far below them, and beyond them if a scale is another one.
func TestVerifyQuantized(t *testing.T) {
	for name, c := range faultModels(t) {
		for _, p := range []export.Profile{
			export.Plain{Quantize: precision.Int8}, export.Plain{Quantize: precision.Int4},
			export.Cache{Quantize: precision.Int8}, export.Cache{Quantize: precision.Int4},
		} {
			if !fixtures.Exhaustive() && (name != "gpt2" || isCache(p)) {
				continue
			}
			t.Run(fmt.Sprintf("%s %s %s", name, p.Name(), p.Numbers().Quantize), func(t *testing.T) {
				m, _, err := ExportModel(c, p)
				okay(t, err)
				path := filepath.Join(t.TempDir(), "model.onnx")
				verified := func() runtime.Report {
					okay(t, writeTo(path, m.Encode))
					runtimes := []string{"ort-cpu"}
					if isCache(p) {
						runtimes[0] += "-cache"
					}
					r, err := Verify(t.Context(), c, []string{path}, VerifyOptions{Seed: 3, Budget: 300, Runtimes: runtimes})
					okay(t, err)
					return r
				}
				r, ran := verified(), 0
				for _, x := range r.Results {
					if x.Status == runtime.StatusUnavailable {
						t.Skip(x.Reason)
					}
					if x.File == "" {
						continue
					}
					ran++
					t.Logf("%s: max abs %.2g, bound/error %.2f", x.Runtime, float64(x.MaxAbs), float64(x.BoundRatio))
					if x.Status != runtime.StatusOK || x.BoundRatio < 1.2 || x.BoundRatio > 50 {
						t.Errorf("%s: %+v", x.Runtime, x)
					}
				}
				if r.Verdict != runtime.Pass || ran == 0 || r.Files[0].Layer != runtime.IdenticalLayer {
					t.Errorf("%s %s, %d runs, %+v", r.Verdict, r.Reason, ran, r.Files)
				}
				for _, x := range m.Graph.Initializers {
					if strings.HasSuffix(x.Name, ".scale") && x.DataType == onnx.Float {
						x.Raw = append([]byte{}, x.Raw...)
						for i := 0; i < len(x.Raw); i += 4 {
							s := math.Float32frombits(binary.LittleEndian.Uint32(x.Raw[i:]))
							binary.LittleEndian.PutUint32(x.Raw[i:], math.Float32bits(1.25*s))
						}
						break
					}
				}
				bad := verified()
				for _, x := range bad.Results {
					if x.File != "" && x.Status != runtime.StatusFail {
						t.Errorf("with another scale: %s: %+v", x.Runtime, x)
					}
				}
				if bad.Verdict != runtime.Fail || bad.Files[0].Layer != runtime.DifferentLayer {
					t.Errorf("with another scale: %s, %+v", bad.Verdict, bad.Files)
				}
			})
		}
	}
}

// Of a file with its cache in integers that no runtime of those that were asked for runs, the report says
// which one to ask for.
func TestQuantizedSaysWhatToAskFor(t *testing.T) {
	c := faultModels(t)["gpt2"]
	m, _, err := ExportModel(c, export.Cache{Quantize: precision.Int8})
	okay(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	okay(t, writeTo(path, m.Encode))
	r, err := Verify(t.Context(), c, []string{path}, VerifyOptions{Seed: 3, Budget: 50, Runtimes: []string{"ort-cpu"}})
	okay(t, err)
	for _, x := range r.Results {
		if x.Status == runtime.StatusUnavailable {
			t.Skip(x.Reason)
		}
	}
	for _, k := range r.Checks {
		if k.Part == "initializers" && !strings.HasSuffix(k.Reason, "and no runtime that was asked for runs it: ask for ort-cpu-cache") {
			t.Errorf("%+v", k)
		}
	}
}
