package model

import (
	"fmt"

	"github.com/attnx/attnx/model/graph"
)

// Part is a part of a network with the weights that it has.
type Part struct {
	Graph   *graph.Graph
	Weights Weights
}

// Pair are the parts of a network that translates: see graph.Pair.
type Pair struct{ Encoder, First, Next Part }

// Layers returns the number of layers of the decoder.
func (p Pair) Layers() int { return (len(p.Next.Graph.Outputs) - 1) / 2 }

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
