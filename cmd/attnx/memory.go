package main

import (
	"fmt"

	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// checkMemory refuses a batch whose training step does not fit into the
// memory that is free.
func checkMemory(c *model.Checkpoint, batch int) error {
	need, err := stepMemory(c, batch)
	if err != nil {
		return err
	}
	if free := memory.Free(); free > 0 && need > free {
		return fmt.Errorf("--batch %d: a step takes about %.1f GB, %.1f GB are free: take a smaller --batch, and --accumulate to make up for it, or a smaller --context", batch, float64(need)/1e9, float64(free)/1e9)
	}
	return nil
}

// stepMemory estimates what training takes: the values of the graph that are
// there at a time, weights and gradients among them, and two moments, and a copy
// of weights and moments while a checkpoint is written. ONNX
// Runtime's allocator grows by doubling and packs weights for its products:
// measured peaks of whole processes were 1.6 times the values (small 774 and
// 1294 MB, w512 921 and 1528, gpt2 2186 and 3515).
func stepMemory(c *model.Checkpoint, batch int) (int64, error) {
	g, err := model.Step(c.Graph, batch, c.Context())
	if err != nil {
		return 0, err
	}
	n, err := c.Parameters()
	if err != nil {
		return 0, err
	}
	peak, err := graph.PeakBytes(g)
	return (peak+2*4*int64(n))*8/5 + 3*4*int64(n), err
}
