package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// The columns of fixtures/architectures.md.
const (
	folderIn, folderOut, ggufIn, ggufOut = "folder in", "folder out", "GGUF in", "GGUF out"
	cacheFile, fusedFile, int4File       = "cache", "fused", "int4"
	verifiedFile, llamaCPP               = "verified", "llama.cpp"
)

var columns = []string{folderIn, folderOut, ggufIn, ggufOut, cacheFile, fusedFile, int4File, verifiedFile, "transformers", "optimum", "genai", llamaCPP, "transformers.js"}

// none is a cell that has no meaning.
const none = "—"

// tableRow is a network of the table with what is known of it.
type tableRow struct {
	name   string
	c      *model.Checkpoint
	folder string // exported, for every library
	gguf   string
	of     string // end of the names of the libraries' classes, for networks that continue no text
	cells  sync.Map
}

func (r *tableRow) set(column string, err error) {
	cell := "yes"
	if err != nil {
		cell = "no: " + reason(strings.ReplaceAll(err.Error(), filepath.Dir(r.folder)+"/", ""))
	}
	r.cells.Store(column, cell)
}

// reason returns what is said of several rows in one form.
func reason(text string) string {
	switch {
	case strings.Contains(text, "attnx writes GGUF files of"):
		return "attnx writes no GGUF files of this architecture"
	case strings.Contains(text, "cannot express head"):
		return "GGUF files have no such head"
	}
	return strings.TrimPrefix(text, "Error: ")
}

// cell returns a cell, "" before it is set.
func (r *tableRow) cell(column string) string {
	text, _ := r.cells.Load(column)
	cell, _ := text.(string)
	return cell
}

// continues reports whether the network scores the next token.
func (r *tableRow) continues() bool { return r.c.Continues() == nil }

