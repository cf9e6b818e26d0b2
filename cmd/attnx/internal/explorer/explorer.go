// Package explorer writes a page that shows what a network computes of a text.
package explorer

import (
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
	Text      string   `json:"text"`
	Tokens    []string `json:"tokens"`
	Predicted string   `json:"predicted"` // after the last token, or for it
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
				return fmt.Errorf("%s: the network %.80q has no attention to show", args[0], c.Arch)
			}
			tok, err := find.Tokenizer(args[0], c.Tokenizer, c)
			if err != nil {
				return err
			}
			p, r, err := explore(c, tok, texts)
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

// explore computes the texts and makes the page.
func explore(c *model.Checkpoint, tok *tokens.Tokenizer, texts []string) (*page, *report, error) {
	p, r := &page{}, &report{}
	for i, t := range texts {
		name := "--text"
		if len(texts) > 1 {
			name = fmt.Sprintf("--text %d", i+1)
		}
		ids, err := find.Encode(tok, c, name, t)
		if err != nil {
			return nil, nil, err
		}
		if most := c.Context(); len(ids) == 0 || most > 0 && len(ids) > most {
			return nil, nil, fmt.Errorf("%s has %d tokens, the model sees 1 to %d: take another text", name, len(ids), most)
		}
		made := &collector{share: len(texts)}
		e, err := attnx.Explore(c, tok, ids, predictions, made.see)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		p.Texts = append(p.Texts, made.end(e))
		p.describe(e)
		told := reportText{Text: t}
		for _, w := range e.Tokens {
			told.Tokens = append(told.Tokens, w.Text)
		}
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
			p.Vocabulary = append(p.Vocabulary, label(int64(id), tok.Token(int64(id))))
		}
	}
	return p, r, nil
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%s %ss", quote.Count(n), strings.TrimSuffix(thing, "s"))
}
