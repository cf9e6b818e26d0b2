package attnx

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime/ref"
)

// The values of self-attention as textbooks introduce it, for a text of T tokens
// whose rows are tokens. D is the width of a head.
const (
	StepInput   = "X"  // what a layer reads, (T,C)
	StepSource  = "E"  // where queries look into a source: its states, of S tokens, (S,C)
	StepQuery   = "Q"  // queries of a head, (T,D)
	StepKey     = "K"  // keys of a head, (T,D)
	StepValue   = "V"  // values of a head, (T,D)
	StepScores  = "S"  // scores of a head, Q·Kᵀ times a factor, (T,T)
	StepSoftmax = "A"  // softmax of each row of S, (T,T)
	StepHead    = "H′" // contextual embeddings of a head, A·V, (T,D)
	StepOutput  = "H"  // heads side by side through a layer, (T,C)
	StepInner   = "Z¹" // inside of the feed-forward network, (T,F)
	StepOuter   = "Z²" // its output, (T,C)
)

// Exploration describes what a network computes of a text: how it is built, and
// what it predicts. The numbers in between go to the callback of Explore.
type Exploration struct {
	Tokens []ExploredToken // of the text; of a translator, what its decoder reads
	Source []ExploredToken // what the encoder of a translator reads; nil of others
	// Next reports that the scores of a token are those of the token after it. They
	// are of the token itself otherwise.
	Next   bool
	Layers []ExploredLayer
	// Predicted has the likeliest tokens or classes of each token, the first one
	// first, or those of the text (one row). It is empty if the network has no
	// logits.
	Predicted [][]Prediction
	Logits    ExploredStep // which value they are; the zero value if there is none
	Classes   []string     // names of classes; nil if tokens are predicted
}

// ExploredToken is a token of the text.
type ExploredToken struct {
	ID   int64
	Text string
}

// ExploredLayer is an attention and what follows it, up to the next.
type ExploredLayer struct {
	Name   string // of the attention's value in the graph
	Heads  int    // of queries
	Groups int    // of keys and values; each serves Heads/Groups heads
	Scale  float64
	Causal bool
	Window int  // the most tokens that one sees; 0: all
	Biased bool // S has a bias of the distance between two tokens added
	Steps  []ExploredStep

	OfSource bool // its queries are of the source: the encoder of a translator
	ToSource bool // its keys are of the source
}

// ExploredStep is a value of a layer.
type ExploredStep struct {
	Symbol       string // one of the constants Step…
	Value        string // its name in the graph
	Op           string // the operator that gives it
	Weight, Bias string // of the layer From·weight + bias from which it comes; "" if there is none
	From         string // the value that this layer reads
	Width        int    // columns; 0 if it has one for each token
}

// Prediction is a likely token or class.
type Prediction struct {
	ID          int64
	Text        string
	Logit       float64
	Probability float64 // by softmax
}

// Matrix is a value of a layer, or of one of its heads.
type Matrix struct {
	Layer         int
	Head          int // of Q and H′, S and A; the group, of K and V; -1: of the whole layer
	Symbol        string
	Rows, Columns int
	Values        []float64 // row by row; valid during the call
}

// Hidden is the largest score of S that softmax makes 0: a token that may not be
// seen has it or less.
const Hidden = -1e8

// Explore runs the ids of a text through the oracle, in float64, and calls see with
// each value of each attention, in the order in which they are computed, and with
// what is already known of the result: all but the predictions. Only what is computed
// at the moment is in memory. most bounds the predictions of a token.
// Values are found by operators and roles, so a step that a network does not have
// is missing. If the network has an attention mask, all tokens are visible.
// Translators have [Translator.Explore].
func Explore(c *model.Checkpoint, tok *tokens.Tokenizer, ids []int64, most int, see func(*Exploration, Matrix) error) (*Exploration, error) {
	if c.Graph.Input(role.Of(role.SourceTokens)) != nil {
		return nil, fmt.Errorf("the network %.80q reads a source beside the text: open it with OpenTranslator", c.Arch)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("the text has no tokens")
	}
	e := &explorer{see: see, most: most}
	e.out.Tokens = explored(tok, ids)
	return e.explore(c, tok, sentence(c.Graph, ids))
}

