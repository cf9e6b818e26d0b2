package explorer

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
)

// hostile are tokens that a page must show and not run.
var hostile = []string{
	"<script>alert(1)</script>", "</script>", "<img/src=x/onerror=alert(2)>", `"onmouseover=alert(3)`, "<!--", "{{script}}", "&lt;", "a\u202eb", "\u2028",
}

// network is a small model of a vocabulary that includes the hostile tokens.
func network(t *testing.T, name string, heads int) (*model.Checkpoint, *tokens.Tokenizer) {
	t.Helper()
	vocab := map[string]int{"[UNK]": 0, "do": 1, "not": 2, "like": 3}
	for i, w := range hostile {
		vocab[w] = 4 + i
	}
	data, err := json.Marshal(map[string]any{
		"version": "1.0", "added_tokens": []any{}, "normalizer": nil, "post_processor": nil, "decoder": nil, "truncation": nil, "padding": nil,
		"pre_tokenizer": map[string]any{"type": "Split", "pattern": map[string]string{"String": " "}, "behavior": "Removed", "invert": false},
		"model":         map[string]any{"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokens.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	n, err := arch.New(name, arch.Sizes{Layers: 2, Heads: heads, Width: 8 * heads, Context: 64}, len(vocab))
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.New(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range c.Weights { // so that heads look at something
		x, err := w.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for k := range x {
			x[k] = float32(0.6 * math.Sin(float64(7*k+i)))
		}
		copy(c.Weights[i].Data, w.Data)
	}
	c.Tokenizer = data
	return c, tok
}

func written(t *testing.T, p *page, title string) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.write(&b, title); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What a text or a name says is never markup: the page has its own two scripts only,
// and its policy allows nothing else.
func TestPageHasNoForeignMarkup(t *testing.T) {
	c, tok := network(t, arch.Names()[0], 2)
	p, _, err := explore(c, tok, []string{strings.Join(hostile, " ")})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Texts[0].Tokens); n != len(hostile) {
		t.Fatalf("%d tokens, expected %d: %v", n, len(hostile), p.Texts[0].Tokens)
	}
	html := written(t, p, `</title><script>alert(4)</script>`)
	for what, want := range map[string]int{"<script": 2, "</script": 2, "<style": 1, "</title": 1, "<img": 0, "onerror=alert(2)": 2, "http://": 0, "https://": 0, "\u202e": 0} {
		if got := strings.Count(strings.ToLower(html), what); got != want && (what != "onerror=alert(2)" || got == 0) {
			t.Errorf("%q is %d times in the page, expected %d", what, got, want)
		}
	}
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(html)[1]
	for _, part := range []string{"default-src 'none'", "script-src " + hashOf(script), "style-src " + hashOf(style)} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy %s lacks %s", policy, part)
		}
	}
	for _, source := range []string{script, style, frame} {
		if strings.Contains(source, "innerHTML") || strings.Contains(source, "eval(") || strings.Contains(source, "unsafe-") {
			t.Error("the page's own code makes markup or code of text")
		}
	}
}

// What the page holds of attention is what attnx attention prints, to the digits that
// are kept: 2^-16, or 2^-8 of the square root.
func TestPageHoldsTheWeights(t *testing.T) {
	for _, name := range arch.Names() {
		c, tok := network(t, name, 2)
		if layers, _ := attnx.AttentionLayers(c); layers == 0 || c.Graph.Input(role.Of(role.SourceTokens)) != nil {
			continue
		}
		ids := tok.AddSpecial(tok.Encode("do not like do like"))
		want, err := attnx.Attention(c, tok, ids)
		if err != nil {
			t.Fatal(err)
		}
		for _, share := range []int{1, 1 << 20} { // with two bytes, and with one
			made := &collector{share: share}
			e, err := attnx.Explore(c, tok, ids, 3, made.see)
			if err != nil {
				t.Fatal(err)
			}
			got := made.end(e)
			for _, m := range want {
				x := inflated(t, got.Weights[m.Layer][m.Head])
				at, most := 0, 0.0
				for i, row := range m.Scores {
					for j, w := range row {
						if e.Layers[m.Layer].Causal && j > i {
							continue
						}
						if got.Bytes == 2 {
							most = max(most, math.Abs(w-float64(int(x[2*at])|int(x[2*at+1])<<8)/65535)*65536)
						} else {
							most = max(most, math.Abs(math.Sqrt(w)-float64(x[at])/255)*256)
						}
						at++
					}
				}
				if most > 0.51 || at*got.Bytes != len(x) {
					t.Errorf("%s, %d bytes: layer %d, head %d: off by %.2f steps, %d bytes for %d weights", name, got.Bytes, m.Layer, m.Head, most, len(x), at)
				}
			}
		}
	}
}

func inflated(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		data, err = io.ReadAll(flate.NewReader(bytes.NewReader(data)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A page of 64 tokens of a network of GPT-2's size stays below 5 MB, and one of 1,024
// tokens keeps attention whole and cuts the rest.
func TestPageSize(t *testing.T) {
	for _, n := range []int{64, 1024} {
		e := &attnx.Exploration{Tokens: make([]attnx.ExploredToken, n)}
		for range 12 {
			l := attnx.ExploredLayer{Heads: 12, Groups: 12, Causal: true}
			for symbol, width := range map[string]int{"X": 768, "Q": 64, "K": 64, "V": 64, "S": 0, "A": 0, "H′": 64, "H": 768, "Z¹": 3072, "Z²": 768} {
				l.Steps = append(l.Steps, attnx.ExploredStep{Symbol: symbol, Width: width})
			}
			e.Layers = append(e.Layers, l)
		}
		c := &collector{share: 1}
		c.begin(e)
		cells := 144 * n * (n + 1) / 2
		bytes := len(c.thumbs) + cells*c.text.Bytes
		if c.text.Scores != nil {
			bytes += 2 * cells
		}
		for _, width := range []int{768, 768, 3072, 768} {
			bytes += 2 * 12 * c.rows * min(width, c.columns)
		}
		bytes += 2 * 12 * 4 * 12 * c.rows * min(64, c.columns)
		if n == 64 && (bytes*4/3 > 4_900_000 || c.rows != 64 || c.text.Bytes != 2 || c.text.Scores == nil) || c.columns < leastColumns || c.rows < leastRows {
			t.Errorf("%d tokens: %d bytes before base64, %d rows and %d columns of a matrix", n, bytes, c.rows, c.columns)
		}
	}
}

func TestExploreRefuses(t *testing.T) {
	c, _ := network(t, arch.Names()[0], 2)
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "mine.html")
	if err := os.WriteFile(foreign, []byte("<html>mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(t.TempDir(), "p.html")
	for want, args := range map[string][]string{
		"--text is missing":         {path, "-o", page},
		"-o is missing":             {path, "--text", "do"},
		"at most 8 texts":           {path, "-o", page, "--text=a", "--text=a", "--text=a", "--text=a", "--text=a", "--text=a", "--text=a", "--text=a", "--text=a"},
		"--text has 65 tokens":      {path, "-o", page, "--text", strings.TrimSpace(strings.Repeat("do ", 65))},
		"--text 2 has 0 tokens":     {path, "-o", page, "--text", "do", "--text", " "},
		"attnx did not write it":    {path, "-o", foreign, "--text", "do"},
		"extension of another kind": {path, "-o", "p.onnx", "--text", "do"},
		"standard output":           {path, "-o", "-", "--text", "do"},
		"there is no such file or":  {filepath.Join(t.TempDir(), "nothing"), "-o", page, "--text", "do"},
	} {
		cmd := Command(console.New(nil, io.Discard, io.Discard))
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) && want != "there is no such file or" {
			t.Errorf("%v: %v, expected %q", args[1:], err, want)
		}
	}
	for range 2 { // a page of ours is replaced
		cmd := Command(console.New(nil, io.Discard, io.Discard))
		cmd.SetArgs([]string{path, "-o", page, "--text", "do not", "--text", "do like"})
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// driven is what drive_explorer.mjs saw.
type driven struct {
	Drawn                   float64
	Title, Light, Dark      string
	Texts                   [][]string
	Differs, Looks, Says    []string
	Heads, Overflow, Nodes  int
	Head, First, FirstFocus string
	Steps                   map[string]struct {
		Formula string
		Table   [][]string
	}
	Columns struct {
		Formula string
		Table   [][]string
	}
	Token, Next, Readout, Hover, Other string
	Maps, Alone, Changes               []string
	Pair                               struct { // of a translator
		Tables             map[string][][]string
		Target, Source     [][]string
		Tops, Moved, Hover string
		Down, Switched     string
	}
	Foreign                       int
	Complaints, Requests, Dialogs []string
}

func drive(t *testing.T, p *page, title string) driven {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(written(t, p, title)), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"../../../../fixtures/oracle/drive_explorer.mjs", file}
	if pictures := os.Getenv("ATTNX_PICTURES"); pictures != "" {
		args = append(args, pictures)
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var d driven
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Complaints)+len(d.Requests)+len(d.Dialogs)+d.Foreign > 0 {
		t.Errorf("complaints %q, requests %q, dialogs %q, %d foreign elements", d.Complaints, d.Requests, d.Dialogs, d.Foreign)
	}
	if d.Overflow > 0 || d.Light == d.Dark {
		t.Errorf("on a phone the page is %d pixels too wide; the ground is %s, in the dark %s", d.Overflow, d.Light, d.Dark)
	}
	return d
}

// In a browser the page shows the numbers that the oracle computed, to mouse and
// keyboard.
func TestExploreInChromium(t *testing.T) {
	if os.Getenv("ATTNX_CHROMIUM") == "" || os.Getenv("ATTNX_NODE_MODULES") == "" {
		t.Skip("set ATTNX_CHROMIUM to a Chromium, and ATTNX_NODE_MODULES to a folder with the npm package puppeteer-core")
	}
	for _, name := range []string{"simple", "bert"} {
		t.Run(name, func(t *testing.T) {
			c, tok := network(t, name, 2)
			texts := []string{"not like do", "do like do"}
			p, _, err := explore(c, tok, texts)
			if err != nil {
				t.Fatal(err)
			}
			d := drive(t, p, "a & b")
			maps, err := attnx.Attention(c, tok, tok.Encode(texts[0]))
			if err != nil {
				t.Fatal(err)
			}
			number := func(x float64) string { return fmt.Sprintf("%.2f", x) }
			table := d.Steps["A"].Table // of the second text, where texts are side by side
			second, err := attnx.Attention(c, tok, tok.Encode(texts[1]))
			if err != nil {
				t.Fatal(err)
			}
			for i, row := range second[0].Scores {
				for j, w := range row {
					want := number(w)
					if p.Layers[0].Causal && j > i {
						want = ""
					}
					if w >= 0.005 && table[i+1][j+1] != want {
						t.Errorf("A of token %d and %d is shown as %q, expected %q", i, j, table[i+1][j+1], want)
					}
					if turned := d.Columns.Table[j+1][i+1]; turned != table[i+1][j+1] {
						t.Errorf("as columns it is %q", turned)
					}
				}
			}
			if want := fmt.Sprintf("%.0f %%", 100*slices.Max(maps[0].Scores[2])); d.Looks[0] != want {
				t.Errorf("the last token looks at most by %s, expected %s", d.Looks[0], want)
			}
			for i, text := range p.Texts {
				if want := text.Top[2][0][0]; d.Says[i] != want {
					t.Errorf("text %d: says %q, expected %q", i+1, d.Says[i], want)
				}
			}
			layers := fmt.Sprintf("Layer %d, head 1", len(p.Layers)-1)
			if d.Head != layers || d.First != "Layer 0, head 0" || d.FirstFocus != "layer 0, head 0" || d.Heads != 2*len(p.Layers) {
				t.Errorf("a click on the last of %d heads shows %q, the keyboard %q with the focus on %q", d.Heads, d.Head, d.First, d.FirstFocus)
			}
			if !slices.Equal(d.Differs, []string{"not", "do"}) || d.Token != "not" || d.Next != "like" || d.Other != "do" || len(d.Maps) != 3 || len(d.Alone) != 1 || len(d.Changes) == 0 {
				t.Errorf("%+v", d)
			}
			if !strings.Contains(d.Readout, "“like” (token 1) looks at “not” (token 0): ") || !strings.Contains(d.Hover, "(token 2) looks at “do” (token 2): ") {
				t.Errorf("read out: %q, %q", d.Readout, d.Hover)
			}
			for _, s := range strings.Fields("X Q K V S A H′ H Z¹ Z² ŷ") {
				if d.Steps[s].Formula == "" || len(d.Steps[s].Table) != 4 {
					t.Errorf("step %s: %+v", s, d.Steps[s])
				}
			}
		})
	}
	t.Run("long and hostile", func(t *testing.T) {
		n, err := arch.New("gpt2", arch.Sizes{Layers: 4, Heads: 4, Width: 32, Context: 1024}, 13)
		if err != nil {
			t.Fatal(err)
		}
		c, err := model.New(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, tok := network(t, "gpt2", 2)
		p, _, err := explore(c, tok, []string{strings.Join(hostile, " ") + strings.Repeat(" do not like", 330)})
		if err != nil {
			t.Fatal(err)
		}
		d := drive(t, p, hostile[0])
		if d.Title != hostile[0] || len(d.Texts[0]) != 999 || !slices.Equal(d.Texts[0][:3], hostile[:3]) {
			t.Errorf("title %q, tokens %q", d.Title, d.Texts[0][:9])
		}
		if d.Nodes > 5000 {
			t.Errorf("%d elements for 999 tokens", d.Nodes)
		}
	})
}
