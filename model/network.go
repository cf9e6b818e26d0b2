package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
)

// Of returns a network as a model without weights.
func Of(n nn.Network) (*Checkpoint, error) {
	g, err := nn.Build(n)
	if err != nil {
		return nil, err
	}
	config, err := configText(n)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Arch: n.Architecture(), Config: config, Graph: g}, nil
}

// mostParameters is the most weights that New draws: a terabyte of them.
const mostParameters = 1 << 38

// New returns a network with initial weights drawn from the seed. It draws none
// that the machine's free memory cannot hold.
func New(n nn.Network, seed uint64) (*Checkpoint, error) {
	c, err := Of(n)
	if err != nil {
		return nil, err
	}
	free := memory.Free() // 0: unknown
	switch count, err := c.Parameters(); {
	case err != nil:
		return nil, &nn.Error{Architecture: c.Arch, Err: err}
	case count > mostParameters:
		return nil, &nn.Error{Architecture: c.Arch, Err: fmt.Errorf("model: it has %d weights, at most %d can be drawn: take a smaller size", count, mostParameters)}
	case free > 0 && 4*int64(count) > free:
		return nil, &nn.Error{Architecture: c.Arch, Err: fmt.Errorf("model: its %d weights take %d MB, %d MB are free: take a smaller size", count, 4*int64(count)/1e6, free/1e6)}
	}
	c.Weights = NewWeights(c.Graph, seed)
	return c, nil
}

// archKey is the member of a configuration's JSON that names the architecture,
// as in Hugging Face's config.json.
const archKey = "model_type"

// configText returns the JSON of a network with model_type as its first
// member.
func configText(n nn.Network) (config json.RawMessage, err error) {
	defer func() { // a user's MarshalJSON
		if r := recover(); r != nil {
			err = &nn.Error{Architecture: n.Architecture(), Err: fmt.Errorf("model: its configuration panics: %s: fix its MarshalJSON", quote.Line(fmt.Sprint(r), 200))}
		}
	}()
	text, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("model: the configuration of %s: %w", n.Architecture(), err)
	}
	name, err := json.Marshal(n.Architecture())
	if err != nil {
		return nil, err
	}
	inner, object := bytes.CutPrefix(text, []byte("{"))
	var members map[string]json.RawMessage
	if !object || json.Unmarshal(text, &members) != nil {
		return nil, fmt.Errorf("model: the configuration of %s is %.40s: expected a JSON object", n.Architecture(), text)
	}
	if own, taken := members[archKey]; taken {
		if !bytes.Equal(own, name) {
			return nil, fmt.Errorf("model: the configuration of %s has %s %.40s: leave the member out", n.Architecture(), archKey, own)
		}
		return text, nil
	}
	out := append([]byte(`{"`+archKey+`":`), name...)
	if len(members) > 0 {
		out = append(out, ',')
	}
	return append(out, inner...), nil
}

// archOf returns the name of the architecture in a configuration's JSON.
func archOf(config []byte) (string, error) {
	var o struct {
		Arch string `json:"model_type"`
	}
	if err := json.Unmarshal(config, &o); err != nil {
		return "", fmt.Errorf("model: configuration: %w", err)
	}
	if o.Arch == "" {
		return "", fmt.Errorf("model: the configuration names no architecture: it has no %.80q", archKey)
	}
	return o.Arch, nil
}

// Network returns the network of a model whose architecture attnx ships.
func (c *Checkpoint) Network() (nn.Network, error) { return arch.Parse(c.Arch, c.Config) }

// Context returns the maximum number of tokens of a sequence, including its
// past; 0 means no limit.
func (c *Checkpoint) Context() int { return c.Graph.Context }

// Vocab returns the number of tokens or classes that the network scores: see
// the function Vocab.
func (c *Checkpoint) Vocab() int { return Vocab(c.Graph) }

// Vocab returns the number of tokens or classes that a network scores; 0 if it
// has no logits, or if their number is a named dimension.
func Vocab(g *graph.Graph) int {
	o, ok := g.Output(role.Of(role.Logits))
	if !ok || len(o.Value.Shape) == 0 {
		return 0
	}
	n, _ := o.Value.Shape[len(o.Value.Shape)-1].Number()
	return n
}

// embedding returns the table in which the network looks its tokens up, or
// nil.
func (c *Checkpoint) embedding() *graph.Value { return c.tableOf(role.Tokens) }

