package huggingface

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// source is a tensor of a shard.
type source struct {
	shard
	format.TensorInfo
}

// sourceErrorf returns an error that begins with file and tensor.
func (d *folder) sourceErrorf(s source, text string, args ...any) error {
	return d.errorf(s.name, "tensor %s: %w", quote.String(s.Name), fmt.Errorf(text, args...))
}

// weights reads the weights of a network from the shards, in the order of its
// parameters, and reports what converting them to float32 did and what it left
// out.
func (d *folder) weights(c config, shards []shard) (model.Weights, Report, error) {
	g, sources, done, err := d.plan(c, shards)
	if err != nil {
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
		done.Rounding.Add(r)
		out = append(out, t.WithName(p.Name))
	}
	return out, done, nil
}

// plan finds the tensors of the shards that are the parameters of a network, and
// reports what it left out.
func (d *folder) plan(c config, shards []shard) (*graph.Graph, map[string]source, Report, error) {
	var done Report
	sources, err := d.sources(c.network, shards, &done)
	if err != nil {
		return nil, nil, done, err
	}
	// The graph grows with its layers, and each of them has weights in a file.
	if c.Layers > len(sources) {
		return nil, nil, done, d.errorf(configName, "n_layer is %d, the folder has only %d weights", c.Layers, len(sources))
	}
	n, err := c.of()
	if err != nil {
		return nil, nil, done, d.errorf(configName, "%w", err)
	}
	g, err := nn.Build(n)
	if err != nil {
		return nil, nil, done, d.errorf(configName, "%w", err)
	}
	return g, sources, done, d.check(g, c, sources)
}

// sources finds the tensors of the shards that are weights, under the names
// that they have in a graph. The causal masks, which old files of GPT-2 keep
// beside them, are left out, and so are second heads, which are reported.
func (d *folder) sources(c network, shards []shard, done *Report) (map[string]source, error) {
	out := map[string]source{}
	for _, s := range shards {
		for _, t := range s.Tensors() {
			name := NetworkName(c.Arch, t.Name)
			if c.Arch == gpt2 && isMask(name, c.Layers) {
				continue
			}
			if c.Arch == gpt2 && isSecondHead(name) {
				done.Notes = append(done.Notes, d.sourceErrorf(source{shard: s, TensorInfo: t}, "it is passed over: it has no part in the language model").Error())
				continue
			}
			this := source{shard: s, TensorInfo: t}
			if other, twice := out[name]; twice {
				return nil, d.sourceErrorf(this, "the same weight is in %s as %s: one of them must go", quote.String(other.name), quote.String(other.Name))
			}
			out[name] = this
		}
	}
	return out, nil
}

// check compares the tensors of the files with the parameters of the network,
// before any of them is read but the head.
func (d *folder) check(g *graph.Graph, c config, sources map[string]source) error {
	head, hasHead := sources[headName]
	hasHead = hasHead && c.Arch == gpt2
	_, hasEmbedding := sources[embeddingName]
	switch {
	case hasHead && !hasEmbedding && !c.untied: // safetensors keeps one name of two for shared memory
		sources[embeddingName] = head
	case c.untied && hasEmbedding && !hasHead:
		return d.errorf(configName, "tie_word_embeddings is false, and the folder has no %s: the network's head is missing", headName)
	}
	known := map[string]bool{}
	for _, p := range g.Params {
		s, ok := sources[p.Name]
		if !ok {
			return d.missing(c, p.Name)
		}
		if err := d.checkWeight(s, p.Shape); err != nil {
			return err
		}
		known[p.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(sources)) { // one message for one folder
		if !known[name] && !(hasHead && name == headName) {
			return d.sourceErrorf(sources[name], "%s", stranger(name))
		}
	}
	if !hasHead {
		return nil
	}
	if err := d.checkWeight(head, g.Lookup(embeddingName).Shape); err != nil {
		return err
	}
	return d.checkTied(head, sources[embeddingName])
}

// missing returns the error of a weight that no file has.
func (d *folder) missing(c config, name string) error {
	for _, tensor := range slices.Sorted(maps.Keys(d.index.place)) {
		if NetworkName(c.Arch, tensor) == name {
			return d.errorf(d.index.place[tensor], "tensor %s is missing, which %s has here: fetch this file again", quote.String(tensor), indexName)
		}
	}
	return fmt.Errorf("%s: weight %.80q is missing: the weights are not those of this %s", d.path, name, configName)
}

// checkWeight compares the type and the shape of a tensor with what is wanted.
func (d *folder) checkWeight(s source, want graph.Shape) error {
	if !s.DType.Float() {
		return d.sourceErrorf(s, "its elements are %s: weights of a type of floating point are read, so save the model without quantization", s.DType)
	}
	if !want.Equal(graph.Numbers(s.Shape...)) {
		return d.sourceErrorf(s, "its shape is %s, %s asks for %s", graph.Numbers(s.Shape...), configName, want)
	}
	return nil
}

// checkTied refuses a head that is not the token embedding, bit for bit in
// float32. Nothing else is in memory yet.
func (d *folder) checkTied(head, embedding source) error {
	if head.shard == embedding.shard && head.Name == embedding.Name {
		return nil
	}
	a, err := head.float32s()
	if err != nil {
		return err
	}
	b, err := embedding.float32s()
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return d.sourceErrorf(head, "it differs from %s: the model has a head of its own, and here the head is always the token embedding", embedding.Name)
	}
	return nil
}

// float32s returns the data of a tensor as float32.
func (s source) float32s() ([]byte, error) {
	t, err := s.Tensor(s.Name)
	if err != nil {
		return nil, err
	}
	wide, _, err := t.Convert(format.Float32)
	return wide.Data, err
}
