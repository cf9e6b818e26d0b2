package train

import (
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// Table says how examples are read from a table. It is part of a run's options,
// so that a resumed run reads the same examples.
type Table struct {
	Labels string `json:"labels"`           // name of the column of labels
	Text   string `json:"text,omitempty"`   // name of the column of texts; "": there is none
	Length int    `json:"length,omitempty"` // most tokens of a text
}

// Passes returns what changes the loss of the steps, and not that of evaluations.
func (o Options) Passes() (passes []graph.Pass) {
	if o.Smoothing > 0 {
		passes = append(passes, graph.SmoothLabels(o.Smoothing))
	}
	if passes = append(passes, graph.DropMasks); o.Dropout > 0 {
		passes = append(passes, graph.AddDropout)
	}
	if o.BatchStatistics {
		passes = append(passes, graph.BatchStatistics)
	}
	if !o.StraightThrough {
		passes = append(passes, graph.Slopeless)
	}
	return passes
}

// WithLoss returns a network with the loss of the options as its only output.
func (o Options) WithLoss(g *graph.Graph) (*graph.Graph, error) {
	if o.Loss == nil {
		return model.WithLoss(g)
	}
	return o.Loss.Attach(g)
}

// Network returns the model with the graph that engines compute.
func (o Options) Network(c *model.Checkpoint) (*model.Checkpoint, error) {
	if o.Loss == nil {
		return c, nil
	}
	g, err := o.Loss.Attach(c.Graph)
	if err != nil {
		return nil, err
	}
	out := *c
	out.Graph = g
	return &out, nil
}
