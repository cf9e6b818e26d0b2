package model

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// Trunk returns the model without its head: its outputs are the hidden states. It
// shares the weights.
func (c *Checkpoint) Trunk() (*Checkpoint, error) { return c.changed(arch.Trunk) }

// NextToken returns the model with the head that scores the next token, for which
// it must have the weights: those of the trunk are enough if the head is the token
// embedding. It shares the weights.
func (c *Checkpoint) NextToken() (*Checkpoint, error) { return c.changed(arch.NextToken) }

func (c *Checkpoint) changed(change func(nn.Network) (nn.Network, error)) (*Checkpoint, error) {
	n, err := c.Network()
	if err == nil {
		n, err = change(n)
	}
	if err != nil {
		return nil, err
	}
	return c.as(n)
}

// as returns the model with another network, over those of its weights that this
// network has too.
func (c *Checkpoint) as(n nn.Network) (*Checkpoint, error) {
	of, err := Of(n)
	if err != nil {
		return nil, err
	}
	with := *c
	with.Config, with.Graph = of.Config, of.Graph
	if c.Weights == nil { // they are elsewhere
		return &with, nil
	}
	if len(of.Graph.Params) != len(c.Graph.Params) {
		with.Train = nil // it has moments of all weights
	}
	named := map[string]format.Tensor{}
	for _, t := range c.Weights {
		named[t.Name] = t
	}
	with.Weights = make(Weights, len(of.Graph.Params))
	for i, p := range of.Graph.Params {
		t, ok := named[p.Name]
		if !ok {
			return nil, fmt.Errorf("model: the weight %.80q is missing: the model was saved with another head", p.Name)
		}
		with.Weights[i] = t
	}
	return &with, with.Weights.Check(with.Graph)
}
