// Package heads is the command that shows what the heads of a network look at.
package heads

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/plot"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// Command returns attnx attention.
func Command(s console.Streams) *cobra.Command {
	var text, out string
	var layer, head int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "attention CHECKPOINT --text TEXT",
		Short: "Show what each token of a sentence looks at",
		Long: `Show the attention scores of a sentence after softmax, computed in float64: one
row for each token that looks, one column for each token looked at. Without
--layer and --head, the maps of all heads are shown. With -o they are drawn
into a picture instead, with a row for each layer and a column for each head.

Characters that a PNG's font lacks are written as escapes such as \u65e5; an
SVG has them as they are.`,
		Example: "  attnx attention quickstart --text 'do not like' --head 0 -o heads.png",
		Args:    usage.OneArg("checkpoint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if text == "" {
				return fmt.Errorf("--text is missing or empty: give the sentence to look at")
			}
			if out != "" {
				if _, err := plot.Format(out); err != nil {
					return err
				}
				place, err := output.Claim(output.Picture, out, args[0])
				if err != nil {
					return err
				}
				defer place.Close()
			}
			c, _, err := find.Load(args[0], s.Tell, model.LoadModel)
			if err != nil {
				return err
			}
			layers, heads := attnx.AttentionLayers(c)
			if layers == 0 {
				return fmt.Errorf("%s: the network %.80q has no attention to show: name a model of a network that has", args[0], c.Arch)
			}
			if layer < -1 || layer >= layers || head < -1 || head >= heads {
				return fmt.Errorf("--layer %d --head %d: the model has layers 0 to %d and heads 0 to %d", layer, head, layers-1, heads-1)
			}
			tok, ids, err := sentenceIDs(args[0], c, text)
			if err != nil {
				return err
			}
			maps, err := attnx.Attention(c, tok, ids)
			if err != nil {
				return err
			}
			var chosen []attnx.AttentionMap
			for _, m := range maps {
				if (layer < 0 || m.Layer == layer) && (head < 0 || m.Head == head) {
					chosen = append(chosen, m)
				}
			}
			if asJSON {
				if err := usage.PrintJSON(s.Out, attentionReport{maps[0].Tokens, chosen}); err != nil {
					return err
				}
			} else if out == "" {
				for _, m := range chosen {
					if err := plot.Text(s.Out, m); err != nil {
						return err
					}
				}
			}
			if out == "" {
				return nil
			}
			ending.FinishFirst(cmd.Context())
			small, err := plot.Attention(out, chosen)
			if err != nil {
				return err
			}
			fmt.Fprintf(s.Note, "wrote %s\n", out)
			if small {
				fmt.Fprintf(s.Note, "%d maps of %d tokens: the labels are very small: choose maps with --layer and --head\n", len(chosen), len(chosen[0].Tokens))
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&text, "text", "", "sentence to look at")
	fl.IntVar(&layer, "layer", -1, "layer to show, from 0 (-1: all)")
	fl.IntVar(&head, "head", -1, "head to show, from 0 (-1: all)")
	fl.StringVarP(&out, "output", "o", "", "draw them into this picture instead, .png or .svg")
	usage.JSONFlag(cmd, &asJSON, attentionReport{})
	return cmd
}

// attentionReport is the JSON of attention.
type attentionReport struct {
	Tokens []string             `json:"tokens"`
	Maps   []attnx.AttentionMap `json:"maps"`
}

// sentenceIDs returns the ids of a text. The text must fit the model's context.
func sentenceIDs(path string, c *model.Checkpoint, text string) (*tokens.Tokenizer, []int64, error) {
	tok, err := find.Tokenizer(path, c.Tokenizer, c)
	if err != nil {
		return nil, nil, err
	}
	ids, err := find.Encode(tok, c, "--text", text)
	switch most := c.Context(); {
	case err != nil:
	case len(ids) == 0:
		err = fmt.Errorf("--text has no tokens: take another sentence")
	case most > 0 && len(ids) > most: // 0: of any length
		err = fmt.Errorf("--text has %d tokens, the model sees 1 to %d: take another sentence", len(ids), most)
	}
	return tok, ids, err
}
