package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// readers are the libraries that open a folder. Each is asked by a script of
// fixtures/oracle, where it is installed: optimum needs an older transformers
// than PyTorch's newest, and so they may be in several environments.
var readers = []reader{
	{"onnxruntime", []string{"ATTNX_PYTHON", "ATTNX_PYTHON_OPTIMUM", "ATTNX_PYTHON_GENAI"}, "onnxruntime", true, false},
	{"genai", []string{"ATTNX_PYTHON_GENAI", "ATTNX_PYTHON"}, "onnxruntime_genai", true, false},
	{"optimum", []string{"ATTNX_PYTHON_OPTIMUM", "ATTNX_PYTHON"}, "torch, optimum.onnxruntime", false, false},
	{"transformers", []string{"ATTNX_PYTHON", "ATTNX_PYTHON_OPTIMUM"}, "torch, transformers", false, false},
	{"transformers.js", []string{"ATTNX_NODE_MODULES"}, "@huggingface/transformers", false, true},
}

// continuation is the answer of check_folder.py or check_folder_web.mjs.
type continuation struct {
	Version string      `json:"version"`
	Tokens  [][]int64   `json:"tokens"`
	Padded  [][]int64   `json:"padded"`
	Logits  [][]float64 `json:"logits"`
	// of transformers.js:
	Text    []int64   `json:"text"`
	Files   []string  `json:"files"`
	Browser []float64 `json:"browser"`
	Error   string    `json:"error"` // of a question that may fail
}

// interpreter returns the first one named whose packages can be imported, ""
// if there is none.
func interpreter(env []string, packages string) string {
	for _, name := range env {
		if path := os.Getenv(name); path != "" && exec.Command(path, "-c", "import "+packages).Run() == nil {
			return path
		}
	}
	return ""
}

// question is a request of check_folder.py.
type question struct {
	Folder  string    `json:"folder"`
	Prompts [][]int64 `json:"prompts"`
	Tokens  int       `json:"tokens"` // to add to each
	End     []int64   `json:"end"`    // ids that end a text
	Text    string    `json:"text"`
	Shared  bool      `json:"shared"` // past and present are one buffer
	MayFail bool      `json:"may_fail"`
}

// reader is a library that opens a folder.
type reader struct {
	name     string
	env      []string // each names an interpreter, or for the web a folder with node_modules
	packages string
	simple   bool // knows the architecture simple
	web      bool // opens folders of --web only
}

// ask has a reader answer all questions in one process, or says loudly that it
// is not asked.
func (r reader) ask(t *testing.T, questions []question) (answers []continuation) {
	t.Helper()
	var cmd *exec.Cmd
	if r.web {
		modules := os.Getenv(r.env[0])
		if _, err := os.Stat(filepath.Join(modules, "node_modules", r.packages)); modules == "" || err != nil {
			t.Skipf("NOT ASKED: %s names no folder with %s in its node_modules", r.env[0], r.packages)
		}
		cmd = exec.Command("node", "../../fixtures/oracle/check_folder_web.mjs")
	} else {
		python := interpreter(r.env, r.packages)
		if python == "" {
			t.Skipf("NOT ASKED: %s names no Python that has %s", strings.Join(r.env, " or "), r.packages)
		}
		cmd = exec.Command(python, "-B", "../../fixtures/oracle/check_folder.py", r.name)
	}
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(questions) {
		t.Fatalf("%v: %s", err, out)
	}
	return answers
}

const folderText = "the quick brown fox jumps over the lazy dog and does not look back in anger, it looks ahead"

