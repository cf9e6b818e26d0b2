package model

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
)

// WithPooling returns the model with an output more, the embedding of each text:
// its hidden states, pooled. It shares the weights. A network that has one gets
// another, and one with a head loses it.
func WithPooling(c *Checkpoint, p nn.Pooling) (*Checkpoint, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Kind == "" {
		return nil, fmt.Errorf("model: the kind of the pooling is missing: take one of %s", nn.Poolings())
	}
	hidden, ok := c.Graph.Output(role.Of(role.Hidden))
	if !ok {
		if trunk, err := c.Trunk(); err == nil {
			return WithPooling(trunk, p)
		}
		return nil, fmt.Errorf("model: the network %.80q gives no hidden states, of which embeddings are made: take a model without a head", c.Arch)
	}
	if n, err := c.Network(); err == nil {
		if n, err = arch.With(n, p); err != nil {
			return nil, err
		}
		return c.as(n)
	}
	with := *c
	g := *c.Graph
	g.Outputs = slices.DeleteFunc(slices.Clone(g.Outputs), func(o graph.Output) bool { return o.Role.Kind == role.Sentence })
	b := graph.Extend(&g)
	b.OutputFor(role.Of(role.Sentence), p.Apply(b, hidden.Value, g.Input(role.Of(role.AttentionMask))))
	var err error
	if with.Graph, err = b.Graph(); err != nil {
		return nil, err
	}
	with.Config, err = pooledConfig(c.Config, p)
	return &with, err
}

// pooledConfig returns a configuration with the members of a pooling.
func pooledConfig(config json.RawMessage, p nn.Pooling) (json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(config, &members); err != nil {
		return nil, fmt.Errorf("model: configuration: %w", err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}
