package huggingface_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
)

// trained is a checkpoint of random weights and a tokenizer of its own.
func trained(t *testing.T, name string, kind tokens.Kind) *model.Checkpoint {
	t.Helper()
	tokenizer, err := tokens.Train(kind, fixtures.Notes(), 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := tokenizer.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	sizes, err := arch.Preset("tiny")
	if err != nil {
		t.Fatal(err)
	}
	n, err := arch.New(name, sizes, tokenizer.VocabSize())
	if err != nil {
		t.Fatal(err)
	}
	return filled(t, n, text)
}

// filled returns a network with weights of every kind, and the tokenizer.
func filled(t *testing.T, n nn.Network, tokenizer []byte) *model.Checkpoint {
	t.Helper()
	c, err := model.New(n, 7)
	if err != nil {
		t.Fatal(err)
	}
	c.Tokenizer, c.Step, c.Train = tokenizer, 3, &model.TrainState{Options: []byte("{}")}
	for i, x := range c.Weights { // biases and norms too, so that none is 0 or 1
		v := make([]float32, x.Elements())
		model.NewStream(8, x.Name).FillNormal(v, 0.3)
		c.Weights[i] = format.FromFloat32s(x.Name, x.Shape, v)
	}
	return c
}

func mustWrite(t *testing.T, c *model.Checkpoint, dtype format.DType) (folder string, done format.Rounding) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "model")
	done, err := huggingface.Write(folder, c, dtype)
	if err != nil {
		t.Fatal(err)
	}
	return folder, done
}

// TestRoundTrip writes checkpoints and reads them back: in float32 the same
// model, bit for bit, in the types of 16 bits the rounded one. Written a second
// time it has the same bytes.
func TestRoundTrip(t *testing.T) {
	for _, name := range arch.Names() {
		for _, positions := range []bool{true, false} {
			if name != "simple" && !positions {
				continue
			}
			c := trained(t, name, tokens.Word)
			if !positions {
				n, err := c.Network()
				if err != nil {
					t.Fatal(err)
				}
				simple := n.(arch.Simple)
				simple.Positions = false
				c = filled(t, simple, c.Tokenizer)
			}
			for _, dtype := range []format.DType{format.Float32, format.BFloat16, format.Float16} {
				folder, wrote := mustWrite(t, c, dtype)
				back, read := mustRead(t, folder)
				var want model.Weights
				for _, x := range c.Weights {
					x, _, _ = x.Convert(dtype)
					x, _, _ = x.Convert(format.Float32)
					want = append(want, x)
				}
				if !bytes.Equal(back.Config, c.Config) || back.Weights.Hash() != want.Hash() || !bytes.Equal(back.Tokenizer, c.Tokenizer) || back.Step != 0 || back.Train != nil {
					t.Errorf("%s %s: read back %s", name, dtype, back.Config)
				}
				n, _ := c.Parameters()
				if wrote.Elements != n || (wrote.Changed == 0) != (dtype == format.Float32) || read != (format.Rounding{Elements: n}) {
					t.Errorf("%s %s: writing did %+v, reading %+v", name, dtype, wrote, read)
				}
				files := []string{"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
				if c.Continues() != nil && !c.Translates() {
					files = slices.Delete(files, 1, 2)
				}
				wantNames(t, folder, files...)
				wantNames(t, filepath.Dir(folder), "model")
				again, _ := mustWrite(t, c, dtype)
				for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} {
					if a, b := content(t, folder, name), content(t, again, name); !bytes.Equal(a, b) {
						t.Errorf("%s: written a second time it has other bytes", name)
					}
				}
			}
		}
	}
}

