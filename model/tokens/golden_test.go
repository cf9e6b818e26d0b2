package tokens_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// The files of testdata are made by the Python library "tokenizers", with
// fixtures/oracle/check_tokenizer.py --golden; train.txt and texts.jsonl are
// written by hand.

// row is what the Python library says of a text: its ids, and the text that
// these ids give.
type row struct {
	IDs  []int64 `json:"ids"`
	Text string  `json:"text"`
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func golden(t *testing.T) map[string][]row {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(read(t, "golden.json"), &raw); err != nil {
		t.Fatal(err)
	}
	delete(raw, "tokenizers") // the version
	rows := make(map[string][]row)
	for name, v := range raw {
		var r []row
		if err := json.Unmarshal(v, &r); err != nil {
			t.Fatal(err)
		}
		rows[name] = r
	}
	return rows
}

func texts(t testing.TB) []string {
	t.Helper()
	var list []string
	for s := bufio.NewScanner(bytes.NewReader(read(t, "texts.jsonl"))); s.Scan(); {
		var text string
		if err := json.Unmarshal(s.Bytes(), &text); err != nil {
			t.Fatal(err)
		}
		list = append(list, text)
	}
	return list
}

func parse(t testing.TB, name string) *tokens.Tokenizer {
	t.Helper()
	tok, err := tokens.Parse(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func train(t testing.TB, kind tokens.Kind, text string, size int) *tokens.Tokenizer {
	t.Helper()
	tok, err := tokens.Train(kind, text, size)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// checkRows compares a tokenizer with what the Python library said.
func checkRows(t *testing.T, tok *tokens.Tokenizer, texts []string, want []row) {
	t.Helper()
	if len(texts) != len(want) || len(texts) == 0 {
		t.Fatalf("%d texts, %d golden rows", len(texts), len(want))
	}
	for i, text := range texts {
		if got := tok.Encode(text); !slices.Equal(got, want[i].IDs) {
			t.Errorf("Encode(%q)\n got %d %q\nwant %d %q", text, got, names(tok, got), want[i].IDs, names(tok, want[i].IDs))
		}
		if got, err := tok.Decode(want[i].IDs); err != nil || got != want[i].Text {
			t.Errorf("Decode(%d) = %q, %v, want %q", want[i].IDs, got, err, want[i].Text)
		}
	}
}

func names(tok *tokens.Tokenizer, ids []int64) []string {
	var s []string
	for _, id := range ids {
		s = append(s, tok.Token(id))
	}
	return s
}

// Files written by the Python library, GPT-2's old form among them.
func TestParsedGivesPythonsIDs(t *testing.T) {
	rows := golden(t)
	for _, name := range []string{"word", "char", "bpe", "gpt2_layout", "added"} {
		t.Run(name, func(t *testing.T) {
			tok := parse(t, name+".json")
			checkRows(t, tok, texts(t), rows[name])

			// What we write of it means the same.
			b, err := tok.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			again, err := tokens.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			checkRows(t, again, texts(t), rows[name])
			if c, err := again.MarshalJSON(); err != nil || !bytes.Equal(b, c) {
				t.Errorf("written, read and written again the file differs (%v)", err)
			}
		})
	}
}

// Ids as a bad model would write them, among them bytes that are no UTF-8.
func TestDecodeGivesPythonsText(t *testing.T) {
	tok, rows := parse(t, "bpe.json"), golden(t)["decode"]
	if len(rows) == 0 {
		t.Fatal("no golden rows")
	}
	for _, r := range rows {
		if got, err := tok.Decode(r.IDs); err != nil || got != r.Text {
			t.Errorf("Decode(%d) = %q, %v, want %q", r.IDs, got, err, r.Text)
		}
	}
}

// Training gives the vocabulary, the merges and so the ids of the Python
// library's trainers. There "[UNK]" in a text is read as the unknown token;
// here it is text.
func TestTrainGivesPythonsVocabulary(t *testing.T) {
	rows, all := golden(t), texts(t)
	for kind, size := range map[tokens.Kind]int{tokens.Word: 0, tokens.Char: 0, tokens.BPE: 400} {
		t.Run(kind.String(), func(t *testing.T) {
			want := parse(t, kind.String()+".json")
			got := train(t, kind, string(read(t, "train.txt")), size)
			if got.VocabSize() != want.VocabSize() {
				t.Errorf("%d tokens, want %d", got.VocabSize(), want.VocabSize())
			}
			for id := range int64(want.VocabSize()) {
				if got.Token(id) != want.Token(id) {
					t.Fatalf("token %d is %q, want %q", id, got.Token(id), want.Token(id))
				}
			}
			var plain []string
			var expect []row
			for i, text := range all {
				if !strings.Contains(text, tokens.Unknown) {
					plain, expect = append(plain, text), append(expect, rows[kind.String()][i])
				}
			}
			checkRows(t, got, plain, expect)
		})
	}
}
