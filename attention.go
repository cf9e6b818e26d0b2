package attnx

import (
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime/ref"
)

// AttentionMap is the attention of one head: Scores[t][s] is how much token t
// looks at token s; a row sums to 1.
type AttentionMap struct {
	Layer  int         `json:"layer"`
	Head   int         `json:"head"`
	Tokens []string    `json:"-"` // of the sentence
	Scores [][]float64 `json:"scores"`
}

// Attention runs the ids of a sentence through the oracle, in float64, and
// returns the softmax of every head, layer by layer. The tokenizer gives the
// texts of the tokens.
func Attention(c *model.Checkpoint, tok *tokens.Tokenizer, ids []int64) ([]AttentionMap, error) {
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
	_, heads := AttentionLayers(c)
	var maps []AttentionMap
	for layer, name := range names {
		x, err := values[name].Float64s()
		if err != nil {
			return nil, err
		}
		n := len(ids)
		for head := range heads {
			m := AttentionMap{Layer: layer, Head: head, Tokens: words}
			for t := range n {
				row := (head*n + t) * n
				m.Scores = append(m.Scores, x[row:row+n])
			}
			maps = append(maps, m)
		}
	}
	return maps, nil
}

// AttentionLayers returns the number of layers that attend, and of heads in the first.
func AttentionLayers(c *model.Checkpoint) (layers, heads int) {
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