// tableNetworks returns a network of each architecture, and of the heads that
// encoders and decoders may have.
func tableNetworks(t *testing.T, vocab int) map[string]nn.Network {
	t.Helper()
	out := map[string]nn.Network{}
	must := func(n nn.Network, err error) nn.Network {
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	classes := arch.Classes{Names: arch.LabelsOf([]string{"no", "yes", "perhaps"})}
	for _, name := range arch.Names() {
		n := must(arch.New(name, arch.Sizes{Layers: 2, Heads: 4, Width: 32, Context: 48}, vocab))
		if _, has := n.(arch.Mistral); has { // from version 0.2 on it has no window
			n = must(arch.With(n, struct {
				Window int `json:"sliding_window"`
			}{}))
		}
		out[name] = n
		if _, encoder := n.(interface{ Headless() bool }); encoder && !slices.Contains(arch.Decoders(), name) {
			trunk := must(arch.Trunk(n))
			if name != (arch.DistilBert{}).Architecture() { // transformers' models have a pooler
				trunk = must(arch.With(trunk, struct {
					Pooler bool `json:"pooler"`
				}{true}))
			}
			out[name+", no head"] = trunk
			out[name+", classes"] = must(arch.With(n, arch.Task{Head: arch.SequenceClassification, Classes: classes}))
		}
	}
	for _, name := range []string{"gpt2", "llama"} {
		out[name+", no head"] = must(arch.Trunk(out[name]))
		out[name+", classes"] = must(arch.With(out[name], arch.Use{Head: arch.SequenceClassification, Classes: classes, Pad: arch.IDOf(1)}))
	}
	return out
}

// TestArchitectures writes fixtures/architectures.md, which says in which formats
// each architecture is read and written and what opens it, or compares it.
func TestArchitectures(t *testing.T) {
	const file = "../../fixtures/architectures.md"
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	write := os.Getenv("ATTNX_WRITE_ARCHITECTURES") != ""
	if !write && !fixtures.Large() {
		t.Skip("set ATTNX_LARGE=1: it asks seven libraries; TestArchitectureFormats is the part without them")
	}
	for _, name := range []string{"ATTNX_PYTHON", "ATTNX_PYTHON_OPTIMUM", "ATTNX_PYTHON_GENAI", "ATTNX_PYTHON_LLAMA_CPP", "ATTNX_NODE_MODULES"} {
		if os.Getenv(name) == "" {
			t.Skipf("%s is not set: the table is of all libraries", name)
		}
	}
	dir := t.TempDir()
	rows, tok := tableRows(t, dir)
	for _, r := range rows {
		r.here(t, dir)
	}
	t.Run("libraries", func(t *testing.T) {
		for _, r := range readers {
			if r.name != "onnxruntime" {
				t.Run(r.name, func(t *testing.T) { t.Parallel(); elsewhere(t, r, rows, tok) })
			}
		}
		t.Run(llamaCPP, func(t *testing.T) { t.Parallel(); inLlamaCPP(t, rows) })
	})
	got := tableText(rows)
	t.Logf("%s", got)
	switch {
	case t.Failed():
	case write:
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	case !bytes.Equal(got, before):
		t.Errorf("%s is not of this attnx: ATTNX_WRITE_ARCHITECTURES=1 writes it anew\n%s", file, got)
	}
}

// tableRows returns the rows of the table without their cells. Their files are to be in
// a folder.
func tableRows(t *testing.T, dir string) (rows []*tableRow, tok *tokens.Tokenizer) {
	t.Helper()
	text := asciiTokenizer(t, 160)
	tok, err := tokens.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	networks := tableNetworks(t, tok.VocabSize())
	for _, name := range sortedByArchitecture(networks) {
		r := &tableRow{name: name, c: spreadNetwork(t, networks[name]), folder: filepath.Join(dir, fmt.Sprint("m", len(rows))), gguf: filepath.Join(dir, fmt.Sprint(len(rows), ".gguf"))}
		r.c.Tokenizer, r.c.Special = text, &model.Special{End: []int64{int64(tok.VocabSize() - 1)}}
		rows = append(rows, r)
	}
	return rows, tok
}

func sortedByArchitecture(networks map[string]nn.Network) (names []string) {
	for _, name := range arch.Names() {
		for _, end := range []string{"", ", no head", ", classes"} {
			if networks[name+end] != nil {
				names = append(names, name+end)
			}
		}
	}
	return names
}

// here fills the cells for which attnx alone is asked, and writes the folder for the
// others.
func (r *tableRow) here(t *testing.T, dir string) {
	t.Helper()
	_, ends, _ := strings.Cut(r.name, ", ")
	n, err := r.c.Network()
	if err != nil {
		t.Fatal(err)
	}
	if _, headed := n.(interface{ Headless() bool }); headed && !r.continues() {
		r.of = map[string]string{"": "MaskedLM", "no head": "", "classes": "SequenceClassification"}[ends]
	}
	r.formats(t)
	r.verify(t, dir, verifiedFile, export.Plain{})
	if r.continues() && len(r.c.Attentions()) > 0 {
		r.verify(t, dir, cacheFile, export.Cache{})
		r.verify(t, dir, fusedFile, export.Cache{Fuse: true})
		r.verify(t, dir, int4File, export.Cache{Quantize: precision.Int4})
	} else {
		r.cells.Store(cacheFile, none)
		r.cells.Store(fusedFile, none)
		r.verify(t, dir, int4File, export.Plain{Quantize: precision.Int4})
	}
	web := huggingface.OnHub(r.c) && !r.c.Translates() // --web refuses the pair of a translator
	if _, err := attnx.ExportCheckpoint(t.Context(), r.c, r.folder+"/", attnx.ExportOptions{Web: web}); err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
}

// verify fills the cell of a form.
func (r *tableRow) verify(t *testing.T, dir, column string, p export.Profile) {
	t.Helper()
	_, err := r.verified(t, dir, p)
	r.set(column, err)
}

// verified returns the report on a file of a form, and why ONNX Runtime does not compute what the network says, in a file of
// a form.
func (r *tableRow) verified(t *testing.T, dir string, p export.Profile) (report runtime.Report, err error) {
	path := filepath.Join(dir, "file.onnx")
	if _, err := attnx.ExportCheckpoint(t.Context(), r.c, path, attnx.ExportOptions{Profile: p}); err != nil {
		return report, err
	}
	name := "ort-cpu"
	if _, past := p.(export.Cache); past {
		name += "-cache"
	}
	report, err = attnx.Verify(t.Context(), r.c, []string{path}, attnx.VerifyOptions{Budget: 400, Runtimes: []string{name}})
	if err == nil && report.Verdict != runtime.Pass {
		err = fmt.Errorf("verify: %s %s", report.Verdict, report.Reason)
	}
	return report, err
}

// nearly returns want where all of got are within the rounding of an addition of 1.
func nearly(t *testing.T, want, got model.Weights) model.Weights {
	t.Helper()
	for i, w := range want {
		a, err := w.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		b, err := got[i].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for k, x := range a {
			if math.Abs(float64(x-b[k])) > 2.5e-7 {
				return got
			}
		}
	}
	return want
}

// elsewhere asks a library for the cells of its column.
func elsewhere(t *testing.T, lib reader, rows []*tableRow, tok *tokens.Tokenizer) {
	t.Helper()
	var texts, generating []*tableRow
	var questions []question
	for _, r := range rows {
		switch {
		case !huggingface.OnHub(r.c) && (lib.name != "genai" || !r.continues() || len(r.c.Attentions()) == 0):
			r.cells.Store(lib.name, none)
		case r.continues():
			prompt := tok.Encode("ab c dabcd")
			generating = append(generating, r)
			questions = append(questions, question{Folder: r.folder, Prompts: [][]int64{prompt, prompt[:3]}, Tokens: 8, End: r.c.Special.End, Text: "ab c d", MayFail: true})
		case lib.name == "genai":
			r.cells.Store(lib.name, none)
		case !readsOneText(r.c):
			r.set(lib.name, errors.New("not asked here: it reads two texts"))
		default:
			texts = append(texts, r)
		}
	}
	for i, got := range lib.ask(t, questions) {
		want := continued(t, generating[i].c, questions[i])
		err := nearLogits(got.Logits, want.Logits)
		switch {
		case got.Error != "":
			err = errors.New(firstLine(got.Error))
		case !slices.EqualFunc(got.Tokens, want.Tokens, slices.Equal):
			err = errors.New("it continues texts otherwise")
		}
		generating[i].set(lib.name, err)
	}
	asked := make([]textRequest, len(texts))
	for i, r := range texts {
		asked[i] = textRequest{r.folder, r.of, map[string][][]int64{}}
		for _, in := range r.c.Graph.Inputs {
			asked[i].Inputs[in.Name] = map[string][][]int64{
				"input_ids": {{5, 9, 30, 22, 8}, {7, 6, 3, 1, 1}}, "attention_mask": {{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}}, "token_type_ids": {{0, 0, 0, 1, 1}, {0, 0, 0, 0, 0}},
			}[in.Name]
		}
		if asked[i].Inputs["attention_mask"] == nil { // the mask changes nothing but the states of padding
			asked[i].Inputs["input_ids"] = [][]int64{{5, 9, 30, 22, 8}}
			asked[i].Inputs["attention_mask"] = [][]int64{{1, 1, 1, 1, 1}}
		}
	}
	if len(texts) == 0 {
		return
	}
	for i, got := range lib.askTexts(t, asked) {
		err := errors.New(firstLine(got.Error))
		if got.Error == "" {
			err = nearOutputs(t, texts[i].c, asked[i].Inputs, got.Outputs)
		}
		texts[i].set(lib.name, err)
	}
}

// readsOneText reports whether all inputs of a network are of one text.
func readsOneText(c *model.Checkpoint) bool {
	return !slices.ContainsFunc(c.Graph.Inputs, func(in *graph.Value) bool {
		return !slices.Contains([]string{"input_ids", "attention_mask", "token_type_ids"}, in.Name)
	})
}

type textRequest struct {
	Folder string               `json:"folder"`
	For    string               `json:"for"`
	Inputs map[string][][]int64 `json:"inputs"`
}

type textAnswer struct {
	Version string               `json:"version"`
	Outputs map[string][]float64 `json:"outputs"`
	Error   string               `json:"error"`
}

// askTexts has a reader answer all requests in one process.
func (r reader) askTexts(t *testing.T, requests []textRequest) (answers []textAnswer) {
	t.Helper()
	cmd := exec.Command("node", "../../fixtures/oracle/check_texts_web.mjs")
	if !r.web {
		cmd = exec.Command(interpreter(r.env, r.packages), "-B", "../../fixtures/oracle/check_texts.py", r.name)
	}
	in, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(requests) {
		t.Fatalf("%v: %s", err, out)
	}
	return answers
}

// nearOutputs compares the outputs of a library with the oracle's.
func nearOutputs(t *testing.T, c *model.Checkpoint, inputs map[string][][]int64, got map[string][]float64) error {
	t.Helper()
	given := map[string]format.Tensor{}
	for _, in := range c.Graph.Inputs {
		rows := inputs[in.Name]
		given[in.Name] = format.FromInt64s(in.Name, []int{len(rows), len(rows[0])}, slices.Concat(rows...))
	}
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	out, err := oracle.Run(given)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range out {
		want, err := x.AsFloat64s()
		if err != nil {
			t.Fatal(err)
		}
		if name == "pooler_output" {
			continue
		}
		if err := nearLogits([][]float64{got[name]}, [][]float64{want}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func nearLogits(got, want [][]float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d rows of numbers, expected %d", len(got), len(want))
	}
	for i, row := range want {
		if len(got[i]) != len(row) {
			return fmt.Errorf("%d numbers, expected %d", len(got[i]), len(row))
		}
		for k, x := range row {
			if !(math.Abs(x-got[i][k]) <= 1e-4*max(1, math.Abs(x))) {
				return fmt.Errorf("a number is %.4g, expected %.4g", got[i][k], x)
			}
		}
	}
	return nil
}

// inLlamaCPP has llama.cpp continue a text from each GGUF file.
func inLlamaCPP(t *testing.T, rows []*tableRow) {
	t.Helper()
	type request struct {
		File    string    `json:"file"`
		Tokens  int       `json:"tokens"`
		Prompts [][]int64 `json:"prompts"`
	}
	var asked []request
	var has []*tableRow
	for _, r := range rows {
		r.cells.Store(llamaCPP, r.cell(ggufOut))
		if r.cell(ggufOut) == "yes" {
			asked, has = append(asked, request{r.gguf, 8, [][]int64{{3, 17, 5, 9, 30, 1, 22, 8}}}), append(has, r)
		}
	}
	in, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Getenv("ATTNX_PYTHON_LLAMA_CPP"), "-B", "../../fixtures/oracle/llamacpp_greedy.py")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes()[max(0, stderr.Len()-4000):])
	}
	out = bytes.TrimSpace(out)
	var answers [][]struct {
		Tokens []int64 `json:"tokens"`
	}
	if err := json.Unmarshal(out[bytes.LastIndexByte(out, '\n')+1:], &answers); err != nil || len(answers) != len(has) {
		t.Fatalf("%v: %.2000s", err, out)
	}
	for i, r := range has {
		r.set(llamaCPP, sameText(t, r.c, asked[i].Prompts[0], answers[i][0].Tokens))
	}
}

