package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// metaLowBits is the metadata with the weights that a checkpoint keeps as integers.
const metaLowBits = "attnx.lowbits"

// changes are what a checkpoint's graph has beside its network: weights that are kept
// as integers, and an adapter.
type changes struct {
	low  []graph.LowBits
	lora *LoRA
}

func (c *Checkpoint) changes() changes { return changes{c.LowBits, c.LoRA} }

// apply returns a graph with the changes.
func (h changes) apply(g *graph.Graph) (*graph.Graph, error) {
	var err error
	if len(h.low) > 0 {
		if g, err = graph.AddLowBits(h.low)(g); err != nil {
			return nil, err
		}
	}
	if h.lora == nil {
		return g, nil
	}
	return h.lora.apply(g)
}

// parseChanges reads the changes in metadata.
func parseChanges(meta map[string]string) (h changes, err error) {
	if text, ok := meta[metaLowBits]; ok {
		if err := json.Unmarshal([]byte(text), &h.low); err != nil {
			return h, fmt.Errorf("model: %s: %w", metaLowBits, err)
		}
	}
	h.lora, err = parseLoRA(meta)
	return h, err
}

// addLowBits adds the weights that are integers to metadata.
func (c *Checkpoint) addLowBits(meta map[string]string) error {
	if len(c.LowBits) == 0 {
		return nil
	}
	text, err := json.Marshal(c.LowBits)
	meta[metaLowBits] = string(text)
	return err
}

// WithLowBits returns the model with some weights kept as integers. get returns the
// bytes of a parameter of graph.LowBits.
func (c *Checkpoint) WithLowBits(all []graph.LowBits, get func(param string) []byte) (*Checkpoint, error) {
	if len(c.LowBits) > 0 || c.LoRA != nil {
		return nil, fmt.Errorf("model: it has an adapter, or weights of integers already: start from the model before that")
	}
	g, err := graph.AddLowBits(all)(c.Graph)
	if err != nil {
		return nil, err
	}
	byName := map[string]format.Tensor{}
	for _, w := range c.Weights {
		byName[w.Name] = w
	}
	out := *c
	out.Graph, out.LowBits, out.Weights = g, all, nil
	for _, p := range g.Params {
		w, ok := byName[p.Name]
		if !ok {
			shape, _ := p.Shape.Numbers()
			w = format.Tensor{Name: p.Name, DType: p.DType, Shape: shape, Data: get(p.Name)}
		}
		out.Weights = append(out.Weights, w)
	}
	return &out, out.Weights.Check(g)
}

// Expanded returns the model with its weights of integers as the float32 numbers that
// they stand for; the model itself if it has none.
func (c *Checkpoint) Expanded() (*Checkpoint, error) {
	if len(c.LowBits) == 0 {
		return c, nil
	}
	g, err := graph.RemoveLowBits(c.LowBits)(c.Graph)
	if err != nil {
		return nil, err
	}
	byName := map[string]format.Tensor{}
	for _, w := range c.Weights {
		byName[w.Name] = w
	}
	out := *c
	out.Graph, out.LowBits, out.Weights, out.Train, out.Seal = g, nil, nil, nil, nil
	for _, p := range g.Params {
		w, ok := byName[p.Name]
		if !ok {
			i := slices.IndexFunc(c.LowBits, func(l graph.LowBits) bool { return l.Weight == p.Name })
			if i < 0 {
				return nil, fmt.Errorf("model: weight %.80q is missing", p.Name)
			}
			shape, _ := p.Shape.Numbers()
			if w, err = expand(c.LowBits[i], shape, byName); err != nil {
				return nil, err
			}
		}
		out.Weights = append(out.Weights, w)
	}
	return &out, out.Weights.Check(g)
}

// expand returns the numbers that integers stand for: see graph.LowBits.
func expand(l graph.LowBits, shape []int, byName map[string]format.Tensor) (format.Tensor, error) {
	var parts [2][]float32 // scales and offsets
	for i, end := range []string{graph.ScaleEnd, graph.OffsetEnd} {
		if i == 1 && !l.Offset {
			break
		}
		wide, _, err := byName[l.Weight+end].Convert(format.Float32)
		if err == nil {
			parts[i], err = wide.Float32s()
		}
		if err != nil {
			return format.Tensor{}, fmt.Errorf("model: weight %.80q: %w", l.Weight, err)
		}
	}
	q := byName[l.Weight+graph.BlocksEnd].Data
	x := make([]float32, shape[0]*shape[1])
	each(len(parts[0]), func(b int) {
		scale, offset := parts[0][b], float32(0)
		if l.Offset {
			offset = parts[1][b]
		}
		block := x[32*b:][:32]
		for i := range block {
			switch {
			case l.Bits == 8:
				block[i] = scale * float32(int(q[32*b+i])-128)
			case l.Offset:
				block[i] = scale*float32(half(q[16*b:], i)) + offset
			default:
				block[i] = scale * float32(half(q[16*b:], i)-8)
			}
		}
	})
	return format.FromFloat32s(l.Weight, shape, x), nil
}

// half returns element i of a block of 4 bits.
func half(block []byte, i int) int {
	if i < 16 {
		return int(block[i] & 15)
	}
	return int(block[i-16] >> 4)
}

// Stored reports whether a parameter is a part of a weight that is kept as integers.
func (c *Checkpoint) Stored(param string) bool {
	return slices.ContainsFunc(c.LowBits, func(l graph.LowBits) bool {
		end, ok := strings.CutPrefix(param, l.Weight)
		return ok && (end == graph.BlocksEnd || end == graph.ScaleEnd || end == graph.OffsetEnd)
	})
}