// trainedOn returns a tokenizer of folderText.
func trainedOn(t *testing.T, kind tokens.Kind) *tokens.Tokenizer {
	t.Helper()
	size := 0
	if kind == tokens.BPE {
		size = 280
	}
	tok, err := tokens.Train(kind, strings.Repeat(folderText, 3), size)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// spread returns a model for a tokenizer, and the path where it is saved. Its
// weights are far enough from zero that the greedy choice changes from token to
// token and is not near a tie.
func spread(t *testing.T, name string, tok *tokens.Tokenizer) (c *model.Checkpoint, path string) {
	t.Helper()
	rope := arch.Rope{Type: "llama3", Theta: 100, Factor: 4, Low: 1, High: 4, Original: 16}
	n, ok := map[string]nn.Network{
		"gpt2":   arch.GPT2{Vocab: tok.VocabSize(), Context: 48, Width: 32, Layers: 2, Heads: 2, Inner: 40, Epsilon: 1e-5},
		"simple": arch.Simple{Vocab: tok.VocabSize(), Context: 48, Width: 32, Heads: 2, Inner: 40, Positions: true},
		"llama": arch.Llama{Vocab: tok.VocabSize(), Context: 48, Width: 32, Layers: 2, Heads: 4, KVHeads: 2, HeadWidth: 8, Inner: 40, Epsilon: 1e-5,
			Activation: "silu", Rope: rope, Tied: true},
		"mistral": arch.Mistral{Vocab: tok.VocabSize(), Context: 48, Width: 32, Layers: 2, Heads: 4, KVHeads: 1, HeadWidth: 8, Inner: 40, Epsilon: 1e-5,
			Activation: "silu", Rope: arch.Rope{Type: "default", Theta: 100}, Window: 5},
		"qwen2": arch.Qwen2{Vocab: tok.VocabSize(), Context: 48, Width: 32, Layers: 2, Heads: 4, KVHeads: 2, Inner: 40, Epsilon: 1e-5,
			Activation: "silu", Rope: rope, Window: 6, LayerTypes: "full_attention sliding_attention"},
		// optimum 0.1.0 takes heads of hidden_size/num_attention_heads for granted.
		"qwen3": arch.Qwen3{Vocab: tok.VocabSize(), Context: 48, Width: 32, Layers: 2, Heads: 4, KVHeads: 2, HeadWidth: 8, Inner: 40, Epsilon: 1e-5,
			Activation: "silu", Rope: rope},
	}[name]
	if !ok {
		t.Fatalf("no network %s", name)
	}
	c = spreadNetwork(t, n)
	var err error
	if c.Tokenizer, err = tok.MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "m.safetensors")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	return c, path
}

// spreadNetwork returns a model of a network with weights as spread's.
func spreadNetwork(t *testing.T, n nn.Network) *model.Checkpoint {
	t.Helper()
	c, err := model.New(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range c.Weights {
		v, err := w.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		more := make([]float32, len(v))
		model.NewStream(2, w.Name).FillNormal(more, 0.3)
		for i := range v {
			more[i] += v[i]
		}
		c.Weights[i] = format.FromFloat32s(w.Name, w.Shape, more)
	}
	return c
}

// attnx runs the command line and returns what it says, if it ends with code.
func attnxRun(t *testing.T, code int, args ...string) string {
	t.Helper()
	var stdout, stderr strings.Builder
	if got := run(args, strings.NewReader(""), &stdout, &stderr); got != code {
		t.Fatalf("attnx %s: exit code %d, want %d: %s", strings.Join(args, " "), got, code, &stderr)
	}
	return stdout.String() + stderr.String()
}

// continued computes what a folder must give: greedy ids from the float64
// oracle, which computes the whole text anew for each, up to the end of a text,
// and the logits at the end of each prompt.
func continued(t *testing.T, c *model.Checkpoint, q question) (want continuation) {
	t.Helper()
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	for _, prompt := range q.Prompts {
		ids := slices.Clone(prompt)
		for i := range q.Tokens {
			out, err := oracle.Run(map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{1, len(ids)}, ids)})
			if err != nil {
				t.Fatal(err)
			}
			logits, err := out["logits"].AsFloat64s()
			if err != nil {
				t.Fatal(err)
			}
			last := logits[len(logits)-c.Vocab():]
			if i == 0 {
				want.Logits = append(want.Logits, last)
			}
			best := int64(slices.Index(last, slices.Max(last)))
			if slices.Contains(q.End, best) {
				break
			}
			ids = append(ids, best)
		}
		want.Tokens = append(want.Tokens, ids[len(prompt):])
	}
	want.Padded = want.Tokens
	return want
}

