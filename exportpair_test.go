package attnx

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
)

// The folder of a network that translates has its parts in a file each, with
// optimum's names and its order of keys and values, and the weights once.
func TestPairFolder(t *testing.T) {
	dir := filepath.Join("fixtures", "translators")
	made := readTranslators(t, dir)
	var folders []string
	for _, c := range made.Cases {
		m, _, err := huggingface.Read(filepath.Join(dir, c.Name))
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(t.TempDir(), "pair")
		if _, err := ExportCheckpoint(context.Background(), m, folder+string(filepath.Separator), ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
		again, _, err := huggingface.Read(folder)
		if err != nil || again.Weights.Hash() != m.Weights.Hash() {
			t.Errorf("%s: the folder holds another model: %v", c.Name, err)
		}
		if r, err := verifyPair(context.Background(), m, folder, VerifyOptions{Budget: 2000}); err != nil || r.Verdict != "pass" || len(r.Files) != 3 {
			t.Errorf("%s: %s %s, %v", c.Name, r.Verdict, r.Reason, err)
		}
		past := func(k role.Kind) string { return role.Layered(k, 0).Name() }
		mask, states, tokens := role.SourceMask.Name(), role.SourceStates.Name(), role.Tokens.Name()
		for file, want := range map[string][]string{
			encoderFile: {tokens, role.AttentionMask.Name()},
			firstFile:   {mask, tokens, states},
			nextFile:    {mask, tokens, past(role.PastTargetKey), past(role.PastTargetValue), past(role.PastSourceKey), past(role.PastSourceValue)},
		} {
			data, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Fatal(err)
			}
			f, err := onnx.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, in := range f.Graph.Inputs {
				got = append(got, in.Name)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s has the inputs %q, optimum expects %q", c.Name, file, got, want)
			}
			if w, err := bundle.WeightsOf(filepath.Join(folder, file), f); err != nil || filepath.Base(w.Path) != huggingface.WeightsName || w.Verify(context.Background()) != nil {
				t.Errorf("%s: %s: weights %q, %v", c.Name, file, w.Path, err)
			}
		}
	}
	python := os.Getenv("ATTNX_PYTHON_OPTIMUM")
	if python == "" {
		return
	}
	var opened []map[string][2][][]int64
	cmd := exec.Command(python, append([]string{filepath.Join("fixtures", "oracle", "huggingface_seq2seq.py"), "--optimum"}, folders...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &opened)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, of := range opened {
		for _, how := range []string{"generated", "plain"} {
			for j, texts := range of[how] {
				if !slices.EqualFunc(texts, of["torch"][j], slices.Equal) {
					t.Errorf("%s: optimum (%s) translates to %v, transformers to %v", made.Cases[i].Name, how, texts, of["torch"][j])
				}
			}
		}
	}
}