// Explore is the function [Explore] for a source and its translation, both as ids. The
// decoder reads the token that begins a target and all but the last of the translation;
// what it predicts after each of them is the translation.
func (t *Translator) Explore(source, target []int64, most int, see func(*Exploration, Matrix) error) (*Exploration, error) {
	if len(source) == 0 || len(target) == 0 {
		return nil, fmt.Errorf("%s: a text and its translation are explored: one of them is empty", t.Path)
	}
	c, err := t.weighted()
	if err != nil {
		return nil, err
	}
	given, read := t.inputs(source, target)
	e := &explorer{see: see, most: most}
	e.out.Source, e.out.Tokens = explored(t.Tokenizer, source), explored(t.Tokenizer.Target(), read)
	out, err := e.explore(c, t.Tokenizer.Target(), given)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Path, err)
	}
	return out, nil
}

func explored(tok *tokens.Tokenizer, ids []int64) (out []ExploredToken) {
	for _, id := range ids {
		out = append(out, ExploredToken{id, tokenText(tok, id)})
	}
	return out
}

// explore runs the network with the inputs given.
func (e *explorer) explore(c *model.Checkpoint, tok *tokens.Tokenizer, given map[string]format.Tensor) (*Exploration, error) {
	probabilities := map[string]string{}
	g, err := graph.Rewrite(c.Graph, func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		if a, ok := n.Op.(graph.Attention); ok {
			probabilities[n.Name()] = a.Probabilities(b, args).Name
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(probabilities) == 0:
		return nil, fmt.Errorf("the network %.80q has no attention", c.Arch)
	}
	e.steps = map[string][]func(format.Tensor) error{}
	net := newNetwork(g)
	e.out.Next = true
	for i, n := range net.nodes {
		if err := e.addLayer(net, i, g.Lookup(probabilities[n.Name()])); err != nil {
			return nil, err
		}
		e.out.Next = e.out.Next && (n.Op.(graph.Attention).Causal || e.out.Layers[i].ToSource)
	}
	e.addLogits(c, g, tok)
	for _, n := range net.nodes { // what no output needs is gone from a graph that the oracle takes apart
		p := g.Lookup(probabilities[n.Name()])
		g.Outputs = append(g.Outputs, graph.Output{Name: p.Name, Value: p})
	}
	oracle, err := ref.New(g, c.Weights)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range e.steps {
		names = append(names, name)
	}
	err = oracle.Visit(given, names, func(t format.Tensor) error {
		for _, f := range e.steps[t.Name] {
			if err := f(t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &e.out, nil
}

// explorer collects what Explore returns.
type explorer struct {
	out   Exploration
	see   func(*Exploration, Matrix) error
	most  int
	steps map[string][]func(format.Tensor) error // what to do with a value, by its name
}

// addLayer finds the values of attention i.
func (e *explorer) addLayer(net *network, i int, probabilities *graph.Value) error {
	n := net.nodes[i]
	op := n.Op.(graph.Attention)
	heads, known := n.Args[0].Shape[1].Number()
	groups, _ := n.Args[1].Shape[1].Number()
	if !known || groups == 0 {
		return fmt.Errorf("attention %.80q has %s heads, expected a number", n.Name(), n.Args[0].Shape[1])
	}
	l := ExploredLayer{Name: n.Name(), Heads: heads, Groups: groups, Scale: op.Scale, Causal: op.Causal, Window: op.Window, Biased: net.biased(n)}
	if net.target != nil {
		l.OfSource, l.ToSource = !net.target[n.Args[0]], !net.target[n.Args[1]]
	}
	add := func(symbol string, v *graph.Value, heads int, from linear) {
		l.Steps = append(l.Steps, ExploredStep{symbol, v.Name, v.Op().Name(), from.weight, from.bias, from.read(), widthOf(v)})
		e.visit(v.Name, i, symbol, heads)
	}
	parts := []struct {
		symbol string
		heads  int
	}{{StepQuery, heads}, {StepKey, groups}, {StepValue, groups}}
	var from [3]linear
	for k := range parts {
		_, from[k], _ = projection(n.Args[k])
	}
	if x := from[0].x; x != nil && !x.Leaf() {
		made, _ := linearOf(x)
		add(StepInput, x, 0, made)
	}
	if x := from[1].x; x != nil && l.ToSource && !l.OfSource && !x.Leaf() {
		made, _ := linearOf(x)
		add(StepSource, x, 0, made)
	}
	for k, p := range parts {
		if !n.Args[k].Leaf() {
			add(p.symbol, n.Args[k], p.heads, from[k])
		}
	}
	if s := scoresOf(probabilities); s != nil {
		add(StepScores, s, heads, linear{})
	}
	add(StepSoftmax, probabilities, heads, linear{})
	add(StepHead, n.Results[0], heads, linear{})
	if out, made, ok := net.output(n.Results[0]); ok {
		add(StepOutput, out, 0, made)
	}
	if f, ok := net.after(i); ok {
		add(StepInner, f.inner, 0, f.first)
		made, _ := linearOf(f.outer)
		add(StepOuter, f.outer, 0, made)
	}
	e.out.Layers = append(e.out.Layers, l)
	return nil
}

// widthOf returns the last size of v, 0 if it is a named dimension.
func widthOf(v *graph.Value) int {
	n, _ := v.Shape[len(v.Shape)-1].Number()
	return n
}

// visit passes a value (1,T,C), or (1,H,T,C) of heads, to the callback. Without
// heads it is one matrix.
func (e *explorer) visit(name string, layer int, symbol string, heads int) {
	e.steps[name] = append(e.steps[name], func(t format.Tensor) error {
		x, err := t.Float64s()
		if err != nil || len(t.Shape) < 2 {
			return err
		}
		columns := t.Shape[len(t.Shape)-1]
		rows := len(x) / max(1, columns) / max(1, heads)
		for h := range max(1, heads) {
			m := Matrix{Layer: layer, Head: h, Symbol: symbol, Rows: rows, Columns: columns, Values: x[h*rows*columns:][:rows*columns]}
			if heads == 0 {
				m.Head = -1
			}
			if err := e.see(&e.out, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// addLogits finds what the network predicts.
func (e *explorer) addLogits(c *model.Checkpoint, g *graph.Graph, tok *tokens.Tokenizer) {
	o, ok := g.Output(role.Of(role.Logits))
	if !ok || o.Value.Leaf() {
		return
	}
	made, _ := linearOf(o.Value)
	e.out.Logits = ExploredStep{o.Name, o.Value.Name, o.Value.Op().Name(), made.weight, made.bias, made.read(), widthOf(o.Value)}
	if classes, _, named := classesOf(c); named || len(o.Value.Shape) < 3 {
		e.out.Classes = classes
	}
	e.steps[o.Value.Name] = append(e.steps[o.Value.Name], func(t format.Tensor) error {
		x, err := t.Float64s()
		if err != nil {
			return err
		}
		columns := t.Shape[len(t.Shape)-1]
		for row := range slices.Chunk(x, max(1, columns)) {
			e.out.Predicted = append(e.out.Predicted, e.likeliest(tok, row))
		}
		return nil
	})
}

// likeliest returns the highest logits of a row. Equal ones are in the order of
// their ids, as argmax takes the first.
func (e *explorer) likeliest(tok *tokens.Tokenizer, row []float64) []Prediction {
	var best []int // highest first
	higher := func(a, b int) int { return cmp.Or(-cmp.Compare(row[a], row[b]), cmp.Compare(a, b)) }
	for id := range row {
		if len(best) == e.most && higher(id, best[len(best)-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, id, higher)
		best = slices.Insert(best, at, id)
		best = best[:min(len(best), e.most)]
	}
	sum := 0.0
	for _, x := range row {
		sum += math.Exp(x - row[best[0]])
	}
	out := make([]Prediction, len(best))
	for i, id := range best {
		out[i] = Prediction{ID: int64(id), Logit: row[id], Probability: math.Exp(row[id]-row[best[0]]) / sum}
		switch {
		case e.out.Classes == nil:
			out[i].Text = tokenText(tok, int64(id))
		case id < len(e.out.Classes):
			out[i].Text = e.out.Classes[id]
		}
	}
	return out
}
