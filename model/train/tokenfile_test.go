package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
)

func trained(t *testing.T, kind tokens.Kind, text string) *tokens.Tokenizer {
	t.Helper()
	tok, err := tokens.Train(kind, text, 300)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// A token file gives the batches that the text in memory gives.
func TestTokenFile(t *testing.T) {
	var jsonl strings.Builder
	for i := range 300 {
		fmt.Fprintf(&jsonl, "{\"text\": \"document %d, größer\"}\n", i)
	}
	prompts := strings.ReplaceAll(jsonl.String(), `"text": "`, `"prompt": "so ", "completion": "`)
	chats := strings.ReplaceAll(strings.ReplaceAll(jsonl.String(), `"text": "`, `"messages": ["so ", "`), `, größer"`, `", "größer", "als", " doc"]`)
	for name, text := range map[string]string{"a.jsonl": jsonl.String(), "p.jsonl": prompts, "c.jsonl": chats, "plain.txt": strings.Repeat("größer als zuvor\n", 100)} {
		path := filepath.Join(writeFiles(t, map[string]string{name: text}), name)
		tok := trained(t, tokens.BPE, text)
		end, _ := tok.EndOfText()
		how := Reading{Glob: "*", Limit: 1 << 20, Fields: true, Chat: func(m []byte) (parts []string, err error) { return parts, json.Unmarshal(m, &parts) }}
		out := filepath.Join(t.TempDir(), "t.safetensors")
		k := Tokens{Paths: []string{path}, Reading: how, Tokenizer: tok}
		if name != "plain.txt" {
			k.End = &end
		}
		if _, err := k.Write(t.Context(), out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if left, _ := filepath.Glob(out + ".*"); len(left) > 0 || !IsTokenFile(out) || IsTokenFile(path) {
			t.Errorf("%s: %v is left; the token file is one: %v, the text is one: %v", name, left, IsTokenFile(out), IsTokenFile(path))
		}
		file, err := OpenTokens(out)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got, err := file.Data(Form{Length: 16, End: k.End})
		if err != nil {
			t.Fatal(err)
		}
		read, err := ReadText(t.Context(), []string{path}, how)
		if err != nil {
			t.Fatal(err)
		}
		want, err := read.Tokenize(t.Context(), tok, Form{Length: 16, End: k.End}, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		if got.SHA256() != want.SHA256() || got.Tokens() != want.Tokens() {
			t.Errorf("%s: the examples differ", name)
		}
		var a, b Batch
		got.draw(got.train, 3, model.NewStream(1, "test"), 5, &a)
		want.draw(want.train, 3, model.NewStream(1, "test"), 5, &b)
		if !bytes.Equal(a[role.Labels].Data, b[role.Labels].Data) || got.err() != nil {
			t.Errorf("%s: a batch differs, %v", name, got.err())
		}
	}
}

// Writing that is interrupted after any document goes on to the same bytes.
func TestTokenFileResumed(t *testing.T) {
	var jsonl strings.Builder
	for i := range 40 {
		fmt.Fprintf(&jsonl, "{\"text\": \"document %d\"}\n", i)
	}
	folder := writeFiles(t, map[string]string{"a.jsonl": jsonl.String(), "b.txt": "the end of it all", "c.jsonl": jsonl.String()})
	tok := trained(t, tokens.Char, jsonl.String()+"the end of it all")
	k := Tokens{Paths: []string{folder}, Reading: Reading{Glob: "*", Limit: 1 << 20, Fields: true}, Tokenizer: tok}
	out := t.TempDir()
	whole, part := filepath.Join(out, "whole"), filepath.Join(out, "part")
	if done, err := k.Write(t.Context(), whole); err != nil || done.Resumed || done.Documents != 81 {
		t.Fatalf("%+v, %v", done, err)
	}
	want, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for stop := 1; stop <= 80; stop += 13 {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		k.Progress = func(int64, int64) {
			if n++; n == stop {
				cancel()
			}
		}
		if _, err := k.Write(ctx, part); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped after %d documents: %v", stop, err)
		}
		if _, err := os.Stat(part); err == nil {
			t.Fatal("an unfinished token file is there")
		}
		n = -1000
		done, err := k.Write(t.Context(), part)
		if err != nil || !done.Resumed || n != -1000+81-stop {
			t.Fatalf("stopped after %d documents: %+v, %d written again, %v", stop, done, n+1000, err)
		}
		got, err := os.ReadFile(part)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("stopped after %d documents: the file differs, %v", stop, err)
		}
		os.Remove(part)
	}
	// Other inputs begin again.
	ctx, cancel := context.WithCancel(t.Context())
	k.Progress = func(int64, int64) { cancel() }
	if _, err := k.Write(ctx, part); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "b.txt"), []byte("the end of all"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Progress = nil
	if done, err := k.Write(t.Context(), part); err != nil || done.Resumed {
		t.Errorf("another text: %+v, %v", done, err)
	}
}

func TestTokenFileRefused(t *testing.T) {
	tok := trained(t, tokens.Char, "abcdefgh")
	folder := writeFiles(t, map[string]string{"a.txt": strings.Repeat("abcdefgh", 50)})
	out := filepath.Join(t.TempDir(), "t")
	k := Tokens{Paths: []string{folder}, Reading: Reading{Glob: "*", Limit: 1 << 20}, Tokenizer: tok}
	if _, err := k.Write(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) string {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-2] ^= 1
	for what, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"a flipped bit": {flipped, "its ids have SHA-256"},
		"a cut file":    {good[:len(good)-7], "truncated"},
		"a version":     {bytes.Replace(good, []byte(`"attnx.tokens":"1"`), []byte(`"attnx.tokens":"2"`), 1), "version"},
		"a type":        {bytes.Replace(good, []byte(`"U16"`), []byte(`"I16"`), 1), "expected U16 or U32"},
	} {
		if _, err := OpenTokens(put(c.bytes)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", what, err, c.want)
		}
	}
	// Documents that are more or fewer than the ids, and ids of no token.
	for what, rows := range map[string][]byte{
		"one too long":  {255, 255, 255, 255, 0, 0, 0, 0},
		"one too few":   {9, 0, 0, 0, 1, 0, 0, 0},
		"a long prompt": {10, 0, 0, 0, 11, 0, 0, 0},
	} {
		var b bytes.Buffer
		by, _ := tok.MarshalJSON()
		ids := make([]byte, 20)
		w := format.NewWriter(&b, format.Header{Metadata: map[string]string{tokensVersion: "1", tokensBy: string(by), tokensSum: "de47c9b27eb8d300dbb5f2c353e632c393262cf06340c4fa7f1b40c4cbd36f90"}, Tensors: []format.TensorInfo{
			{Name: idsName, DType: format.Uint16, Shape: []int{10}}, {Name: documentsName, DType: format.Uint32, Shape: []int{1, 2}}}})
		w.Copy(bytes.NewReader(ids))
		w.Copy(bytes.NewReader(rows))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := OpenTokens(put(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Data(Form{Length: 16}); err == nil || !strings.Contains(err.Error(), "document") {
			t.Errorf("%s: %v", what, err)
		}
		f.Close()
	}

	f, err := OpenTokens(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := f.Data(Form{Length: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(out, flipped, 0o600), os.Chtimes(out, time.Time{}, time.Now().Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	if err := d.err(); err == nil || !strings.Contains(err.Error(), "it has changed while the run reads it") {
		t.Errorf("a changed file: %v", err)
	}
	f.err = nil
	if err := os.Truncate(out, 100); err != nil {
		t.Fatal(err)
	}
	f.read(0, make([]int64, 4)) // the end of the file comes first
	if err := d.err(); f.err == nil || !strings.Contains(err.Error(), "it has changed while the run reads it: put it back") {
		t.Errorf("a cut file: %v", err)
	}
}
