package attnx

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime/ref"
)

// AttentionMap is the attention of one head. Scores[t][s] is the weight with
// which token t attends to token s; each row sums to 1.
type AttentionMap struct {
	Layer  int         `json:"layer"`
	Head   int         `json:"head"`
	Tokens []string    `json:"-"` // of the sentence
	Scores [][]float64 `json:"scores"`
}

// Attention runs the ids of a sentence through the oracle, in float64, and
// returns the softmax of every head, layer by layer. The tokenizer provides the
// texts of the tokens. If the network has an attention mask, all tokens are
// visible.
func Attention(c *model.Checkpoint, tok *tokens.Tokenizer, ids []int64) ([]AttentionMap, error) {
	if layers, _ := AttentionLayers(c); layers == 0 {
		return nil, fmt.Errorf("the network %.80q has no attention", c.Arch)
	}
	if c.Translates() {
		return nil, fmt.Errorf("the network %.80q reads a source beside the text: attnx explore shows its attention", c.Arch)
	}
	var names []string
	g, err := graph.Rewrite(c.Graph, func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		if a, ok := n.Op.(graph.Attention); ok {
			names = append(names, a.Probabilities(b, args).Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, name := range names { // what no output needs is gone from a graph that the oracle takes apart
		g.Outputs = append(g.Outputs, graph.Output{Name: name, Value: g.Lookup(name)})
	}
	oracle, err := ref.New(g, c.Weights)
	if err != nil {
		return nil, err
	}
	values, err := oracle.Values(sentence(g, ids), names...)
	if err != nil {
		return nil, err
	}
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = tokenText(tok, id)
	}
	var maps []AttentionMap
	for layer, name := range names {
		x, err := values[name].Float64s()
		if err != nil {
			return nil, err
		}
		heads, rows, columns := values[name].Shape[1], values[name].Shape[2], values[name].Shape[3]
		for head := range heads {
			m := AttentionMap{Layer: layer, Head: head, Tokens: words}
			for t := range rows {
				row := (head*rows + t) * columns
				m.Scores = append(m.Scores, x[row:row+columns])
			}
			maps = append(maps, m)
		}
	}
	return maps, nil
}

// sentence returns the inputs of a network for one text.
func sentence(g *graph.Graph, ids []int64) map[string]format.Tensor {
	filled := func(x int64) []int64 { return slices.Repeat([]int64{x}, len(ids)) }
	inputs := map[string]format.Tensor{}
	for kind, x := range map[role.Kind][]int64{role.Tokens: ids, role.AttentionMask: filled(1), role.Segments: filled(0)} {
		if in := g.Input(role.Of(kind)); in != nil {
			inputs[in.Name] = format.FromInt64s(in.Name, []int{1, len(ids)}, x)
		}
	}
	return inputs
}

// AttentionLayers returns the number of layers with attention, and of heads in the
// first of them.
func AttentionLayers(c *model.Checkpoint) (layers, heads int) {
	for _, n := range c.Graph.Nodes {
		if _, ok := n.Op.(graph.Attention); !ok {
			continue
		}
		if layers++; layers == 1 {
			heads, _ = n.Args[0].Shape[1].Number()
		}
	}
	return layers, heads
}

// tokenText returns the text of a token. For a part of a character it returns
// the token as the vocabulary writes it.
func tokenText(tok *tokens.Tokenizer, id int64) string {
	text, err := tok.Decode([]int64{id})
	if err != nil || strings.ContainsRune(text, utf8.RuneError) {
		return tok.Token(id)
	}
	return text
}