// wantContinued compares an answer with the oracle's: ids exactly, logits
// within the bound of float32.
func wantContinued(t *testing.T, got, want continuation) {
	t.Helper()
	if !slices.EqualFunc(got.Tokens, want.Tokens, slices.Equal) {
		t.Errorf("continues with %v, want %v", got.Tokens, want.Tokens)
	}
	if !slices.EqualFunc(got.Padded, want.Padded, slices.Equal) {
		t.Errorf("in one batch it continues with %v, want %v", got.Padded, want.Padded)
	}
	if len(got.Logits) != len(want.Logits) {
		t.Fatalf("%d rows of logits, want %d", len(got.Logits), len(want.Logits))
	}
	for i, row := range got.Logits {
		wantLogits(t, row, want.Logits[i])
	}
}

// wantLogits compares a row of logits with the oracle's, within the bound of
// float32.
func wantLogits(t *testing.T, got, want []float64) {
	t.Helper()
	single := make([]float32, len(got))
	for j, v := range got {
		single[j] = float32(v)
	}
	d := runtime.CompareWithin(1e-4, format.FromFloat64s("logits", []int{len(want)}, want), format.FromFloat32s("logits", []int{len(got)}, single))
	if !d.Within {
		t.Errorf("logits are off: %+v", d)
	}
	t.Logf("the largest error of a logit is %.2g", d.MaxAbs)
}

// wantBrowser checks what transformers.js would do in a browser.
func wantBrowser(t *testing.T, got, want continuation, tok *tokens.Tokenizer) {
	t.Helper()
	if files := []string{"onnx/model.onnx", "onnx/model.onnx_data"}; !slices.Equal(got.Files, files) {
		t.Errorf("a browser would fetch %v, want %v", got.Files, files)
	}
	wantLogits(t, got.Browser, want.Logits[0])
	if ids := tok.Encode(folderText); !slices.Equal(got.Text, ids) {
		t.Errorf("its tokenizer makes %v of a text, want %v", got.Text, ids)
	}
}

// severalEnds returns special ids with which texts end that would go on
// otherwise, each at another id, and an id for padding that no text has.
func severalEnds(t *testing.T, c *model.Checkpoint, q question) *model.Special {
	t.Helper()
	q.End = nil
	free := continued(t, c, q).Tokens
	s := &model.Special{End: []int64{free[0][9], free[1][4]}}
	for id := int64(1); s.Pad == nil; id++ {
		has := func(text []int64) bool { return slices.Contains(text, id) }
		if !slices.ContainsFunc(free, has) && !slices.ContainsFunc(q.Prompts, has) {
			s.Pad = &id
		}
	}
	return s
}

