package huggingface

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// prefix stands before the names of GPT-2's weights in a file that was written
// with the head.
const prefix = "transformer."

// The head's weight, which is the token embedding once more, and that.
const (
	headName      = "lm_head.weight"
	embeddingName = "wte.weight"
)

// source is a tensor of a shard.
type source struct {
	shard
	format.TensorInfo
}

// sourceErrorf returns an error that begins with file and tensor.
func (d *folder) sourceErrorf(s source, text string, args ...any) error {
	return d.errorf(s.name, "tensor %s: %w", clip(s.Name), fmt.Errorf(text, args...))
}

// weights reads the weights of a network from the shards, in the order of its
// parameters, and returns what converting them to float32 did.
func (d *folder) weights(c model.Config, shards []shard) (model.Weights, format.Rounding, error) {
	var done format.Rounding
	sources, err := d.sources(c, shards)
	if err != nil {
		return nil, done, err
	}
	// The graph grows with its layers, and each of them has weights in a file.
	if c.Layers > len(sources) {
		return nil, done, d.errorf(configName, "n_layer is %d, the folder has %d weights only", c.Layers, len(sources))
	}
	g, err := model.Build(c)
	if err != nil {
		return nil, done, d.errorf(configName, "%w", err)
	}
	if err := d.check(g, c, sources); err != nil {
		return nil, done, err
	}
	var out model.Weights
	for _, p := range g.Params {
		s := sources[p.Name]
		t, err := s.Tensor(s.Name)
		if err != nil {
			return nil, done, err // it names the file
		}
		t, r, err := t.Convert(format.Float32)
		if err != nil {
			return nil, done, d.errorf(s.name, "%w", err)
		}
		done.Add(r)
		out = append(out, t.WithName(p.Name))
	}
	return out, done, nil
}

// sources finds the tensors of the shards that are weights, under the names
// that they have in a graph. The causal masks, which old files of GPT-2 keep
// beside them, are left out.
func (d *folder) sources(c model.Config, shards []shard) (map[string]source, error) {
	out := map[string]source{}
	for _, s := range shards {
		for _, t := range s.Tensors() {
			name := t.Name
			if c.Arch == model.GPT2 {
				name = strings.TrimPrefix(name, prefix)
				if isMask(name, c.Layers) {
					continue
				}
			}
			this := source{shard: s, TensorInfo: t}
			if other, twice := out[name]; twice {
				return nil, d.sourceErrorf(this, "the same weight stands in %s as %s: one of them must go", clip(other.name), clip(other.Name))
			}
			out[name] = this
		}
	}
	return out, nil
}

// isMask reports whether name is a buffer of GPT-2's attention in a layer of
// the network: "h.0.attn.bias" is the causal mask, "h.0.attn.masked_bias" what
// is put in the place of a masked score.
func isMask(name string, layers int) bool {
	rest, ok := strings.CutPrefix(name, "h.")
	layer, rest, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(layer, 10, 31)
	return ok && (rest == "attn.bias" || rest == "attn.masked_bias") && err == nil && int(n) < layers
}

// check compares the tensors of the files with the parameters of the network,
// before any of them is read but the head.
func (d *folder) check(g *graph.Graph, c model.Config, sources map[string]source) error {
	known := map[string]bool{}
	for _, p := range g.Params {
		s, ok := sources[p.Name]
		if !ok {
			return fmt.Errorf("%s: weight %q is missing: the weights are not those of this %s", d.path, p.Name, configName)
		}
		if err := d.checkWeight(s, p.Shape); err != nil {
			return err
		}
		known[p.Name] = true
	}
	head, ok := sources[headName]
	ok = ok && c.Arch == model.GPT2
	for _, name := range slices.Sorted(maps.Keys(sources)) { // one message for one folder
		if !known[name] && !(ok && name == headName) {
			return d.sourceErrorf(sources[name], "it is no weight of the network that %s describes", configName)
		}
	}
	if !ok {
		return nil
	}
	if err := d.checkWeight(head, g.Lookup(embeddingName).Shape); err != nil {
		return err
	}
	return d.checkTied(head, sources[embeddingName])
}

// checkWeight compares the type and the shape of a tensor with what is wanted.
func (d *folder) checkWeight(s source, want graph.Shape) error {
	if !s.DType.Float() {
		return d.sourceErrorf(s, "its elements are %s: weights of a type of floating point are read, so save the model without quantization", s.DType)
	}
	if !want.Equal(graph.Numbers(s.Shape...)) {
		return d.sourceErrorf(s, "its shape is %s, %s wants %s", graph.Numbers(s.Shape...), configName, want)
	}
	return nil
}

// checkTied refuses a head that is not the token embedding, bit for bit.
// Nothing else is in memory yet, so that the two are less than the model and
// one weight.
func (d *folder) checkTied(head, embedding source) error {
	a, err := head.Tensor(head.Name)
	if err != nil {
		return err
	}
	b, err := embedding.Tensor(embedding.Name)
	if err != nil {
		return err
	}
	if a.DType != b.DType || !bytes.Equal(a.Data, b.Data) {
		return d.sourceErrorf(head, "it differs from %s: the network here has no head of its own", embedding.Name)
	}
	return nil
}
