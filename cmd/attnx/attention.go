package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime/ref"
)

func attentionCommand(s streams) *cobra.Command {
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
		Args:    oneArg("checkpoint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if text == "" {
				return fmt.Errorf("--text is missing or empty: give the sentence to look at")
			}
			if out != "" {
				if _, err := pictureFormat(out); err != nil {
					return err
				}
				place, err := claim(output.Picture, out, args[0])
				if err != nil {
					return err
				}
				defer place.Close()
			}
			c, _, err := find.Load(args[0], s.tell, model.LoadModel)
			if err != nil {
				return err
			}
			layers, heads := layersOf(c)
			if layer < -1 || layer >= layers || head < -1 || head >= heads {
				return fmt.Errorf("--layer %d --head %d: the model has layers 0 to %d and heads 0 to %d", layer, head, layers-1, heads-1)
			}
			maps, err := attentionMaps(args[0], c, text)
			if err != nil {
				return err
			}
			var chosen []attentionMap
			for _, m := range maps {
				if (layer < 0 || m.Layer == layer) && (head < 0 || m.Head == head) {
					chosen = append(chosen, m)
				}
			}
			if asJSON {
				if err := printJSON(s.out, attentionReport{maps[0].Tokens, chosen}); err != nil {
					return err
				}
			} else if out == "" {
				for _, m := range chosen {
					if err := m.print(s.out); err != nil {
						return err
					}
				}
			}
			if out == "" {
				return nil
			}
			size, err := plotAttention(out, chosen)
			if err != nil {
				return err
			}
			fmt.Fprintf(s.note, "wrote %s\n", out)
			if size < heatSmall {
				fmt.Fprintf(s.note, "%d maps of %d tokens: the labels are very small: choose maps with --layer and --head\n", len(chosen), len(chosen[0].Tokens))
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&text, "text", "", "sentence to look at")
	fl.IntVar(&layer, "layer", -1, "layer to show, from 0 (-1: all)")
	fl.IntVar(&head, "head", -1, "head to show, from 0 (-1: all)")
	fl.StringVarP(&out, "output", "o", "", "draw them into this picture instead, .png or .svg")
	jsonFlag(cmd, &asJSON, attentionReport{})
	return cmd
}

// attentionReport is what attention prints as JSON.
type attentionReport struct {
	Tokens []string       `json:"tokens"`
	Maps   []attentionMap `json:"maps"`
}

// attentionMap is the attention of one head: Scores[t][s] is how much token t
// looks at token s; a row sums to 1.
type attentionMap struct {
	Layer  int         `json:"layer"`
	Head   int         `json:"head"`
	Tokens []string    `json:"-"` // of the sentence
	Scores [][]float64 `json:"scores"`
}

func (m attentionMap) title() string { return fmt.Sprintf("layer %d, head %d", m.Layer, m.Head) }

// attentionMaps runs a sentence through the oracle and collects the softmax of
// every head.
func attentionMaps(path string, c *model.Checkpoint, text string) ([]attentionMap, error) {
	tok, err := find.Tokenizer(path, c.Tokenizer, c)
	if err != nil {
		return nil, err
	}
	ids, err := find.Encode(tok, c, "--text", text)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 || len(ids) > c.Context() {
		return nil, fmt.Errorf("--text has %d tokens, the model sees 1 to %d: take another sentence", len(ids), c.Context())
	}
	whole := func(n *graph.Node) bool {
		_, attention := n.Op.(graph.Attention)
		return !attention
	}
	g, err := graph.Decompose(whole)(c.Graph)
	if err != nil {
		return nil, err
	}
	oracle, err := ref.New(g, c.Weights)
	if err != nil {
		return nil, err
	}
	var names []string
	for v := range g.Values() {
		if strings.HasSuffix(v.Name, "attn.probabilities") {
			names = append(names, v.Name)
		}
	}
	input := format.FromInt64s(role.Tokens.Name(), []int{1, len(ids)}, ids)
	values, err := oracle.Values(map[string]format.Tensor{input.Name: input}, names...)
	if err != nil {
		return nil, err
	}
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = tokenText(tok, id)
	}
	_, heads := layersOf(c)
	var maps []attentionMap
	for layer, name := range names {
		x, err := values[name].Float64s()
		if err != nil {
			return nil, err
		}
		n := len(ids)
		for head := range heads {
			m := attentionMap{Layer: layer, Head: head, Tokens: words}
			for t := range n {
				row := (head*n + t) * n
				m.Scores = append(m.Scores, x[row:row+n])
			}
			maps = append(maps, m)
		}
	}
	return maps, nil
}

// layersOf returns the number of layers that attend, and of heads in the first.
func layersOf(c *model.Checkpoint) (layers, heads int) {
	nodes := c.Attentions()
	if len(nodes) > 0 {
		heads, _ = nodes[0].Args[0].Shape[1].Number()
	}
	return len(nodes), heads
}

// tokenText returns the text of a token, or, of a part of a character, the
// token as the vocabulary writes it.
func tokenText(tok *tokens.Tokenizer, id int64) string {
	text, err := tok.Decode([]int64{id})
	if err != nil || strings.ContainsRune(text, utf8.RuneError) {
		return tok.Token(id)
	}
	return text
}
