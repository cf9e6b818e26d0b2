package attnx

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/branch"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/mutate"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// The folder of a network that translates has its parts in a file each, with
// optimum's names and its order of keys and values, and the weights once. That for
// transformers.js has the decoder in one file, and the weights once with several names.
func TestPairFolder(t *testing.T) {
	dir := filepath.Join("fixtures", "translators")
	made := readTranslators(t, dir)
	past := func(k role.Kind) string { return role.Layered(k, 0).Name() }
	mask, states, tokens := role.SourceMask.Name(), role.SourceStates.Name(), role.Tokens.Name()
	kept := []string{past(role.PastTargetKey), past(role.PastTargetValue), past(role.PastSourceKey), past(role.PastSourceValue)}
	inputs := map[bool]map[string][]string{
		false: {
			encoderFile: {tokens, role.AttentionMask.Name()},
			firstFile:   {mask, tokens, states},
			nextFile:    append([]string{mask, tokens}, kept...),
		},
		true: {
			"onnx/" + encoderFile: {tokens, role.AttentionMask.Name()},
			"onnx/" + mergedFile:  append(append([]string{mask, tokens, states}, kept...), cacheInput),
		},
	}
	var folders, pages []string
	for _, c := range made.Cases {
		m, _, err := huggingface.Read(filepath.Join(dir, c.Name))
		if err != nil {
			t.Fatal(err)
		}
		for _, web := range []bool{false, true} {
			folder := filepath.Join(t.TempDir(), "pair")
			if _, err := ExportCheckpoint(context.Background(), m, folder+string(filepath.Separator), ExportOptions{Web: web}); err != nil {
				t.Fatal(err)
			}
			folders = append(folders, folder)
			if web {
				pages = append(pages, folder)
			}
			again, _, err := huggingface.Read(folder)
			if err != nil || again.Weights.Hash() != m.Weights.Hash() {
				t.Errorf("%s: the folder holds another model: %v", c.Name, err)
			}
			if r, err := verifyPair(context.Background(), m, folder, VerifyOptions{Budget: 100, Runtimes: []string{"ort-cpu"}}); err != nil || r.Verdict != "pass" || len(r.Files) != 3 {
				t.Errorf("%s: %s %s, %v", c.Name, r.Verdict, r.Reason, err)
			}
			for file, want := range inputs[web] {
				f, err := find.ReadModel(filepath.Join(folder, file))
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
				w, err := bundle.WeightsOf(filepath.Join(folder, file), f)
				if err != nil || w.Verify(context.Background()) != nil {
					t.Errorf("%s: %s: weights %q, %v", c.Name, file, w.Path, err)
				}
				once, err := os.Stat(filepath.Join(folder, huggingface.WeightsName))
				if err != nil {
					t.Fatal(err)
				}
				if has, err := os.Stat(w.Path); err != nil || !os.SameFile(once, has) {
					t.Errorf("%s: %s is another file than %s: %v", c.Name, w.Path, once.Name(), err)
				}
				for _, w := range f.Graph.Initializers {
					if slices.ContainsFunc(m.Weights, func(x format.Tensor) bool { return x.Name == w.Name }) && w.External == nil {
						t.Errorf("%s: %s has a copy of %s", c.Name, file, w.Name)
					}
				}
			}
		}
	}
	t.Run("optimum", func(t *testing.T) { openedByOptimum(t, made, folders) })
	t.Run("transformers.js", func(t *testing.T) { openedInJavaScript(t, made, pages) })
}

// openedByOptimum compares greedy texts and those of beams, in a batch of padded sources.
func openedByOptimum(t *testing.T, made translatorCases, folders []string) {
	python := os.Getenv("ATTNX_PYTHON_OPTIMUM")
	if python == "" {
		t.Skip("ATTNX_PYTHON_OPTIMUM is not set")
	}
	var opened []map[string][2][][]int64
	answered(t, exec.Command(python, append([]string{filepath.Join("fixtures", "oracle", "huggingface_seq2seq.py"), "--optimum"}, folders...)...), nil, &opened)
	for i, of := range opened {
		if len(of) < 2 {
			t.Errorf("%s: optimum opened nothing", folders[i])
		}
		for how, texts := range of {
			for j := range texts {
				if !slices.EqualFunc(texts[j], of["torch"][j], slices.Equal) {
					t.Errorf("%s: optimum (%s) translates to %v, transformers to %v", made.Cases[i/2].Name, how, texts[j], of["torch"][j])
				}
			}
		}
	}
}

// openedInJavaScript compares the greedy texts of transformers.js, and of its files in
// WebAssembly, with those of transformers in float64.
func openedInJavaScript(t *testing.T, made translatorCases, folders []string) {
	if os.Getenv("ATTNX_NODE_MODULES") == "" {
		t.Skip("ATTNX_NODE_MODULES is not set")
	}
	type request struct {
		Folder string    `json:"folder"`
		IDs    [][]int64 `json:"ids"`
		Mask   [][]int64 `json:"mask"`
		Tokens int       `json:"tokens"`
	}
	var requests []request
	for _, folder := range folders {
		requests = append(requests, request{folder, made.Inputs["encoder_"+role.Tokens.Name()], made.Inputs["encoder_"+role.AttentionMask.Name()], 12})
	}
	var answers []struct {
		Generated [][]int64
		Browser   []int64
		Files     []string
	}
	answered(t, exec.Command("node", filepath.Join("fixtures", "oracle", "check_translators_web.mjs")), requests, &answers)
	ended := func(ids []int64) []int64 { // behind the end is padding
		if at := slices.Index(ids, 1); at >= 0 {
			return ids[:at+1]
		}
		return ids
	}
	for i, a := range answers {
		name, want := made.Cases[i].Name, made.Cases[i].Generated["greedy"].Sequences
		if len(a.Generated) != len(want) || len(a.Files) != 4 {
			t.Fatalf("%s: %d texts from the files %q, expected %d from 4 files", name, len(a.Generated), a.Files, len(want))
		}
		for j := range want {
			if !slices.Equal(ended(a.Generated[j]), ended(want[j])) {
				t.Errorf("%s: transformers.js translates source %d to %v, transformers to %v", name, j, a.Generated[j], want[j])
			}
		}
		if !slices.Equal(ended(a.Browser), ended(want[0])) {
			t.Errorf("%s: in WebAssembly the first source is translated to %v, by transformers to %v", name, a.Browser, want[0])
		}
	}
}

