package gguf

import (
	"fmt"
	"slices"
	"strings"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// ReadLowBits is Read with the matrices in Q4_0, Q4_1 and Q8_0 that are factors of
// products alone as the integers that the file has.
func ReadLowBits(path string) (c *model.Checkpoint, notes []string, err error) {
	var kept lowBits
	c, notes, err = readAs(path, func(c *model.Checkpoint) *packing {
		kept = lowBits{}
		return &packing{can: matrices(c.Graph), low: kept}
	})
	if err != nil || len(kept) == 0 {
		return c, notes, err
	}
	if c, err = kept.in(c); err != nil {
		err = named(path, err)
	}
	return c, notes, err
}

// Quantized returns the model with its matrices that are factors of products alone, but
// for that of the logits, as integers of 4 or 8 bits: the blocks of Q4_0 or Q8_0.
// Matrices with rows that are no whole blocks, and those of an adapter's model, stay.
func Quantized(c *model.Checkpoint, bits int) (*model.Checkpoint, error) {
	t := blocks.Q8_0
	if bits == 4 {
		t = blocks.Q4_0
	}
	size, _ := t.Block()
	can, kept := matrices(c.Graph), lowBits{}
	for _, w := range c.Weights {
		if !can[w.Name] || len(w.Shape) != 2 || w.Shape[1]%size != 0 || c.GivesLogits(w.Name) {
			continue
		}
		x, err := w.Float32s()
		if err != nil {
			return nil, err
		}
		data, err := blocks.Quantize(t, x)
		if err != nil {
			return nil, fmt.Errorf("weight %.80q: %w", w.Name, err)
		}
		if err := kept.add(w.Name, t, data); err != nil {
			return nil, err
		}
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("no matrix of a product has rows of whole blocks of %d elements", size)
	}
	return kept.in(c)
}

// matrices returns which parameters can be integers.
func matrices(g *graph.Graph) map[string]bool {
	can := map[string]bool{}
	for _, f := range graph.Factors(g) {
		can[f.Weight.Name] = f.Weight.Leaf()
	}
	return can
}

// lowBits are weights as integers, by name.
type lowBits map[string]parts

type parts struct {
	form  graph.LowBits
	bytes map[string][]byte // by the end of a parameter's name
}

// add adds a weight from its blocks.
func (l lowBits) add(name string, t blocks.Type, data []byte) error {
	integers, scales, offsets, err := blocks.Split(t, data)
	if err != nil {
		return err
	}
	p := parts{graph.LowBits{Weight: name, Bits: 4, Offset: offsets != nil}, map[string][]byte{
		graph.BlocksEnd: integers, graph.ScaleEnd: scales, graph.OffsetEnd: offsets,
	}}
	if t == blocks.Q8_0 {
		p.form.Bits = 8
	}
	l[name] = p
	return nil
}

// in returns the model with these weights as integers.
func (l lowBits) in(c *model.Checkpoint) (*model.Checkpoint, error) {
	var all []graph.LowBits
	for _, p := range c.Graph.Params {
		if w, ok := l[p.Name]; ok {
			all = append(all, w.form)
		}
	}
	float := *c
	float.Weights = slices.Clone(c.Weights)
	return float.WithLowBits(all, func(param string) []byte {
		at := strings.LastIndexByte(param, '.')
		return l[param[:at]].bytes[param[at:]]
	})
}
