package huggingface_test

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

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
)

// pieceCase is what fixtures/oracle/sentencepiece_tokenizers.py writes for a folder.
type pieceCase struct {
	Folder string `json:"folder"`
	Size   int    `json:"size"`
	Rows   []struct {
		In      string   `json:"in"`
		IDs     []int64  `json:"ids"`
		Target  []int64  `json:"target"`
		Random  []int64  `json:"random"`
		Texts   []string `json:"texts"`   // of the three
		Skipped string   `json:"skipped"` // of IDs without special tokens
	} `json:"rows"`
}

func pieceCases(t *testing.T, dir string) (cases []pieceCase) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err == nil {
		err = json.Unmarshal(text, &cases)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// pieceFolder copies a folder that has a tokenizer only, and adds a config.json.
func pieceFolder(t *testing.T, from string, size int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.Base(from))
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	config := map[string]any{"model_type": "t5", "vocab_size": size, "d_model": 8, "num_heads": 2, "num_layers": 1, "d_ff": 8, "d_kv": 4}
	if _, err := os.Stat(filepath.Join(dir, "source.spm")); err == nil {
		config = map[string]any{"model_type": "marian", "vocab_size": size, "d_model": 8, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
			"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "eos_token_id": 0, "pad_token_id": size - 1, "decoder_start_token_id": size - 1}
	}
	if targets, err := os.ReadFile(filepath.Join(dir, "target_vocab.json")); err == nil {
		var vocab map[string]int
		if err := json.Unmarshal(targets, &vocab); err != nil {
			t.Fatal(err)
		}
		config["share_encoder_decoder_embeddings"], config["decoder_vocab_size"], config["pad_token_id"], config["decoder_start_token_id"] = false, len(vocab), 2, 2
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "config.json"), text)
	return dir
}

// wantPieces compares the tokenizer of a model with transformers'.
func wantPieces(t *testing.T, what string, c *model.Checkpoint, want pieceCase) {
	t.Helper()
	tok, err := tokens.Parse(c.Tokenizer)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if tok.VocabSize() != want.Size {
		t.Errorf("%s: %d tokens, transformers has %d", what, tok.VocabSize(), want.Size)
	}
	special := map[int64]bool{}
	for _, token := range []string{"</s>", "<unk>", "<pad>"} {
		if id, ok := tok.ID(token); ok {
			special[id] = true
		}
	}
	bad, back := 0, tok // what decodes
	if tok.Separate() {
		back = tok.Target()
	}
	for _, row := range want.Rows {
		lists := [][]int64{tok.AddSpecial(tok.Encode(row.In)), nil, row.Random}
		if lists[1] = lists[0]; row.Target != nil {
			lists[1] = tok.Target().AddSpecial(tok.Target().Encode(row.In))
		} else {
			row.Target = row.IDs
		}
		for i, ids := range [][]int64{row.IDs, row.Target} {
			if !slices.Equal(lists[i], ids) {
				t.Errorf("%s: %q has the ids %v, transformers' %v", what, row.In, lists[i], ids)
				bad++
			}
		}
		for i, ids := range [][]int64{row.IDs, row.Target, row.Random} {
			if text, err := back.Decode(ids); err != nil || text != row.Texts[i] {
				t.Errorf("%s: %v is %q, transformers' %q: %v", what, ids, text, row.Texts[i], err)
				bad++
			}
		}
		if strings.Contains(what, "marian") && !strings.Contains(what, "special") {
			left := slices.DeleteFunc(slices.Clone(row.IDs), func(id int64) bool { return special[id] })
			if text, _ := back.Decode(left); text != row.Skipped {
				t.Errorf("%s: %v is %q, transformers' %q", what, left, text, row.Skipped)
				bad++
			}
		}
		if bad > 10 {
			t.Fatal("and so on")
		}
	}
}

