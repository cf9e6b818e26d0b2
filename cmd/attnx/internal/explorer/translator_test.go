package explorer

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
)

// goldenPairs is what the test reads of the cases of fixtures/oracle/huggingface_seq2seq.py.
type goldenPairs struct {
	Inputs map[string][][]int64 `json:"inputs"`
	Cases  []struct {
		Name       string                 `json:"name"`
		Attentions map[string][][]float64 `json:"attentions"`
	} `json:"cases"`
}

// translator opens a random network of the fixtures with a vocabulary of words, some of
// them hostile.
func translator(t *testing.T, name string) (*attnx.Translator, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "folder")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../../../fixtures/translators", name))); err != nil {
		t.Fatal(err)
	}
	vocab := map[string]int{"<pad>": 0, "</s>": 1}
	for id := 2; id < 61; id++ {
		vocab[fmt.Sprintf("w%d", id)] = id
	}
	for i, w := range hostile {
		delete(vocab, fmt.Sprintf("w%d", 50+i))
		vocab[w] = 50 + i
	}
	special := func(id int, token string) any {
		return map[string]any{"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
	}
	data, err := json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": []any{special(0, "<pad>"), special(1, "</s>")}, "normalizer": nil, "post_processor": nil, "decoder": nil, "truncation": nil, "padding": nil,
		"pre_tokenizer": map[string]any{"type": "Split", "pattern": map[string]string{"String": " "}, "behavior": "Removed", "invert": false},
		"model":         map[string]any{"type": "WordLevel", "vocab": vocab, "unk_token": "w2"},
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "tokenizer.json"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	tr, err := attnx.OpenTranslator(dir, attnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr, dir
}

// In a browser the page of a translator shows the attentions that transformers reports:
// of the encoder, of the decoder, and between them, from both sides.
func TestExploreTranslatorInChromium(t *testing.T) {
	if os.Getenv("ATTNX_CHROMIUM") == "" || os.Getenv("ATTNX_NODE_MODULES") == "" {
		t.Skip("set ATTNX_CHROMIUM to a Chromium, and ATTNX_NODE_MODULES to a folder with the npm package puppeteer-core")
	}
	text, err := os.ReadFile("../../../../fixtures/translators/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden goldenPairs
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	source, read := golden.Inputs["encoder_input_ids"][0], golden.Inputs["input_ids"][0]
	for _, c := range golden.Cases {
		t.Run(c.Name, func(t *testing.T) {
			tr, _ := translator(t, c.Name)
			p, _, err := pageOf(tr.Checkpoint, tr.Tokenizer, []string{"", ""}, func(name, _ string, made *collector) (*attnx.Exploration, string, error) {
				ids := slices.Clone(source)
				if strings.HasSuffix(name, "2") {
					ids[4] = 50 // a hostile token
				}
				e, err := tr.Explore(ids, append(slices.Clone(read[1:]), 1), predictions, made.see)
				return e, "", err
			})
			if err != nil {
				t.Fatal(err)
			}
			d := drive(t, p, "a translator")
			if len(d.Texts) != 4 || len(d.Texts[0]) != len(source) || len(d.Texts[1]) != len(read) || d.Texts[1][0] != "<pad>" || d.Texts[2][4] != hostile[0] {
				t.Errorf("texts %q", d.Texts)
			}
			cross := func(head, row, column int) float64 {
				return c.Attentions["cross"][0][(head*len(read)+row)*len(source)+column]
			}
			for title, part := range map[string]string{"encoder 0": "encoder", "decoder 0": "decoder", "cross-attention 0": "cross"} {
				want := c.Attentions[part][0]
				rows, columns := len(read), len(source)
				if part == "encoder" {
					rows = len(source)
				} else if part == "decoder" {
					columns = len(read)
				}
				for head := range 2 {
					table := d.Pair.Tables[fmt.Sprintf("%s, head %d", title, head)]
					if len(table) != rows+1 || len(table[0]) != columns+1 {
						t.Errorf("%s has a table of %d rows, expected %d × %d", title, len(table), rows, columns)
						continue
					}
					for i := range rows {
						for j := range columns {
							w, shown := want[(head*rows+i)*columns+j], table[i+1][j+1]
							var x float64
							if _, err := fmt.Sscan(shown, &x); err != nil && !(part == "decoder" && j > i && shown == "") || math.Abs(x-w) > 0.0051 {
								t.Errorf("%s, head %d, %d × %d is shown as %q, transformers has %g", title, head, i, j, shown, w)
							}
						}
					}
				}
			}
			// The highest weights of a token of the translation, and of one of the source.
			row, column := make([]float64, len(source)), make([]float64, len(read))
			for j := range row {
				row[j] = cross(1, 2, j)
			}
			for i := range column {
				column[i] = cross(1, i, 3)
			}
			for what, lists := range map[string][][]string{"looks at": d.Pair.Target, "is looked at by": d.Pair.Source} {
				weights, names := row, d.Texts[0]
				if what != "looks at" {
					weights, names = column, d.Texts[1]
				}
				best := slices.Index(weights, slices.Max(weights))
				if len(lists) != 2 || !strings.HasSuffix(lists[0][0], what) || !strings.HasPrefix(lists[0][1], names[best]) || !strings.HasSuffix(lists[0][1], fmt.Sprintf("%.0f %%", 100*weights[best])) {
					t.Errorf("%s: %q, expected %s with %g", what, lists, names[best], weights[best])
				}
			}
			if !strings.HasPrefix(d.Pair.Tops, "After “"+d.Texts[1][2]+"”"+p.Texts[0].Top[2][0][0].(string)) {
				t.Errorf("the likeliest tokens are shown as %q, expected %v", d.Pair.Tops, p.Texts[0].Top[2])
			}
			last := fmt.Sprintf("“%s” (token 6) looks at “%s” (token 10): ", d.Texts[1][6], d.Texts[0][10])
			if !strings.HasPrefix(d.Pair.Hover, last) || !strings.HasPrefix(d.Pair.Moved, fmt.Sprintf("“%s” (token 2) looks at ", d.Texts[1][2])) {
				t.Errorf("read out: %q, %q, expected %q", d.Pair.Hover, d.Pair.Moved, last)
			}
			if d.Pair.Down != d.Texts[1][2] || d.Pair.Switched != "Cross-attention 0, head 0" {
				t.Errorf("the key down goes from the source to %q, a click on the translation to %q", d.Pair.Down, d.Pair.Switched)
			}
			for _, s := range strings.Fields("X E Q K V S A H′ H Z¹ Z² ŷ") {
				if d.Steps[s].Formula == "" && s != "E" && s != "ŷ" || len(d.Steps[s].Table) == 0 && s != "E" && s != "ŷ" {
					t.Errorf("step %s: %+v", s, d.Steps[s])
				}
			}
		})
	}
}

// The command translates a text by itself and shows both.
func TestExploreTranslatorCommand(t *testing.T) {
	tr, dir := translator(t, "t5, small")
	texts := []string{"w7 w9 w30", strings.Join(hostile, " ")}
	want, err := tr.Translate(t.Context(), texts, tr.Default)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	page := filepath.Join(t.TempDir(), "page.html")
	cmd := Command(console.New(nil, &out, io.Discard))
	cmd.SetArgs([]string{dir, "--text", texts[0], "--text", texts[1], "-o", page, "--json"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatal(err)
	}
	for i, of := range r.Texts {
		if of.Translation != want[i][0].Text || len(of.Tokens) != len(want[i][0].IDs) || of.Tokens[0] != "<pad>" || len(of.Source) != len(strings.Split(texts[i], " ")) {
			t.Errorf("%+v, expected the translation %q", of, want[i][0].Text)
		}
		if got := want[i][0].IDs; tr.Tokenizer.Token(got[len(got)-1]) != of.Predicted {
			t.Errorf("%q is predicted last, the translation ends with %q", of.Predicted, tr.Tokenizer.Token(got[len(got)-1]))
		}
	}
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if html := string(data); strings.Count(strings.ToLower(html), "<script") != 2 || strings.Contains(html, "<img") {
		t.Error("a token is markup in the page")
	}
	cmd = Command(console.New(nil, &out, io.Discard))
	cmd.SetArgs([]string{dir, "--text", " ", "-o", page})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "--text is empty") {
		t.Errorf("no text: %v", err)
	}
}
