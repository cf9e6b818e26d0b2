package attnx

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime/ref"
)

// Alignment says how much each token of a translation attends to each token of its source:
// the mean of the attention weights over all heads of all layers of the decoder.
type Alignment struct {
	Source  []string    `json:"source"`  // the tokens of the source
	Target  []string    `json:"target"`  // the tokens of the translation
	Weights [][]float64 `json:"weights"` // of each token of the translation; a row sums to 1
	Links   [][2]int    `json:"links"`   // source and target: the token with the largest weight, for each that has text
}

// Align returns the alignment of a source and its translation, both as ids. It computes the
// network in float64.
func (t *Translator) Align(source, target []int64) (*Alignment, error) {
	if len(source) == 0 || len(target) == 0 {
		return nil, fmt.Errorf("%s: an alignment is of a text and its translation: one of them is empty", t.Path)
	}
	c, err := t.weighted()
	if err != nil {
		return nil, err
	}
	g, names, err := acrossWeights(c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Path, err)
	}
	oracle, err := ref.New(g, c.Weights)
	if err != nil {
		return nil, err
	}
	given, _ := t.inputs(source, target)
	values, err := oracle.Run(given)
	if err != nil {
		return nil, err
	}
	a := &Alignment{}
	for _, id := range source {
		a.Source = append(a.Source, t.Tokenizer.Token(id))
	}
	for i, id := range target {
		a.Target = append(a.Target, t.Tokenizer.Target().Token(id))
		row := make([]float64, len(source))
		for _, name := range names {
			x, err := values[name].Float64s()
			if err != nil {
				return nil, err
			}
			heads := values[name].Shape[1]
			for h := range heads {
				for j := range row {
					row[j] += x[(h*len(target)+i)*len(source)+j] / float64(heads*len(names))
				}
			}
		}
		a.Weights = append(a.Weights, row)
		if t.silent(id) {
			continue
		}
		best := -1
		for j, w := range row {
			if !t.silentSource(source[j]) && (best < 0 || w > row[best]) {
				best = j
			}
		}
		if best >= 0 {
			a.Links = append(a.Links, [2]int{best, i})
		}
	}
	return a, nil
}

// acrossWeights returns the graph of a network with the weights of the decoder's attentions to
// the source, (B,H,T,S), and their names.
func acrossWeights(c *model.Checkpoint) (g *graph.Graph, names []string, err error) {
	target := onTarget(c.Graph)
	g, err = graph.Rewrite(c.Graph, func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		if a, ok := n.Op.(graph.Attention); ok && target[n.Args[0]] && !target[n.Args[1]] {
			names = append(names, a.Probabilities(b, args).Name)
		}
		return nil
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("the network %.80q has no attention to a source: an alignment takes a model whose decoder has", c.Arch)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		g.Outputs = append(g.Outputs, graph.Output{Name: name, Value: g.Lookup(name)})
	}
	return g, names, nil
}

// inputs returns the inputs of the network for a source and its translation, and what the
// decoder reads of it.
func (t *Translator) inputs(source, target []int64) (given map[string]format.Tensor, read []int64) {
	given, read = map[string]format.Tensor{}, append([]int64{*t.special.Start}, target[:len(target)-1]...)
	for kind, ids := range map[role.Kind][]int64{role.SourceTokens: source, role.SourceMask: slices.Repeat([]int64{1}, len(source)), role.Tokens: read} {
		if in := t.Checkpoint.Graph.Input(role.Of(kind)); in != nil {
			given[in.Name] = format.FromInt64s(in.Name, []int{1, len(ids)}, ids)
		}
	}
	return given, read
}
