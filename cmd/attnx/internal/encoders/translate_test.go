package encoders

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/cmd/attnx/internal/console"
)

// Line i of the translations belongs to line i of the file: blank ones keep their place.
// Errors name the line.
func TestTranslateFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	if err := os.CopyFS(dir, os.DirFS("../../../../fixtures/translators/t5, small")); err != nil {
		t.Fatal(err)
	}
	vocab := map[string]int{}
	for id := range 61 {
		vocab[fmt.Sprintf("w%d", id)] = id
	}
	put := func(name string, v any) string {
		path := filepath.Join(dir, name)
		data, is := v.(string)
		if !is {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			data = string(text)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("tokenizer.json", map[string]any{
		"version": "1.0", "added_tokens": []any{}, "normalizer": nil, "post_processor": nil, "decoder": nil, "truncation": nil, "padding": nil,
		"pre_tokenizer": map[string]any{"type": "Whitespace"}, "model": map[string]any{"type": "WordLevel", "vocab": vocab, "unk_token": "w2"},
	})
	run := func(file string) (string, error) {
		var out strings.Builder
		cmd := Translate(console.New(nil, &out, io.Discard))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{dir, "--max-tokens", "3", "--file", file})
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	got, err := run(put("lines", "w9\n\n \nw9 w9\n"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 4 || lines[0] == "" || lines[1] != "" || lines[2] != "" || lines[3] == "" {
		t.Errorf("%q for four lines, the second and third blank", got)
	}
	for text, want := range map[string]string{"w7\n\nw1\n": `line 3 has the token "w1", which ends a text`, "\n\n": "has no text", "w7\nw\xff7\n": "line 2 is not UTF-8 at byte 2"} {
		if _, err := run(put("lines", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}