// TestSentencePiece reads the tokenizers of Marian and T5 from SentencePiece's files: ids
// and texts are those of transformers (fixtures/oracle/sentencepiece_tokenizers.py).
func TestSentencePiece(t *testing.T) {
	dir := filepath.Join("testdata", "sentencepiece")
	for _, c := range pieceCases(t, dir) {
		folder := pieceFolder(t, filepath.Join(dir, c.Folder), c.Size)
		got, notes, err := huggingface.ReadAbout(folder)
		if err != nil || len(notes) > 0 {
			t.Fatal(err, notes)
		}
		wantPieces(t, c.Folder, got, c)
		if c.Folder == "t5" {
			continue
		}
		written := writePieces(t, got)
		for _, name := range []string{"source.spm", "target.spm", "vocab.json", "target_vocab.json"} {
			before, err := os.ReadFile(filepath.Join(folder, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			after, err := os.ReadFile(filepath.Join(written, name))
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("%s is written as %d bytes, it has %d: %v", name, len(after), len(before), err)
			}
		}
		again, _ := mustRead(t, written)
		wantPieces(t, c.Folder+" written", again, c)
	}
}

// writePieces writes a model with random weights that has the tokenizer.
func writePieces(t *testing.T, about *model.Checkpoint) (folder string) {
	t.Helper()
	n, err := about.Network()
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.New(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	c.Tokenizer, c.Special = about.Tokenizer, about.Special
	folder = filepath.Join(t.TempDir(), "written")
	if _, err := huggingface.Write(folder, c, format.Float32); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestSentencePieceTransformers compares more settings and texts, and has MarianTokenizer
// open what is written.
func TestSentencePieceTransformers(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" || !fixtures.Exhaustive() {
		t.Skip("ATTNX_PYTHON and ATTNX_EXHAUSTIVE=1 are not both set: transformers is not asked")
	}
	if err := exec.Command(python, "-c", "import sentencepiece, transformers").Run(); err != nil {
		t.Skipf("%s (ATTNX_PYTHON) has no sentencepiece and transformers: they are not asked", python)
	}
	dir := filepath.Join(t.TempDir(), "made")
	oracle(t, python, "sentencepiece_tokenizers.py", "--make", dir)
	var names, written []string
	var made []*model.Checkpoint
	for _, c := range pieceCases(t, dir) {
		got, notes, err := huggingface.ReadAbout(pieceFolder(t, filepath.Join(dir, c.Folder), c.Size))
		if err != nil || len(notes) > 0 {
			t.Fatal(err, notes)
		}
		wantPieces(t, c.Folder, got, c)
		if got.Arch == (arch.Marian{}).Architecture() {
			made = append(made, got)
			names, written = append(names, c.Folder), append(written, writePieces(t, got))
		}
	}
	if len(names) < 8 {
		t.Errorf("%d folders of Marian", len(names))
	}
	answers := bytes.Split(bytes.TrimSpace(oracle(t, python, "sentencepiece_tokenizers.py", append([]string{"--ask", filepath.Join(dir, "cases.json")}, written...)...)), []byte("\n"))
	for i, folder := range written {
		var want pieceCase
		if err := json.Unmarshal(answers[i], &want); err != nil {
			t.Fatal(err)
		}
		got, _ := mustRead(t, folder)
		wantPieces(t, names[i]+" written", got, want)
		wantPieces(t, names[i]+" before", made[i], want)
	}
}

// TestSentencePieceHostile damages the files: each is refused by its name, with a type.
func TestSentencePieceHostile(t *testing.T) {
	dir := filepath.Join("testdata", "sentencepiece")
	source, err := os.ReadFile(filepath.Join(dir, "marian", "source.spm"))
	if err != nil {
		t.Fatal(err)
	}
	piece := func(b ...byte) []byte { return append([]byte{10, byte(len(b))}, b...) }
	unknown := piece(10, 1, '?', 24, 2)
	for _, c := range []struct {
		folder, file string
		content      []byte
		want         string
	}{
		{"marian", "source.spm", source[:len(source)-1], "at byte"},
		{"marian", "target.spm", source[:100], "no protobuf message"},
		{"marian", "source.spm", nil, "none of the 0 is for unknown"},
		{"marian", "source.spm", []byte{10, 0xff, 0xff, 0xff, 0xff, 0x0f}, "at byte 1 of 6"}, // a piece of 4 GB
		{"marian", "source.spm", bytes.Repeat([]byte{10, 0}, 1<<20), "pieces[0]"},
		{"marian", "source.spm", slices.Concat(unknown, piece(10, 1, 'a'), piece(10, 1, 'a')), "pieces[2]: \"a\" is there twice"},
		{"marian", "source.spm", slices.Concat(unknown, piece(10, 1, 'a', 21, 0, 0, 0xc0, 0x7f)), "its score is NaN"},
		{"marian", "source.spm", slices.Concat(unknown, piece(10, 1, 'a', 24, 9)), "of the kind 9"},
		{"marian", "source.spm", slices.Concat(unknown, piece(10, 1, 0xff)), "expected text"},
		{"marian", "source.spm", slices.Concat(unknown, []byte{18, 2, 24, 2}), "model_type"},
		{"marian", "source.spm", slices.Concat(unknown, []byte{18, 3, 0x98, 2, 1}), "0x00"},
		{"marian", "source.spm", slices.Concat(unknown, []byte{26, 6, 18, 4, 0xff, 0xff, 0xff, 0xff}), "precompiled_charsmap"},
		{"marian", "source.spm", slices.Concat(unknown, []byte{26, 2, 40, 0}), "escape_whitespaces"},
		{"marian", "vocab.json", []byte(`{"</s>":0,"a":1,"<pad>":2}`), "no token <unk>"},
		{"marian", "vocab.json", []byte(`{"</s>":0,"<unk>":1,"a":1,"<pad>":2}`), "id 1 belongs to"},
		{"marian", "vocab.json", []byte(`{"</s>":0,"<unk>":1,"a":2147483647}`), "vocabulary with gaps"},
		{"marian", "vocab.json", []byte(`{"</s>":0,"<unk>":1,"<unk>":2}`), "duplicate"},
		{"marian", "vocab.json", []byte(`[`), "not valid"},
		{"t5", "spiece.model", source[:50], "no protobuf message"},
		{"t5", "spiece.model", unknown, "unknown characters have the id 0"},
		{"t5", "tokenizer_config.json", []byte(`{"extra_ids":1000000000}`), "extra_ids"},
		{"t5", "tokenizer_config.json", []byte(`{"extra_ids":-1}`), "extra_ids"},
	} {
		folder := pieceFolder(t, filepath.Join(dir, c.folder), 300)
		put(t, filepath.Join(folder, c.file), c.content)
		_, _, err := huggingface.ReadAbout(folder)
		var bad *tokens.FormatError
		var other *tokens.UnsupportedError
		if !errors.As(err, &bad) && !errors.As(err, &other) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s with %.40q: %v, want it to say %q", c.file, c.content, err, c.want)
		}
	}
}

// A tokenizer of two vocabularies without the second is refused by that file's name.
func TestSeparateVocabularies(t *testing.T) {
	folder := pieceFolder(t, filepath.Join("testdata", "sentencepiece", "marian"), 300)
	put(t, filepath.Join(folder, "tokenizer_config.json"), []byte(`{"separate_vocabs":true}`))
	if _, _, err := huggingface.ReadAbout(folder); err == nil || !strings.Contains(err.Error(), "target_vocab.json: the folder has no such file") {
		t.Error(err)
	}
}
