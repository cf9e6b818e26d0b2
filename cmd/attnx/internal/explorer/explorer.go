// Package explorer writes a page that shows what a network computes of a text.
package explorer

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

const (
	mostTexts   = 8
	predictions = 10  // of each token
	smallVocab  = 256 // whose tokens name the columns of logits
)

// report is the JSON of explore.
type report struct {
	File   string       `json:"file"`
	Bytes  int64        `json:"bytes"`
	Layers int          `json:"layers"`
	Heads  int          `json:"heads"` // of all layers
	Texts  []reportText `json:"texts"`
}

type reportText struct {
	Text        string   `json:"text"`
	Translation string   `json:"translation,omitempty"` // of a translator
	Source      []string `json:"source,omitempty"`      // the tokens of its text
	Tokens      []string `json:"tokens"`                // of the text; of a translator, what its decoder reads
	Predicted   string   `json:"predicted"`             // after the last token, or for it
}

// Command returns the command explore.
func Command(s console.Streams) *cobra.Command {
	var texts []string
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explore MODEL --text TEXT -o PAGE.html",
		Short: "Write a page that shows what a network computes of a text",
		Long: `Write a page for a browser that shows what a network computes of a text, in
float64: which token looks at which, in every layer and head, and the path of
self-attention step by step with its numbers: the embeddings X, queries Q, keys
K, values V, scores S, their softmax A, the contextual embeddings H′ and H, the
feed-forward network Z¹ and Z², and the likeliest tokens. A token is a row, or
at a switch a column.

Of a network that translates, the page shows a text and its translation: what
the tokens of each look at, and with cross-attention which tokens of the text
each token of the translation rests on, and is looked at by.

With a second --text the page shows both side by side, and what the difference
changes. Up to 8 texts are taken.

The page is one file. It loads nothing, and works without a network. Of wide
matrices and long texts it has a part: all of attention, and the first columns
and tokens of the rest.`,
		Example: "  attnx explore quickstart --text 'not like' --text 'do like' -o explore.html",
		Args:    usage.OneArg("model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(texts) == 0:
				return fmt.Errorf("--text is missing: give the text to explore")
			case len(texts) > mostTexts:
				return fmt.Errorf("--text is given %d times: a page has at most %d texts", len(texts), mostTexts)
			case out == "":
				return fmt.Errorf("-o is missing: name the page to write, such as explore.html")
			case out == "-":
				return fmt.Errorf("-: nothing is written to standard output: name a file (./- for one of this name)")
			}
			place, err := output.Claim(output.Page, out, args[0])
			if err != nil {
				return err
			}
			defer place.Close()
			c, _, err := find.Load(args[0], s.Tell, model.LoadModel)
			if err != nil {
				return err
			}
			if layers, _ := attnx.AttentionLayers(c); layers == 0 {
				return fmt.Errorf("%s: the network %.80q has no attention to show: name a model of a network that has", args[0], c.Arch)
			}
			p, r, err := exploreModel(cmd.Context(), s, args[0], c, texts)
			if err != nil {
				return err
			}
			title := "attnx: " + filepath.Base(filepath.Clean(args[0]))
			ending.FinishFirst(cmd.Context())
			n := counter(0)
			err = store.Save(out, func(w io.Writer) error { return p.write(io.MultiWriter(w, &n), title) })
			if err != nil {
				return err
			}
			r.File, r.Bytes = out, int64(n)
			fmt.Fprintf(s.Note, "wrote %s, %s bytes: open it in a browser\n", out, quote.Count(int(n)))
			if asJSON {
				return usage.PrintJSON(s.Out, r)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&texts, "text", nil, "text to explore; give it again for a second text beside it")
	cmd.Flags().StringVarP(&out, "output", "o", "", "page to write, .html")
	usage.JSONFlag(cmd, &asJSON, report{})
	return cmd
}

// counter counts bytes.
type counter int64

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}

