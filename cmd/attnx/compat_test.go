package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime/ort/library"
)

// versions are the commits whose files stay readable; fixtures/README.md says
// how each was made.
func versions(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("../../fixtures/compat/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no files of earlier versions: %v", err)
	}
	return folders
}

// metrics returns the losses of the steps in a file of metrics.
func metrics(t *testing.T, file string) map[int]float64 {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	losses := map[int]float64{}
	for line := range bytes.Lines(text) {
		var m struct {
			Step int
			Loss float64
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		losses[m.Step] = m.Loss
	}
	return losses
}

// Runs of earlier versions are read and resumed: their steps go on as they did
// in the version that began them.
func TestEarlierRuns(t *testing.T) {
	for _, version := range versions(t) {
		for _, name := range []string{"gpt2", "simple"} {
			run := filepath.Join(t.TempDir(), "run")
			if err := os.CopyFS(run, os.DirFS(filepath.Join(version, name))); err != nil {
				t.Fatal(err)
			}
			if said := attnxRun(t, exitOK, "inspect", run); !strings.Contains(said, `"model_type":"`+name+`"`) {
				t.Errorf("%s: inspect says %s", run, said)
			}
			attnxRun(t, exitOK, "generate", run, "--prompt", "not like", "--max-tokens", "2")
			attnxRun(t, exitOK, "train", "--resume", run, "--data", filepath.Join(version, "text.txt"), "--steps", "12", "--engine", "gorgonia")
			got := metrics(t, filepath.Join(run, "metrics.jsonl"))
			for step, want := range metrics(t, filepath.Join(version, name+"-resumed.jsonl")) {
				// One bit of float32, which processors may round otherwise, comes to
				// 1e-7 in a step; there are six.
				if !(math.Abs(got[step]-want) <= 1e-5*want) {
					t.Errorf("%s, step %d: loss %.9g, that version has %.9g", run, step, got[step], want)
				}
			}
			c, err := model.Load(filepath.Join(run, "step-00000012.safetensors"))
			if err != nil || c.Graph == nil {
				t.Errorf("%s: saved again: %v", run, err)
			}
		}
	}
}

// ONNX files of earlier versions are read and verified, and write the text that
// their checkpoint writes.
func TestEarlierONNX(t *testing.T) {
	path, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(library.EnvLibrary, path)
	for _, version := range versions(t) {
		for _, name := range []string{"gpt2", "simple"} {
			run := filepath.Join(version, name)
			want := attnxRun(t, exitOK, "generate", run, "--prompt", "not like", "--max-tokens", "2", "-q")
			for profile, runtimes := range map[string]string{"plain": "ort-cpu", "cache": "ort-cpu-cache"} {
				file := filepath.Join(version, name+"-"+profile+".onnx")
				said := attnxRun(t, exitOK, "verify", run, file, "--runtimes", runtimes)
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				withoutGraph := !bytes.Contains(data, []byte(model.MetaGraph))
				if strings.Contains(said, "an earlier version of attnx wrote the file") != withoutGraph {
					t.Errorf("%s: verify says %s", file, said)
				}
				if got := attnxRun(t, exitOK, "generate", file, "--prompt", "not like", "--max-tokens", "2", "-q"); got != want {
					t.Errorf("%s continues with %q, its checkpoint with %q", file, got, want)
				}
			}
		}
	}
}