// TestFolderElsewhere opens folders in every library: each continues texts as
// the float64 oracle does.
func TestFolderElsewhere(t *testing.T) {
	type folder struct {
		question
		name, arch string
		checkpoint *model.Checkpoint
		tok        *tokens.Tokenizer
		web, last  bool
	}
	var all []folder
	for _, f := range []folder{
		{name: "gpt2", arch: "gpt2", tok: trainedOn(t, tokens.BPE)},
		{name: "gpt2-web", arch: "gpt2", tok: trainedOn(t, tokens.BPE), web: true},
		{name: "gpt2-web-last", arch: "gpt2", tok: trainedOn(t, tokens.Char), web: true, last: true},
		{name: "gpt2-ends", arch: "gpt2", tok: trainedOn(t, tokens.BPE), web: true},
		{name: "gpt2-words", arch: "gpt2", tok: trainedOn(t, tokens.Word), web: true},
		{name: "gpt2-fused", arch: "gpt2", tok: trainedOn(t, tokens.BPE), question: question{Shared: true}},
		{name: "simple", arch: "simple", tok: trainedOn(t, tokens.Word)},
		{name: "llama", arch: "llama", tok: trainedOn(t, tokens.BPE), web: true},
		{name: "mistral", arch: "mistral", tok: trainedOn(t, tokens.BPE), web: true},
		{name: "qwen2", arch: "qwen2", tok: trainedOn(t, tokens.BPE), web: true},
		{name: "qwen3", arch: "qwen3", tok: trainedOn(t, tokens.BPE), web: true},
	} {
		c, path := spread(t, f.arch, f.tok)
		f.checkpoint, f.Folder, f.Tokens, f.Text = c, filepath.Join(t.TempDir(), "folder"), 20, folderText
		text := f.tok.Encode(folderText)
		// The last two end with ids that could be taken for the end of a text, or for padding.
		f.Prompts = [][]int64{text[:4], {7}, text[2:9], {3, 4, int64(c.Vocab() - 1)}, {3, 4, 0}}
		if id, ok := f.tok.EndOfText(); ok {
			f.End = []int64{id}
		}
		if f.name == "gpt2-ends" {
			c.Special = severalEnds(t, c, f.question)
			f.End = c.Special.End
			if err := c.Save(path); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{"export", path, "-o", f.Folder + "/"}
		if f.web {
			args = append(args, "--web")
		}
		if f.Shared {
			args = append(args, "--fuse", "ort")
		}
		if f.last {
			args = append(args, "--last-logits")
		}
		attnxRun(t, exitOK, args...)
		all = append(all, f)
	}
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			var asked []folder
			var questions []question
			for _, f := range all {
				if r.web && !f.web || f.arch == "simple" && !r.simple || f.Shared && (r.name == "onnxruntime" || r.name == "optimum") {
					continue
				}
				if id, ok := f.tok.Unknown(); ok && r.name == "genai" && f.End == nil {
					f.End = []int64{id}
				}
				asked, questions = append(asked, f), append(questions, f.question)
			}
			for i, got := range r.ask(t, questions) {
				f := asked[i]
				want := continued(t, f.checkpoint, f.question)
				// It pads on the right, where the last logits are, and inside of a window.
				if windowed := f.arch == "mistral" || f.arch == "qwen2"; r.name == "genai" && (f.last || windowed) {
					want.Padded = got.Padded
				}
				t.Logf("%s: version %s", f.name, got.Version)
				wantContinued(t, got, want)
				if r.web {
					wantBrowser(t, got, want, f.tok)
				}
			}
		})
	}
}

// TestFolderHoldsWeightsOnce checks that a folder has one copy of the weights
// under its names, and that attnx takes it for the model in it.
func TestFolderHoldsWeightsOnce(t *testing.T) {
	c, path := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	n, err := c.Parameters()
	if err != nil {
		t.Fatal(err)
	}
	weights := int64(4 * n)
	texts := []string{"config.json", "genai_config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
	dir := t.TempDir()
	for name, f := range map[string]struct {
		args  []string
		names []string
		model string
	}{
		"plain": {[]string{"-o", dir + "/plain/"}, append([]string{"model.onnx", "model.safetensors"}, texts...), "model.onnx"},
		"web":   {[]string{"-o", dir + "/web/", "--web"}, append([]string{"onnx/model.onnx", "onnx/model.onnx_data", "model.safetensors"}, texts...), "onnx/model.onnx"},
		"t/m":   {[]string{"--triton", dir + "/t"}, []string{"1/model.onnx", "1/model.safetensors", "config.pbtxt", "kserve.yaml"}, ""},
	} {
		said := attnxRun(t, exitOK, append([]string{"export", path}, f.args...)...)
		folder := filepath.Join(dir, name)
		var names []string
		var infos []fs.FileInfo
		bytes := int64(0)
		err := fs.WalkDir(os.DirFS(folder), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			names = append(names, path)
			if !slices.ContainsFunc(infos, func(o fs.FileInfo) bool { return os.SameFile(o, info) }) {
				bytes += info.Size()
			}
			infos = append(infos, info)
			return err
		})
		slices.Sort(f.names)
		if slices.Sort(names); err != nil || !slices.Equal(names, f.names) || !strings.Contains(said, strings.Join(f.names, ", ")) {
			t.Errorf("%s holds %v (%v), want %v; said: %s", name, names, err, f.names, said)
		}
		if bytes < weights || bytes >= 2*weights { // graph and tokenizer are less than the weights
			t.Errorf("%s has %d bytes for %d of weights", name, bytes, weights)
		}
		if f.model == "" {
			continue
		}
		if got := find.ModelIn(folder); got != filepath.Join(folder, filepath.FromSlash(f.model)) {
			t.Errorf("the model in %s is %s", folder, got)
		}
		again, _, err := find.Load(folder, nil, model.LoadModel)
		if err != nil || again.Weights.Hash() != c.Weights.Hash() {
			t.Errorf("%s is no checkpoint of the same weights: %v", folder, err)
		}
		if said := attnxRun(t, exitOK, "inspect", folder); !strings.Contains(said, "attnx.weights.sha256") {
			t.Errorf("inspect %s shows %s", folder, said)
		}
	}
}

