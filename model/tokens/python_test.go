package tokens_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// TestPythonReadsOurFiles gives the files that MarshalJSON writes to the
// Python library: it must give the same ids and the same text.
func TestPythonReadsOurFiles(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON is not set: name a Python interpreter that has the package tokenizers")
	}
	all := append(texts(t), randomTexts()...)
	for kind, size := range map[tokens.Kind]int{tokens.Word: 0, tokens.Char: 40, tokens.BPE: 350} {
		t.Run(kind.String(), func(t *testing.T) {
			tok := train(t, kind, string(read(t, "train.txt")), size)
			b, err := tok.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			checkRows(t, tok, all, askPython(t, python, b, all))
		})
	}
}

// TestPythonReadsWhatWeReadAndWrote does the same with files that were the
// Python library's, GPT-2's form and added tokens among them.
func TestPythonReadsWhatWeReadAndWrote(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON is not set: name a Python interpreter that has the package tokenizers")
	}
	for _, name := range []string{"word", "char", "bpe", "gpt2_layout", "added"} {
		t.Run(name, func(t *testing.T) {
			b, err := parse(t, name+".json").MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			want, got := golden(t)[name], askPython(t, python, b, texts(t))
			for i := range want {
				if !slices.Equal(got[i].IDs, want[i].IDs) || got[i].Text != want[i].Text {
					t.Errorf("%q: ids %d, text %q, want %d and %q", texts(t)[i], got[i].IDs, got[i].Text, want[i].IDs, want[i].Text)
				}
			}
		})
	}
}

// askPython runs check_tokenizer.py on a tokenizer and texts.
func askPython(t *testing.T, python string, tokenizer []byte, texts []string) []row {
	t.Helper()
	var lines bytes.Buffer
	for _, text := range texts {
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(b, '\n'))
	}
	dir := t.TempDir()
	file, input := filepath.Join(dir, "tokenizer.json"), filepath.Join(dir, "texts.jsonl")
	if err := errors.Join(os.WriteFile(file, tokenizer, 0o600), os.WriteFile(input, lines.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, filepath.Join("..", "..", "fixtures", "oracle", "check_tokenizer.py"), file, input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var rows []row
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// randomTexts mixes what the splitting patterns tell apart: the same texts in
// every run.
func randomTexts() []string {
	parts := []string{" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2003", "\u2028", "a", "the", "Wörter", "'s", "'re", "'ll", "'", "’",
		"1", "20", "½", "_", "-", "...", "(", "é", "e\u0301", "日本", "言葉", "😀", "👍🏽", "\ufffd", "\x00", "\u200d", "\u0085", "ⓐ"}
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]string, 1000)
	for i := range list {
		var s strings.Builder
		for range rng.IntN(12) {
			s.WriteString(parts[rng.IntN(len(parts))])
		}
		list[i] = s.String()
	}
	return list
}