// exploreModel opens a model and computes the texts.
func exploreModel(ctx context.Context, s console.Streams, path string, c *model.Checkpoint, texts []string) (*page, *report, error) {
	if c.Translates() {
		t, err := attnx.OpenTranslator(path, attnx.Options{Tell: s.Tell})
		if err != nil {
			return nil, nil, err
		}
		defer t.Close()
		return exploreTranslator(ctx, t, texts)
	}
	tok, err := find.Tokenizer(path, c.Tokenizer, c)
	if err != nil {
		return nil, nil, err
	}
	return explore(c, tok, texts)
}

// explore computes the texts and makes the page.
func explore(c *model.Checkpoint, tok *tokens.Tokenizer, texts []string) (*page, *report, error) {
	return pageOf(c, tok, texts, func(name, text string, made *collector) (*attnx.Exploration, string, error) {
		ids, err := find.Encode(tok, c, name, text)
		if err != nil {
			return nil, "", err
		}
		if most := c.Context(); len(ids) == 0 || most > 0 && len(ids) > most {
			return nil, "", fmt.Errorf("%s has %d tokens, the model sees 1 to %d: take another text", name, len(ids), most)
		}
		e, err := attnx.Explore(c, tok, ids, predictions, made.see)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, err)
		}
		return e, "", nil
	})
}

// exploreTranslator is explore for a network that translates: each text with the best
// translation by the model's own settings.
func exploreTranslator(ctx context.Context, t *attnx.Translator, texts []string) (*page, *report, error) {
	return pageOf(t.Checkpoint, t.Tokenizer, texts, func(name, text string, made *collector) (*attnx.Exploration, string, error) {
		source, err := t.Encode(name, text)
		if err != nil {
			return nil, "", err
		}
		all, err := t.TranslateIDs(ctx, [][]int64{source}, t.Default)
		if err != nil {
			return nil, "", err
		}
		best, err := t.Decode(all[0][0].IDs)
		if err != nil {
			return nil, "", err
		}
		e, err := t.Explore(source, all[0][0].IDs, predictions, made.see)
		return e, best, err
	})
}

// pageOf makes the page of what compute computes of each text.
func pageOf(c *model.Checkpoint, tok *tokens.Tokenizer, texts []string, compute func(name, text string, made *collector) (*attnx.Exploration, string, error)) (*page, *report, error) {
	p, r := &page{}, &report{}
	for i, t := range texts {
		name := "--text"
		if len(texts) > 1 {
			name = fmt.Sprintf("--text %d", i+1)
		}
		made := &collector{share: len(texts)}
		e, translation, err := compute(name, t, made)
		if err != nil {
			return nil, nil, err
		}
		p.Texts = append(p.Texts, made.end(e))
		p.describe(e)
		told := reportText{Text: t, Translation: translation, Source: words(e.Source), Tokens: words(e.Tokens)}
		if n := len(e.Predicted); n > 0 && len(e.Predicted[n-1]) > 0 {
			told.Predicted = e.Predicted[n-1][0].Text
		}
		r.Texts = append(r.Texts, told)
	}
	for _, l := range p.Layers {
		r.Heads += l.Heads
	}
	r.Layers = len(p.Layers)
	parameters := 0
	for _, w := range c.Weights {
		parameters += w.Elements()
	}
	p.About = fmt.Sprintf("%s, %s parameters, %s and %s. Computed in float64.", c.Arch, quote.Count(parameters), plural(r.Layers, "layer"), plural(r.Heads, "head"))
	if v := c.Vocab(); v <= smallVocab {
		for id := range v {
			p.Vocabulary = append(p.Vocabulary, label(int64(id), tok.Target().Token(int64(id))))
		}
	}
	return p, r, nil
}

func words(list []attnx.ExploredToken) (out []string) {
	for _, t := range list {
		out = append(out, t.Text)
	}
	return out
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%s %ss", quote.Count(n), strings.TrimSuffix(thing, "s"))
}