// TestFolderOfOtherNumbers checks where the weights of a model go that are not
// the checkpoint's: narrower ones into the safetensors file, integers, which
// transformers cannot use, into a file of ONNX's own form.
func TestFolderOfOtherNumbers(t *testing.T) {
	c, _ := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	write := func(web bool, p export.Cache) (folder, said string, err error) {
		folder = filepath.Join(t.TempDir(), "f") + "/"
		var say strings.Builder
		report, err := attnx.ExportCheckpoint(t.Context(), c, folder, attnx.ExportOptions{Profile: p, Web: web})
		if err == nil {
			err = report.WriteText(&say)
		}
		return folder, say.String(), err
	}
	folder, _, err := write(false, export.Cache{DType: format.Float16})
	if err != nil {
		t.Fatal(err)
	}
	f, err := format.Open(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, x := range f.Tensors() {
		if x.Name == "transformer.wte.weight" && x.DType != format.Float16 {
			t.Errorf("%s is %s", x.Name, x.DType)
		}
	}
	back, report, err := huggingface.Read(folder)
	if err != nil || report.Rounding.Changed > 0 {
		t.Fatalf("%v, %+v", err, report)
	}
	for i, w := range c.Weights {
		narrow, _, err := w.Convert(format.Float16)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := narrow.Convert(format.Float32)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Weights[i].Data, want.Data) && !bytes.Equal(back.Weights[i].Data, w.Data) { // some stay wide
			t.Errorf("%s is neither the checkpoint's nor rounded", w.Name)
		}
	}
	if _, _, err := write(true, export.Cache{DType: format.Float16}); err == nil || !strings.Contains(explain(err), "leave out --dtype") {
		t.Errorf("a folder in float16 for the web: %v", err)
	}
	for _, web := range []bool{false, true} {
		folder, said, err := write(web, export.Cache{Quantize: precision.Int8})
		if err != nil || !strings.Contains(said, "PyTorch's transformers does not open it") {
			t.Fatalf("%v: %s", err, said)
		}
		if _, err := os.Stat(filepath.Join(folder, "model.safetensors")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("integers lie in model.safetensors: %v", err)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(find.ModelIn(folder)), "model.onnx_data")); err != nil {
			t.Error(err)
		}
	}
}

