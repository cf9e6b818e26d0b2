package attnx

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
)

// exportPair writes a folder of a network that translates.
func exportPair(t *testing.T, c *model.Checkpoint, o ExportOptions) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "pair")
	if _, err := ExportCheckpoint(context.Background(), c, folder+string(filepath.Separator), o); err != nil {
		t.Fatal(err)
	}
	return folder
}

// openPairTest opens the ONNX files of a folder, if ONNX Runtime is there.
func openPairTest(t *testing.T, folder string) *Translator {
	t.Helper()
	tr, err := openPair(folder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// The ONNX files of a folder, without anything beside them but their weights, translate as
// transformers does, greedily and with beams, in batches of sources of different lengths.
func TestTranslatesFromFiles(t *testing.T) {
	dir := filepath.Join("fixtures", "translators")
	made := readTranslators(t, dir)
	for i, c := range made.Cases {
		m, _, err := huggingface.Read(filepath.Join(dir, c.Name))
		if err != nil {
			t.Fatal(err)
		}
		for _, web := range []bool{false, true} {
			folder := exportPair(t, m, ExportOptions{Web: web})
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasSuffix(e.Name(), ".json") || web && e.Name() == huggingface.WeightsName {
					if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
						t.Fatal(err)
					}
				}
			}
			wantTranslations(t, openPairTest(t, folder), c.Name+" (files)", made, i)
		}
	}
}

