package attnx_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/runtime"
)

// A model so small that its file holds all weights is compared with the folder's
// configuration all the same.
func TestFolderWithoutWeightsFile(t *testing.T) {
	c := must(model.New(arch.GPT2{Vocab: 8, Context: 8, Width: 8, Layers: 1, Heads: 2, Inner: 8, Epsilon: 1e-5}, 1))
	run := filepath.Join(t.TempDir(), "tiny.safetensors")
	check(c.Save(run))
	dir := filepath.Join(t.TempDir(), "tiny") + string(filepath.Separator)
	must(attnx.Export(t.Context(), run, dir, attnx.ExportOptions{Profile: export.Cache{Quantize: precision.Int8}}))
	if m := must(onnx.Decode(must(os.ReadFile(dir + "model.onnx")))); m.HasExternal() {
		t.Fatal("the model has weights beside it")
	}
	failed := func() (bad []string, config bool) {
		r := must(attnx.Verify(t.Context(), c, []string{dir}, attnx.VerifyOptions{Runtimes: []string{"ref"}}))
		for _, check := range r.Checks {
			config = config || strings.HasSuffix(check.File, "config.json")
			if check.Status == runtime.StatusFail {
				bad = append(bad, filepath.Base(check.File))
			}
		}
		return bad, config
	}
	if bad, config := failed(); len(bad) > 0 || !config {
		t.Errorf("as it was exported: %v differ, configuration compared: %t", bad, config)
	}
	path := dir + "config.json"
	text := must(os.ReadFile(path))
	check(os.WriteFile(path, []byte(strings.Replace(string(text), `"n_head": 2`, `"n_head": 4`, 1)), 0o666))
	if now := must(os.ReadFile(path)); slices.Equal(now, text) {
		t.Fatalf("no head to change in %s", text)
	}
	if bad, _ := failed(); !slices.Equal(bad, []string{"config.json"}) {
		t.Errorf("with another number of heads: %v differ", bad)
	}
}
