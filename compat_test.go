package attnx

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

// versions are the commits whose files stay readable; fixtures/README.md says
// how each was made.
func versions(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("fixtures/compat/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no files of earlier versions: %v", err)
	}
	return folders
}

// An ONNX file of an earlier version is compared by attributes and weights like
// any other: only the causal mask, which those versions cut from a constant, is
// left to the runs. So a file that pretends to be of one hides nothing.
func TestFaultsOfEarlierFiles(t *testing.T) {
	ofMask := []string{"causal_mask", "const.-1e+09", "const.0", "zero"}
	for _, version := range versions(t) {
		for _, name := range []string{"gpt2", "simple"} {
			c, err := model.Load(filepath.Join(version, name, "step-00000006.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			for _, profile := range []string{"plain", "cache"} {
				file := filepath.Join(version, name+"-"+profile+".onnx")
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				m, err := onnx.Decode(data)
				if err != nil {
					t.Fatal(err)
				}
				info, err := export.Describe(m)
				if err != nil {
					t.Fatal(err)
				}
				tried, stride := 0, fixtures.Stride(3)
				for i, a := range alterations(m) {
					if i%stride != 0 {
						continue
					}
					of, bit := strings.CutPrefix(a.name, "the lowest bit of ")
					attribute := strings.HasPrefix(a.name, "attribute ")
					if !bit && !attribute || slices.Contains(ofMask, of) || strings.HasPrefix(of, "int64.") {
						continue
					}
					altered, err := onnx.Decode(data)
					if err != nil {
						t.Fatal(err)
					}
					a.apply(altered)
					checks, compared, err := compareFile(&exported{checkpoint: c}, file, altered, info)
					if err != nil {
						t.Fatal(err)
					}
					if tried++; sizeAlone(a.name) && compared.verdict.Layer == runtime.IdenticalLayer {
						continue // the end of a Shape beyond the last dimension
					}
					if !slices.ContainsFunc(checks, func(c runtime.Check) bool { return c.Status == runtime.StatusFail }) {
						t.Errorf("%s, %s: not seen: %+v", file, a.name, checks)
					}
				}
				if tried < 20/stride {
					t.Errorf("%s: %d faults only", file, tried)
				}
			}
		}
	}
}