// TestFolderRefuses checks that a folder is made whole or not at all, and what
// the command says instead.
func TestFolderRefuses(t *testing.T) {
	dir := t.TempDir()
	_, gpt2 := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	_, simple := spread(t, "simple", trainedOn(t, tokens.Char))
	full := filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	attnxRun(t, exitOK, "export", gpt2, "--triton", dir+"/repository")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"the folder is not empty", []string{gpt2, "-o", full}},
		{"the folder is not empty", []string{gpt2, "-o", full + "/"}},
		{"the folder is not empty", []string{gpt2, "--triton", dir + "/repository"}},
		{"does not exist: create it first", []string{gpt2, "-o", dir + "/a/b/"}},
		{"does not exist: create it first", []string{gpt2, "--triton", dir + "/a/b"}},
		{"--web belongs to a folder", []string{gpt2, "-o", dir + "/x.onnx", "--web"}},
		{"--web belongs to a folder", []string{gpt2, "--triton", dir + "/a", "--web"}},
		{"no architecture \"simple\"", []string{simple, "-o", dir + "/a/", "--web"}},
		{"exclude each other", []string{gpt2, "-o", dir + "/a/", "--web", "--fuse", "ort"}},
		{"a folder holds the profile cache", []string{gpt2, "-o", dir + "/a/", "--profile", "flat"}},
		{"--triton makes a folder, and ", []string{gpt2, "-o", dir + "/a.onnx", "--triton", dir + "/a"}},
		{"--length belongs to", []string{gpt2, "-o", dir + "/a/", "--length", "9"}},
	} {
		if said := attnxRun(t, exitUsage, append([]string{"export"}, c.args...)...); !strings.Contains(said, c.want) || strings.Count(said, "\n") != 1 {
			t.Errorf("export %v says %q, want %q", c.args, said, c.want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

// TestFolderWithoutTokenizer exports a model that reads no text.
func TestFolderWithoutTokenizer(t *testing.T) {
	c, path := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	c.Tokenizer = nil
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "f")
	said := attnxRun(t, exitOK, "export", path, "-o", folder+"/")
	if !strings.Contains(said, "no tokenizer") || !strings.Contains(said, "no id that ends a text") {
		t.Errorf("export says %s", said)
	}
	if _, err := os.Stat(filepath.Join(folder, "tokenizer.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder has a tokenizer: %v", err)
	}
}

// TestFolderAltered flips one bit of a weight: the folder is opened by nobody.
func TestFolderAltered(t *testing.T) {
	c, path := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	folder := filepath.Join(t.TempDir(), "f")
	attnxRun(t, exitOK, "export", path, "-o", folder+"/")
	weights := filepath.Join(folder, "model.safetensors")
	data, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-5] ^= 0x10
	if err := os.WriteFile(weights, data, 0o666); err != nil {
		t.Fatal(err)
	}
	bad := new(bundle.WeightsError)
	if _, err := attnx.Verify(t.Context(), c, []string{folder}, attnx.VerifyOptions{}); !errors.As(err, &bad) || bad.File != weights {
		t.Errorf("verify says %v", err)
	}
	if _, err := onnxRuntime(t); err != nil {
		t.Skip("no ONNX Runtime")
	}
	if said := attnxRun(t, exitUsage, "generate", folder, "--prompt", "the"); !strings.Contains(said, "model.safetensors: its SHA-256 is") || !strings.Contains(said, "it was changed: copy the folder again") {
		t.Errorf("generate says %s", said)
	}
}

// TestFolderSpeaks checks that a folder generates the text of its checkpoint.
func TestFolderSpeaks(t *testing.T) {
	if _, err := onnxRuntime(t); err != nil {
		t.Skip("no ONNX Runtime")
	}
	_, path := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	say := func(what string) string {
		var stdout, stderr strings.Builder
		if code := run([]string{"generate", what, "--prompt", "the quick", "--max-tokens", "20"}, strings.NewReader(""), &stdout, &stderr); code != exitOK {
			t.Fatalf("generate %s: %s", what, &stderr)
		}
		return stdout.String()
	}
	want := say(path)
	for name, flags := range map[string][]string{"plain": nil, "web": {"--web"}, "last": {"--last-logits"}, "fused": {"--fuse", "ort"}} {
		folder := filepath.Join(t.TempDir(), name)
		attnxRun(t, exitOK, append([]string{"export", path, "-o", folder + "/"}, flags...)...)
		if got := say(folder); got != want {
			t.Errorf("%s: the folder says %q, the checkpoint %q", name, got, want)
		}
	}
}

// TestTritonConfig has Triton's own definition read a config.pbtxt, and
// compares it with the model's inputs and outputs as Python's onnx reads them.
func TestTritonConfig(t *testing.T) {
	env := []string{"ATTNX_PYTHON_GENAI", "ATTNX_PYTHON"}
	python := interpreter(env, "onnx, tritonclient.grpc.model_config_pb2")
	if python == "" {
		t.Skipf("NOT ASKED: %s names no Python that has onnx and tritonclient[grpc]", strings.Join(env, " or "))
	}
	_, path := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	repository := filepath.Join(t.TempDir(), "repository")
	attnxRun(t, exitOK, "export", path, "--triton", repository)
	out, err := exec.Command(python, "-B", "../../fixtures/oracle/check_triton.py", filepath.Join(repository, "m")).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