// tableOf returns the table in which the network looks the ids of an input up, or nil.
func (c *Checkpoint) tableOf(kind role.Kind) *graph.Value {
	tokens := c.Graph.Input(role.Of(kind))
	for _, n := range c.Graph.Nodes {
		if _, ok := n.Op.(graph.Gather); ok && n.Args[1] == tokens && len(n.Args[0].Shape) == 2 {
			return n.Args[0]
		}
	}
	return nil
}

// Width returns the width of the token embedding; 0 if the network has none.
func (c *Checkpoint) Width() int {
	if table := c.embedding(); table != nil {
		width, _ := table.Shape[1].Number()
		return width
	}
	return 0
}

// IDs returns the number of ids that the network accepts: the rows of its
// token embedding, or Vocab if it has none.
func (c *Checkpoint) IDs() int {
	if table := c.embedding(); table != nil {
		if rows, ok := table.Shape[0].Number(); ok {
			return rows
		}
	}
	return c.Vocab()
}

// SourceIDs returns the number of ids that a network that translates accepts in a source.
// It differs from IDs where both sides have a vocabulary of their own.
func (c *Checkpoint) SourceIDs() int {
	if table := c.tableOf(role.SourceTokens); table != nil {
		if rows, ok := table.Shape[0].Number(); ok {
			return rows
		}
	}
	return c.IDs()
}

// NoTextError reports why a network cannot continue a text.
type NoTextError struct{ Arch, Reason string }

func (e *NoTextError) Error() string {
	text := fmt.Sprintf("the network %.80q cannot continue a text: %s", e.Arch, e.Reason)
	if e.Remedy() != "" {
		text += ": " + e.Remedy()
	}
	return text
}

// TranslateText is the remedy for a network that translates where one that continues a text is
// expected.
const TranslateText = "translate with it"

// Remedy returns what to do instead; "" if there is nothing.
func (e *NoTextError) Remedy() string {
	if e.Reason == itTranslates {
		return TranslateText
	}
	return ""
}

const itTranslates = "it translates one"

// Continues returns nil if the network reads a text and scores the next token
// at each position, and a *NoTextError otherwise.
func (c *Checkpoint) Continues() error {
	if c.Graph.Input(role.Of(role.Tokens)) == nil {
		return &NoTextError{c.Arch, "it has no token input"}
	}
	o, ok := c.Graph.Output(role.Of(role.Logits))
	switch {
	case c.Translates():
		return &NoTextError{c.Arch, itTranslates}
	case !ok:
		return &NoTextError{c.Arch, "it has no logits"}
	case len(o.Value.Shape) != 3:
		return &NoTextError{c.Arch, fmt.Sprintf("its logits %s are for whole texts, not for each token", o.Value.Shape)}
	}
	if n, err := c.Network(); err == nil {
		if n, ok := n.(interface{ Continues() bool }); ok && !n.Continues() {
			return &NoTextError{c.Arch, "its logits are for classes of each token"}
		}
	}
	for _, n := range c.Graph.Nodes {
		if a, ok := n.Op.(graph.Attention); ok && !a.Causal {
			return &NoTextError{c.Arch, "each token sees those behind it"}
		}
	}
	return nil
}

// Translates reports whether the network reads a source text and scores the next
// token of a target.
func (c *Checkpoint) Translates() bool {
	return c.Graph.Input(role.Of(role.SourceTokens)) != nil && c.Graph.Input(role.Of(role.Tokens)) != nil
}

// Attentions returns the causal attentions of the network, one for each layer.
func (c *Checkpoint) Attentions() []*graph.Node {
	var layers []*graph.Node
	for _, n := range c.Graph.Nodes {
		if a, ok := n.Op.(graph.Attention); ok && a.Causal {
			layers = append(layers, n)
		}
	}
	return layers
}

// Parameters returns the number of weights of the network.
func (c *Checkpoint) Parameters() (int, error) {
	sum := 0
	params := slices.DeleteFunc(slices.Clone(c.Graph.Params), func(p *graph.Value) bool { return c.Stored(p.Name) })
	for _, l := range c.LowBits {
		params = append(params, c.Graph.Lookup(l.Weight))
	}
	for _, p := range params {
		n, ok := p.Shape.Elements().Number()
		if !ok || sum > math.MaxInt-n {
			return 0, fmt.Errorf("model: parameter %.80q %s is too large", p.Name, p.Shape)
		}
		sum += n
	}
	return sum, nil
}

// infos describes tensors.
func infos(tensors []format.Tensor) []format.TensorInfo {
	out := make([]format.TensorInfo, len(tensors))
	for i, t := range tensors {
		out[i] = t.Info()
	}
	return out
}