// Files that do not belong together are refused, and so is a file whose weights were changed.
func TestForeignFilesInPair(t *testing.T) {
	t5, _, err := huggingface.Read(filepath.Join("fixtures", "translators", "t5, small"))
	if err != nil {
		t.Fatal(err)
	}
	copied := func(from, to string) func(folder string) {
		return func(folder string) {
			data, err := os.ReadFile(filepath.Join(folder, from))
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, to), data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	change := func(name string, f func(m *onnx.Model)) func(string) {
		return func(folder string) {
			path := filepath.Join(folder, name)
			m, err := find.ReadModel(path)
			if err != nil {
				t.Fatal(err)
			}
			f(m)
			if err := store.Save(path, m.Encode); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		web    bool
		change func(folder string)
		want   string
	}{
		"the first decoder twice": {false, copied(firstFile, nextFile), "it is not the t5, decoder with a past"},
		"the second one twice":    {false, copied(nextFile, firstFile), "it is not the t5, decoder that"},
		"an encoder as a decoder": {true, copied("onnx/"+encoderFile, "onnx/"+mergedFile), "no input \"use_cache_branch\""},
		"a decoder as an encoder": {true, copied("onnx/"+mergedFile, "onnx/"+encoderFile), "does not describe the network"},
		"no description": {false, change(encoderFile, func(m *onnx.Model) {
			for key := range m.Metadata {
				if strings.Contains(key, "translator") {
					delete(m.Metadata, key)
				}
			}
		}), "does not describe the network"},
		"no decoder": {false, func(folder string) { os.Remove(filepath.Join(folder, firstFile)) }, firstFile},
		"weights": {false, func(folder string) {
			path := filepath.Join(folder, huggingface.WeightsName)
			data, err := os.ReadFile(path)
			if err == nil {
				data[len(data)-1] ^= 1
				err = os.WriteFile(path, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "SHA-256"},
	} {
		folder := exportPair(t, t5, ExportOptions{Web: c.web})
		c.change(folder)
		tr, err := openPair(folder, Options{})
		if err == nil {
			tr.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}

// A folder in other numbers is verified with bounds of its own, and has its weights once.
// attnx, optimum and transformers.js translate alike with its files.
func TestPairInOtherNumbers(t *testing.T) {
	forms := map[string]precision.Form{"float16": {DType: format.Float16}, "int8": {Quantize: precision.Int8}}
	names := []string{"t5, small"}
	if fixtures.Exhaustive() {
		forms["int4"], forms["int4 and float16"] = precision.Form{Quantize: precision.Int4}, precision.Form{Quantize: precision.Int4, DType: format.Float16}
		names = append(names, "marian, small")
	}
	made := readTranslators(t, filepath.Join("fixtures", "translators"))
	sources, masks := made.Inputs["encoder_"+role.Tokens.Name()], made.Inputs["encoder_"+role.AttentionMask.Name()]
	for _, name := range names {
		c, _, err := huggingface.Read(filepath.Join("fixtures", "translators", name))
		if err != nil {
			t.Fatal(err)
		}
		for what, form := range forms {
			var texts [][]int64
			for _, web := range []bool{false, true} {
				p, err := export.WithNumbers(export.Plain{}, form)
				if err != nil {
					t.Fatal(err)
				}
				folder := exportPair(t, c, ExportOptions{Web: web, Profile: p})
				r, err := verifyPair(t.Context(), c, folder, VerifyOptions{Budget: 100, Runtimes: []string{"ort-cpu"}})
				if err != nil || r.Verdict != "pass" {
					t.Errorf("%s in %s: %s %s, %v", name, what, r.Verdict, r.Reason, err)
				}
				once(t, folder)
				var got [][]int64
				tr := openPairTest(t, folder)
				for i, s := range sources {
					if masks[i][0] == 0 {
						continue // positions are counted from the first column
					}
					n := slices.Index(append(slices.Clone(masks[i]), 0), 0)
					of, err := tr.TranslateIDs(t.Context(), [][]int64{s[:n]}, Translation{MaxTokens: 12, Beams: 1, LengthPenalty: 1})
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, of[0][0].IDs)
				}
				if texts != nil && !slices.EqualFunc(texts, got, slices.Equal) {
					t.Errorf("%s in %s: a merged decoder translates to %v, two decoders to %v", name, what, got, texts)
				}
				texts = got
				alone := sources[0] // in a batch, integers depend on what else is in it
				if web {
					otherNumbersInJavaScript(t, name+" in "+what, folder, alone, got[0])
				}
				otherNumbersInOptimum(t, name+" in "+what, folder, alone, got[0])
			}
		}
	}
}

// One file of a pair is refused by name, whatever opens it. The folder of the models alone,
// and a folder without a checkpoint named beside it, are verified.
func TestPathsOfPairs(t *testing.T) {
	from := filepath.Join("fixtures", "translators", "t5, small")
	c, _, err := huggingface.Read(from)
	if err != nil {
		t.Fatal(err)
	}
	folder := exportPair(t, c, ExportOptions{Web: true})
	o := VerifyOptions{Budget: 50, Runtimes: []string{"ort-cpu"}}
	for _, paths := range [][]string{{folder}, {from, folder}, {from, filepath.Join(folder, "onnx")}} {
		if r, err := VerifyFiles(t.Context(), paths, nil, o); err != nil || r.Verdict != "pass" || len(r.Files) != 3 {
			t.Errorf("%q: %s %s, %d files, %v", paths, r.Verdict, r.Reason, len(r.Files), err)
		}
	}
	openPairTest(t, filepath.Join(folder, "onnx"))
	for _, name := range []string{encoderFile, mergedFile} {
		path := filepath.Join(folder, "onnx", name)
		_, verifying := VerifyFiles(t.Context(), []string{from, path}, nil, o)
		_, opening := OpenTranslator(path, Options{})
		for _, err := range []error{verifying, opening} {
			if err == nil || !strings.Contains(err.Error(), "it is one part of a network that translates: "+NameFolder) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// once refuses a second copy of large weights in the files of a folder.
func once(t *testing.T, folder string) {
	t.Helper()
	seen := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".onnx") {
			return err
		}
		m, err := find.ReadModel(path)
		if err != nil {
			return err
		}
		for _, x := range m.Graph.Initializers {
			if x.External == nil && len(x.Raw) > 1024 {
				if other, is := seen[string(x.Raw)]; is {
					t.Errorf("%s: %s is in %s too", path, x.Name, other)
				}
				seen[string(x.Raw)] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func otherNumbersInJavaScript(t *testing.T, what, folder string, source, want []int64) {
	t.Helper()
	if os.Getenv("ATTNX_NODE_MODULES") == "" {
		return
	}
	var answers []struct{ Generated [][]int64 }
	answered(t, exec.Command("node", filepath.Join("fixtures", "oracle", "check_translators_web.mjs")), []map[string]any{{
		"folder": folder, "ids": [][]int64{source}, "mask": [][]int64{slices.Repeat([]int64{1}, len(source))}, "tokens": 12,
	}}, &answers)
	if got := answers[0].Generated[0]; !slices.Equal(got[1:], want) {
		t.Errorf("%s: transformers.js translates to %v, attnx to %v", what, got, want)
	}
}

func otherNumbersInOptimum(t *testing.T, what, folder string, source, want []int64) {
	t.Helper()
	python := os.Getenv("ATTNX_PYTHON_OPTIMUM")
	if python == "" {
		return
	}
	ids, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	answered(t, exec.Command(python, filepath.Join("fixtures", "oracle", "huggingface_seq2seq.py"), "--translate", folder, string(ids)), nil, &got)
	if !slices.Equal(got[1:], want) {
		t.Errorf("%s: optimum translates to %v, attnx to %v", what, got, want)
	}
}

// The folder of a recurrent translator is verified and translates from its files, in
// integers too, where its encoder stays as it is. What no runtime has is refused by name.
func TestRecurrentPairFolder(t *testing.T) {
	for _, name := range []string{"gru_translator", "lstm_translator"} {
		n, err := arch.Parse(name, []byte(`{"vocab_size":23,"n_embd":8,"n_layer":2}`))
		if err != nil {
			t.Fatal(err)
		}
		c, err := model.New(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		zero, one := int64(0), int64(1)
		c.Special = &model.Special{Start: &zero, Pad: &zero, End: []int64{one}}
		want := translated(t, oracleTranslator(t, c))
		for _, q := range []precision.Quantize{"", precision.Int8} {
			folder := exportPair(t, c, ExportOptions{Profile: export.Plain{Quantize: q}})
			r, err := verifyPair(t.Context(), c, folder, VerifyOptions{Budget: 100, Runtimes: []string{"ort-cpu"}})
			if err != nil || r.Verdict != "pass" {
				t.Errorf("%s %s: %s %s, %v", name, q, r.Verdict, r.Reason, err)
			}
			if got := translated(t, openPairTest(t, folder)); q == "" && !slices.EqualFunc(got, want, slices.Equal) {
				t.Errorf("%s: the files translate to %v, the network to %v", name, got, want)
			}
		}
		for want, o := range map[string]ExportOptions{
			"transformers.js has no architecture": {Web: true},
			"in float32 only":                     {Profile: export.Plain{DType: format.Float16}},
			"has a state instead":                 {Triton: t.TempDir()},
		} {
			if _, err := ExportCheckpoint(t.Context(), c, filepath.Join(t.TempDir(), "pair")+"/", o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, expected %q", name, err, want)
			}
		}
	}
}

// translated returns the best of three beams for sources of different lengths.
func translated(t *testing.T, tr *Translator) (out [][]int64) {
	t.Helper()
	all, err := tr.TranslateIDs(t.Context(), [][]int64{{2, 3, 4, 5, 6}, {7}, {8, 9, 22}}, Translation{MaxTokens: 9, Beams: 3, LengthPenalty: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range all {
		out = append(out, of[0].IDs)
	}
	return out
}

// A target in a batch may be padded on its right, where the first decoder reads it at once:
// the logits before the padding are those of the target alone.
func TestTargetsArePaddedOnTheRight(t *testing.T) {
	for _, name := range []string{"t5, small", "marian, small"} {
		c, _, err := huggingface.Read(filepath.Join("fixtures", "translators", name))
		if err != nil {
			t.Fatal(err)
		}
		parts := openPairTest(t, exportPair(t, c, ExportOptions{Web: true})).parts
		ids := func(kind role.Kind, rows ...[]int64) format.Tensor {
			return format.FromInt64s(kind.Name(), []int{len(rows), len(rows[0])}, slices.Concat(rows...))
		}
		logits := func(source, mask, target [][]int64) []float64 {
			states := mustRun(t, parts.Encoder, map[string]format.Tensor{role.Tokens.Name(): ids(role.Tokens, source...), role.AttentionMask.Name(): ids(role.AttentionMask, mask...)})
			hidden := role.SourceStates.Name()
			kept := states[role.Hidden.Name()]
			kept.Data = slices.Clone(kept.Data)
			out := mustRun(t, parts.First, map[string]format.Tensor{
				role.SourceMask.Name(): ids(role.SourceMask, mask...), hidden: kept.WithName(hidden), role.Tokens.Name(): ids(role.Tokens, target...),
			})
			return floats(t, out[role.Logits.Name()])
		}
		batch := logits([][]int64{{5, 6, 7, 8}, {9, 10, 0, 0}}, [][]int64{{1, 1, 1, 1}, {1, 1, 0, 0}}, [][]int64{{0, 4, 5, 6, 7}, {0, 8, 9, 0, 0}})
		alone := logits([][]int64{{9, 10}}, [][]int64{{1, 1}}, [][]int64{{0, 8, 9}})
		padded := batch[5*c.Vocab():]
		for i, x := range alone {
			if math.Abs(x-padded[i]) > 1e-5 {
				t.Fatalf("%s: logit %d is %g in a batch, %g alone", name, i, padded[i], x)
			}
		}
	}
}
