package model

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Part is a part of a network with the weights that it has.
type Part struct {
	Graph   *graph.Graph
	Weights Weights
}

// Pair are the parts of a network that translates: see graph.Pair.
type Pair struct{ Encoder, First, Next Part }

// Layers returns the number of layers of the decoder.
func (p Pair) Layers() int { return (len(p.Next.Graph.Outputs) - 1) / max(1, len(p.kinds())) }

// kinds returns the kinds of what the decoder keeps for each layer.
func (p Pair) kinds() (kinds []role.Kind) {
	for _, o := range p.Next.Graph.Outputs {
		if o.Role.Layer == 0 && o.Role.Kind != role.Logits {
			kinds = append(kinds, o.Role.Kind)
		}
	}
	return kinds
}

// Recurrent reports whether the decoder keeps the states of its layers, and no keys and
// values.
func (p Pair) Recurrent() bool { return slices.Contains(p.kinds(), role.PresentState) }

// Checkpoints returns the parts as models of their own, in the order in which they
// run. The encoder has the whole network's description with it, once.
func (p Pair) Checkpoints(c *Checkpoint) ([]*Checkpoint, error) {
	var out []*Checkpoint
	for i, name := range []string{"encoder", "decoder", "decoder with a past"} {
		part := []Part{p.Encoder, p.First, p.Next}[i]
		arch := c.Arch + ", " + name
		config, err := json.Marshal(map[string]string{archKey: arch})
		if err != nil {
			return nil, err
		}
		of := &Checkpoint{Arch: arch, Config: config, Graph: part.Graph, Weights: part.Weights}
		if i == 0 {
			of.Whole = c
		}
		out = append(out, of)
	}
	return out, nil
}

// Cut returns the parts of a network that translates. They share the weights.
func (c *Checkpoint) Cut() (p Pair, err error) {
	if !c.Translates() {
		return p, fmt.Errorf("model: the network %.80q does not translate: it reads no source", c.Arch)
	}
	cut, err := graph.Cut(c.Graph)
	if err != nil {
		return p, err
	}
	return Pair{c.part(cut.Encoder), c.part(cut.First), c.part(cut.Next)}, nil
}

func (c *Checkpoint) part(g *graph.Graph) Part {
	p := Part{Graph: g}
	for _, w := range g.Params {
		for _, t := range c.Weights {
			if t.Name == w.Name {
				p.Weights = append(p.Weights, t)
			}
		}
	}
	return p
}
