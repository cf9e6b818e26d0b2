package huggingface_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
)

// slowCases are what fixtures/oracle/huggingface_folders.py --golden wrote: files
// beside vocab.json and merges.txt, and the ids that transformers gives then.
type slowCases struct {
	Texts []string `json:"texts"`
	Cases []struct {
		Name    string                     `json:"name"`
		Files   map[string]json.RawMessage `json:"files"`
		IDs     [][]int64                  `json:"ids"`
		Refused string                     `json:"refused"`
	} `json:"cases"`
}

// slowFolder is the folder whole with vocab.json, merges.txt and other files.
func slowFolder(t *testing.T, files map[string]json.RawMessage) string {
	t.Helper()
	dir := unpacked(t, "whole")
	for _, name := range []string{"vocab.json", "merges.txt"} {
		text, err := os.ReadFile(filepath.Join("testdata", "slow", name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name), text)
	}
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	return dir
}

// TestSlowTokenizer reads vocab.json and merges.txt with all that may stand
// beside them: the ids are transformers'.
func TestSlowTokenizer(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "slow", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden slowCases
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) < 9 {
		t.Errorf("%d cases only", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		t.Run(c.Name, func(t *testing.T) {
			got, _ := mustRead(t, slowFolder(t, c.Files))
			tok, err := tokens.Parse(got.Tokenizer)
			if c.Refused != "" {
				if unsupported := new(tokens.UnsupportedError); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), c.Refused) {
					t.Errorf("got %v, want it to say %q", err, c.Refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range golden.Texts {
				if ids := tok.AddSpecial(tok.Encode(text)); !slices.Equal(ids, c.IDs[i]) {
					t.Errorf("%q: ids %d, transformers has %d", text, ids, c.IDs[i])
				}
			}
		})
	}
}

// TestPrefixSpace reads a tokenizer.json beside a tokenizer_config.json: for the
// class GPT2Tokenizer the latter decides, in transformers 4.57.6 and 5.24.0 alike.
func TestPrefixSpace(t *testing.T) {
	for _, c := range []struct {
		file   string // of the pre_tokenizer
		config string // tokenizer_config.json; none if empty
		want   string
	}{
		{"false", "", "false"},
		{"true", "", "false"},
		{"true", "{}", "false"},
		{"true", `{"tokenizer_class":"GPT2TokenizerFast","add_prefix_space":false}`, "false"},
		{"false", `{"add_prefix_space":true}`, "true"},
		{"false", `{"tokenizer_class":"GPT2Tokenizer","add_prefix_space":true}`, "true"},
		{"true", `{"tokenizer_class":"PreTrainedTokenizerFast"}`, "true"},
	} {
		dir := unpacked(t, "whole")
		file := func(on string) string {
			return `{"model": {"type": "BPE"}, "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":` + on + `}, "a": [1.0]}`
		}
		put(t, filepath.Join(dir, "tokenizer.json"), []byte(file(c.file)))
		if c.config != "" {
			put(t, filepath.Join(dir, "tokenizer_config.json"), []byte(c.config))
		}
		got, _ := mustRead(t, dir)
		if compact(t, got.Tokenizer) != compact(t, []byte(file(c.want))) {
			t.Errorf("%s with %s: read %s, want %s", c.file, c.config, got.Tokenizer, c.want)
		}
	}
}

// TestTokenizerFiles checks which files of a tokenizer count, and what is said
// of those that do not.
func TestTokenizerFiles(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, c := range []struct {
		name    string
		files   map[string]json.RawMessage
		without string // a file to take away
		note    string
		err     string
	}{
		{"tokenizer.json counts", map[string]json.RawMessage{"tokenizer.json": raw("any"), "vocab.json": raw("no JSON")}, "", "", ""},
		{"no merges", nil, "merges.txt", "vocab.json is ignored", ""},
		{"no vocabulary", nil, "vocab.json", "merges.txt is ignored", ""},
		{"of RoBERTa", map[string]json.RawMessage{"tokenizer_config.json": raw(`{"tokenizer_class":"RobertaTokenizer"}`)}, "", `it belongs to a "RobertaTokenizer"`, ""},
		{"SentencePiece", map[string]json.RawMessage{"tokenizer.model": raw("x")}, "merges.txt", "tokenizer.model is ignored", ""},
		{"vocabulary that is no JSON", map[string]json.RawMessage{"vocab.json": raw("{")}, "", "", "vocab.json"},
		{"ids that are no numbers", map[string]json.RawMessage{"vocab.json": raw(`{"a":"b"}`)}, "", "", "vocab.json"},
		{"merges of one", map[string]json.RawMessage{"merges.txt": raw("#version: 0.2\na b\nc\n")}, "", "", `merges.txt: line 2 of its merges is "c"`},
		{"a pointer", map[string]json.RawMessage{"merges.txt": raw("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")}, "", "", "merges.txt: it is a Git LFS pointer"},
		{"an empty tokenizer.json", map[string]json.RawMessage{"tokenizer.json": raw("")}, "", "", "tokenizer.json: it is empty"},
		{"tokens that are no tokens", map[string]json.RawMessage{"special_tokens_map.json": raw(`{"mask_token":7}`)}, "", "", "mask_token"},
		{"ids that are no ids", map[string]json.RawMessage{"tokenizer_config.json": raw(`{"added_tokens_decoder":{"x":"<s>"}}`)}, "", "", `added_tokens_decoder: "x" is not an id`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := slowFolder(t, c.files)
			if c.without != "" {
				if err := os.Remove(filepath.Join(dir, c.without)); err != nil {
					t.Fatal(err)
				}
			}
			if c.err != "" {
				wantRefused(t, dir, c.err)
				return
			}
			got, report, err := huggingface.Read(dir)
			switch {
			case err != nil:
				t.Fatal(err)
			case c.note == "" && (len(report.Notes) > 0 || string(got.Tokenizer) != "any"):
				t.Errorf("got %q, %q", got.Tokenizer, report.Notes)
			case c.note != "" && (len(got.Tokenizer) > 0 || len(report.Notes) != 1 || !strings.HasPrefix(report.Notes[0], dir) || !strings.Contains(report.Notes[0], c.note)):
				t.Errorf("got %q, %q, want a note that says %q", got.Tokenizer, report.Notes, c.note)
			}
		})
	}
}