// answered runs a script that reads and prints JSON.
func answered(t *testing.T, cmd *exec.Cmd, request, answer any) {
	t.Helper()
	cmd.Stderr = os.Stderr
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = bytes.NewReader(text)
	}
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, answer)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A fault in a branch of a merged decoder is found as it is in a decoder of its own, and
// so is one in how the branches are merged.
func TestFaultsInBranches(t *testing.T) {
	faults, names, options := 2, []string{"t5, small"}, VerifyOptions{Budget: 100, Runtimes: []string{"ort-cpu"}}
	if fixtures.Exhaustive() {
		faults, names = 60, []string{"t5, small", "marian, small"}
	}
	for _, name := range names {
		c, _, err := huggingface.Read(filepath.Join("fixtures", "translators", name))
		if err != nil {
			t.Fatal(err)
		}
		cut, err := c.Cut()
		if err != nil {
			t.Fatal(err)
		}
		parts, err := cut.Checkpoints(c)
		if err != nil {
			t.Fatal(err)
		}
		form := mergedForm(parts[2].Graph)
		var own []*onnx.Model
		for _, p := range parts {
			m, _, err := ExportModel(p, export.Plain{})
			if err != nil {
				t.Fatal(err)
			}
			own = append(own, m)
		}
		path := filepath.Join(t.TempDir(), "model.onnx")
		save := func(m *onnx.Model) {
			if err := store.Save(path, m.Encode); err != nil {
				t.Fatal(err)
			}
		}
		found := func(r runtime.Report, err error) bool { return err != nil || r.Verdict != runtime.Pass }
		branches := func() (bad bool) {
			for i := 1; i < 3; i++ {
				bad = bad || found(verifyBranch(t.Context(), parts[i], form, i == 2, []string{path}, options))
			}
			return bad
		}
		some := 0
		for i := 1; i < 3; i++ {
			for _, f := range mutate.Faults(own[i], faults, 20251130) {
				bad := slices.Clone(own)
				bad[i] = f.Apply(own[i])
				save(bad[i])
				apart := found(Verify(t.Context(), parts[i], []string{path}, options))
				merged, err := branch.Merge(form, bad[2], bad[1])
				if err != nil { // nobody can write such a file
					continue
				}
				some++
				save(merged)
				if got := branches(); got != apart {
					t.Errorf("%s: %v in part %d: found in the merged decoder: %t, in one of its own: %t", name, f, i, got, apart)
				}
			}
		}
		if some < faults {
			t.Errorf("%s: only %d faults could be tried", name, some)
		}
		for what, change := range map[string]func(g, yes, no *onnx.Graph, choice *onnx.Node){
			"nothing":  func(_, _, _ *onnx.Graph, _ *onnx.Node) {},
			"branches": func(_, yes, no *onnx.Graph, _ *onnx.Node) { *yes, *no = *no, *yes },
			"keys and values": func(_, yes, _ *onnx.Graph, _ *onnx.Node) {
				yes.Outputs[1], yes.Outputs[2] = yes.Outputs[2], yes.Outputs[1]
			},
			"kept": func(_, yes, _ *onnx.Graph, _ *onnx.Node) {
				yes.Outputs[3], yes.Outputs[4] = yes.Outputs[4], yes.Outputs[3]
			},
			"a weight of both": func(g, _, _ *onnx.Graph, _ *onnx.Node) {
				raw := slices.Clone(g.Initializers[0].Raw)
				raw[1] ^= 0x40
				t := *g.Initializers[0]
				t.Raw = raw
				g.Initializers[0] = &t
			},
			"arguments": func(_, yes, _ *onnx.Graph, _ *onnx.Node) { yes.Nodes = exchangedInputs(yes.Nodes) },
			"results of choice": func(_, _, _ *onnx.Graph, choice *onnx.Node) {
				choice.Outputs[1], choice.Outputs[2] = choice.Outputs[2], choice.Outputs[1]
			},
		} {
			merged, err := branch.Merge(form, own[2], own[1])
			if err != nil {
				t.Fatal(err)
			}
			choice := merged.Graph.Nodes[len(merged.Graph.Nodes)-1]
			change(merged.Graph, choice.Attributes[0].Graph, choice.Attributes[1].Graph, choice)
			save(merged)
			if got, want := branches(), what != "nothing"; got != want {
				t.Errorf("%s: %s exchanged: found: %t", name, what, got)
			}
		}
	}
}

// exchangedInputs exchanges the last arguments of the first node whose order matters.
func exchangedInputs(nodes []*onnx.Node) []*onnx.Node {
	nodes = slices.Clone(nodes)
	for i, n := range nodes {
		if n.Op == "Sub" || n.Op == "Where" || n.Op == "Concat" {
			changed := *n
			changed.Inputs = slices.Clone(n.Inputs)
			last := len(n.Inputs) - 1
			changed.Inputs[last], changed.Inputs[last-1] = n.Inputs[last-1], n.Inputs[last]
			nodes[i] = &changed
			break
		}
	}
	return nodes
}