// sameText compares a continuation with the oracle's, up to the first token whose
// margin is within the errors of llama.cpp, which takes GELU from a table of float16.
func sameText(t *testing.T, c *model.Checkpoint, prompt, got []int64) error {
	t.Helper()
	const least = 4e-3
	text := slices.Clone(prompt)
	for k, next := range got {
		last := slices.Clone(continued(t, c, question{Prompts: [][]int64{text}, Tokens: 1}).Logits[0])
		best := int64(slices.Index(last, slices.Max(last)))
		slices.Sort(last)
		switch margin := last[len(last)-1] - last[len(last)-2]; {
		case margin < least:
			if k < len(got)/2 {
				return fmt.Errorf("only %d tokens are compared", k)
			}
			return nil
		case best != next:
			return fmt.Errorf("it continues a text otherwise, where the margin is %.2g", margin)
		}
		text = append(text, next)
	}
	return nil
}

// tableText returns the text of the file.
func tableText(rows []*tableRow) []byte {
	var out bytes.Buffer
	out.WriteString(`# Architectures and formats

Written by ` + "`ATTNX_WRITE_ARCHITECTURES=1 go test -run 'TestArchitectures$' ./cmd/attnx`" + ` from a small random network of each row. A name alone is
the network that continues texts, or of an encoder the one that fills gaps; "no head" gives hidden states, "classes" scores classes of texts.

- folder, GGUF: written, and read back as the same network with the same weights.
- cache, fused, int4: exported in that form, and verified in ONNX Runtime. verified is the plain form.
- transformers to transformers.js: each opens what attnx writes, and computes the oracle's numbers; where it generates, the oracle's tokens. transformers
  knows each weight of the folder, and misses none. genai is onnxruntime-genai. llama.cpp has the GGUF file.

— stands where there is nothing of the kind.

| architecture |`)
	for _, c := range columns {
		out.WriteString(" " + c + " |")
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	var notes []string
	for _, r := range rows {
		out.WriteString("| " + r.name + " |")
		for _, c := range columns {
			cell, reason, has := strings.Cut(r.cell(c), ": ")
			if has {
				k := slices.Index(notes, reason)
				if k < 0 {
					k, notes = len(notes), append(notes, reason)
				}
				cell += fmt.Sprintf(" [^%d]", k+1)
			}
			out.WriteString(" " + cell + " |")
		}
		out.WriteString("\n")
	}
	out.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&out, "[^%d]: %s\n", i+1, note)
	}
	return out.Bytes()
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s[:min(len(s), 200)]
}

// asciiTokenizer returns a tokenizer.json in which each token is text: llama.cpp's
// server leaves out others, such as parts of characters.
func asciiTokenizer(t *testing.T, size int) []byte {
	t.Helper()
	vocab, merges := map[string]int{"Ġ": 0, "Ċ": 1}, [][2]string{}
	for c := '!'; c <= '~'; c++ {
		vocab[string(c)] = len(vocab)
	}
	for k := 0; len(vocab) < size; k++ {
		a, b := string(rune('a'+k%26)), string(rune('a'+k/26))
		merges, vocab[a+b] = append(merges, [2]string{a, b}), len(vocab)
	}
	text, err := json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": []any{}, "normalizer": nil, "post_processor": nil, "truncation": nil, "padding": nil,
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
		"decoder":       map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": false, "ignore_merges": false},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