func content(t *testing.T, folder, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// TestWrittenConfig compares what is written with what transformers and its
// tokenizers read.
func TestWrittenConfig(t *testing.T) {
	c := trained(t, "gpt2", tokens.BPE)
	folder, _ := mustWrite(t, c, format.BFloat16)
	f, err := format.Open(filepath.Join(folder, weightsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m := f.Metadata(); len(m) != 1 || m["format"] != "pt" || f.Seal() != nil {
		t.Errorf("metadata %v, seal %v; transformers expects the format pt", m, f.Seal())
	}
	if x := tensorsOf(t, filepath.Join(folder, weightsFile)); x[0].Name != wte || x[0].DType != format.BFloat16 {
		t.Errorf("the first weight is %v", x[0].Info())
	}
	end := c.Vocab() - 1 // Train puts the end token last
	wantJSON(t, content(t, folder, "config.json"), fmt.Sprintf(`{"architectures":["GPT2LMHeadModel"],"model_type":"gpt2","vocab_size":%d,"n_positions":16,
		"n_ctx":16,"n_embd":32,"n_layer":2,"n_head":2,"n_inner":128,"layer_norm_epsilon":0.00001,"activation_function":"gelu_new",
		"tie_word_embeddings":true,"resid_pdrop":0,"embd_pdrop":0,"attn_pdrop":0,"bos_token_id":%d,"eos_token_id":%d,"pad_token_id":%d,"torch_dtype":"bfloat16"}`,
		c.Vocab(), end, end, end))
	wantJSON(t, content(t, folder, "tokenizer_config.json"), `{"tokenizer_class":"PreTrainedTokenizerFast","model_max_length":16,
		"clean_up_tokenization_spaces":false,"bos_token":"<|endoftext|>","eos_token":"<|endoftext|>"}`)

	folder, _ = mustWrite(t, trained(t, "gpt2", tokens.Word), format.Float32)
	wantMember(t, content(t, folder, "config.json"), "eos_token_id", "null")
	wantMember(t, content(t, folder, "config.json"), "torch_dtype", `"float32"`)
	wantJSON(t, content(t, folder, "tokenizer_config.json"), `{"tokenizer_class":"PreTrainedTokenizerFast","model_max_length":16,
		"clean_up_tokenization_spaces":false,"unk_token":"[UNK]"}`)

	c = filled(t, smaller(t, c, func(n *arch.GPT2) { n.Vocab-- }), c.Tokenizer) // the network has no end token then
	folder, _ = mustWrite(t, c, format.Float16)
	wantMember(t, content(t, folder, "config.json"), "bos_token_id", "null")

	c.Tokenizer = []byte(`{"model":{"type":"Unigram"}}`) // not ours to judge
	folder, _ = mustWrite(t, c, format.Float16)
	wantJSON(t, content(t, folder, "tokenizer.json"), string(c.Tokenizer))

	c.Tokenizer = nil
	folder, _ = mustWrite(t, c, format.Float32)
	wantNames(t, folder, "config.json", "generation_config.json", "model.safetensors")

	folder, _ = mustWrite(t, trained(t, "simple", tokens.Char), format.Float32)
	wantMember(t, content(t, folder, "config.json"), "architectures", "")
	wantMember(t, content(t, folder, "config.json"), "position_embeddings", "true")
}

// smaller returns a changed network of a GPT-2.
func smaller(t *testing.T, c *model.Checkpoint, change func(*arch.GPT2)) nn.Network {
	t.Helper()
	n, err := c.Network()
	if err != nil {
		t.Fatal(err)
	}
	g := n.(arch.GPT2)
	change(&g)
	return g
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func wantJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	if a, b := compact(t, got), compact(t, []byte(want)); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func wantMember(t *testing.T, text []byte, name, want string) {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	if got := string(o[name]); got != want {
		t.Errorf("%s is %s, want %q", name, got, want)
	}
}

// TestWriteRefuses checks that nothing that is there is lost, and that nothing
// is left of what was not written.
func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	full, file, link := filepath.Join(dir, "full"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.Mkdir(full, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, file, []byte("old"))
	put(t, filepath.Join(full, "f"), []byte("old"))
	good := trained(t, "gpt2", tokens.Word)
	lacking, wrong := *good, *good
	lacking.Weights = good.Weights[1:]
	wrong.Config = bytes.Replace(good.Config, []byte(`"n_head":2`), []byte(`"n_head":3`), 1)
	large := *good
	large.Tokenizer = make([]byte, 64<<20+1)
	fresh := filepath.Join(dir, "new")
	cases := []struct {
		path  string
		c     *model.Checkpoint
		dtype format.DType
		want  string
	}{
		{full, good, format.Float32, "not empty"},
		{file, good, format.Float32, "not a folder"},
		{filepath.Join(dir, "none", "f"), good, format.Float32, "create it first"},
		{fresh, good, format.Float64, "weights cannot be written as F64"},
		{fresh, good, format.Uint8, "weights cannot be written as U8"},
		{fresh, &lacking, format.Float32, `weight "wpe.weight": the network has "wte.weight" in its place`},
		{fresh, &wrong, format.Float32, "n_head 3 does not divide"},
		{fresh, &large, format.Float32, "the tokenizer has"},
	}
	left := []string{"file", "full"}
	if os.Symlink(full, link) == nil { // Windows asks for a privilege
		left = append(left, "link")
		cases = append(cases, cases[0])
		cases[len(cases)-1].path, cases[len(cases)-1].want = link, "symbolic link"
	}
	for _, c := range cases {
		done, err := huggingface.Write(c.path, c.c, c.dtype)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.path) || done != (format.Rounding{}) {
			t.Errorf("got %v, %+v, want it to begin with %s and to say %q", err, done, c.path, c.want)
		}
	}
	wantNames(t, dir, left...)
	wantNames(t, full, "f")
	if b, err := os.ReadFile(file); err != nil || string(b) != "old" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

// TestWriteIntoEmpty writes into a folder that is there and empty.
func TestWriteIntoEmpty(t *testing.T) {
	dir, c := t.TempDir(), trained(t, "gpt2", tokens.Word)
	if _, err := huggingface.Write(dir, c, format.Float32); err != nil {
		t.Fatal(err)
	}
	if back, _ := mustRead(t, dir); back.Weights.Hash() != c.Weights.Hash() {
		t.Error("other weights")
	}
}
