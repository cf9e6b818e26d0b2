package tokens_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// kindRow is a tokenizer of the Python library and what it gives: for a text
// its ids, these with special tokens, and the text that the ids give.
type kindRow struct {
	Name      string          `json:"name"`
	Tokenizer json.RawMessage `json:"tokenizer"`
	Rows      []struct {
		In   *string `json:"in"`
		IDs  []int64 `json:"ids"`
		Full []int64 `json:"full"`
		Text string  `json:"text"`
	} `json:"rows"`
}

// checkKind compares the ids and the texts of a tokenizer with the library's.
func checkKind(t *testing.T, file []byte, want kindRow) {
	t.Helper()
	tok, err := tokens.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	fail := func(format string, args ...any) {
		if bad++; bad <= 3 {
			t.Errorf(format, args...)
		}
	}
	texts := 0
	for _, r := range want.Rows {
		if r.In != nil {
			texts++
			if got := tok.Encode(*r.In); !slices.Equal(got, r.IDs) {
				fail("Encode(%+q)\n got %q\nwant %q", *r.In, names(tok, got), names(tok, r.IDs))
			}
			if got := tok.AddSpecial(r.IDs); !slices.Equal(got, r.Full) {
				fail("AddSpecial(%d) = %d, want %d", r.IDs, got, r.Full)
			}
			var seq []int64
			for ids := range tok.EncodeSeq(*r.In) {
				seq = append(seq, ids...)
			}
			if !slices.Equal(seq, r.IDs) {
				fail("EncodeSeq(%+q) = %d, want %d", *r.In, seq, r.IDs)
			}
		}
		if got, err := tok.Decode(r.IDs); err != nil || got != r.Text {
			fail("Decode(%d) = %+q, %v, want %+q", r.IDs, got, err, r.Text)
		}
		d, stream := tok.NewDecoder(), ""
		for _, id := range r.IDs {
			s, err := d.Next(id)
			if err != nil {
				t.Fatal(err)
			}
			stream += s
		}
		if stream += d.Flush(); stream != r.Text {
			fail("id by id %d give %+q, want %+q", r.IDs, stream, r.Text)
		}
	}
	if bad > 0 || texts == 0 {
		t.Errorf("%d differences in %d texts", bad, texts)
	}
}

// Tokenizers with every kind of part, and those in which the library does the
// unexpected: kinds.jsonl and corners.jsonl are made by the Python library, with
// fixtures/oracle/tokenizer_kinds.py --golden.
func TestEveryKindGivesPythonsIDs(t *testing.T) {
	for line := range bytes.Lines(append(read(t, "kinds.jsonl"), read(t, "corners.jsonl")...)) {
		var k kindRow
		if err := json.Unmarshal(line, &k); err != nil {
			t.Fatal(err)
		}
		t.Run(k.Name, func(t *testing.T) {
			checkKind(t, k.Tokenizer, k)
			tok, err := tokens.Parse(k.Tokenizer)
			if err != nil {
				t.Fatal(err)
			}
			written, err := tok.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(written, k.Tokenizer) {
				t.Error("the file is not written as it was read")
			}
		})
	}
}

// TestTokenizersOfOthers compares ids and texts for any files: ATTNX_TOKENIZERS
// names them, as a list of patterns of paths.
func TestTokenizersOfOthers(t *testing.T) {
	python, files := os.Getenv("ATTNX_PYTHON"), os.Getenv("ATTNX_TOKENIZERS")
	if python == "" || files == "" {
		t.Skip("ATTNX_TOKENIZERS is not set: name tokenizer.json files, and with ATTNX_PYTHON an interpreter that has the package tokenizers")
	}
	for _, pattern := range filepath.SplitList(files) {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: no files (%v)", pattern, err)
		}
		for _, path := range paths {
			t.Run(path, func(t *testing.T) {
				cmd := exec.Command(python, filepath.Join("..", "..", "fixtures", "oracle", "tokenizer_kinds.py"), path)
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v\n%s", err, stderr.String())
				}
				var k kindRow
				if err := json.Unmarshal(out, &k); err != nil {
					t.Fatal(err)
				}
				file, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				checkKind(t, file, k)
			})
		}
	}
}
