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

// sourceErrorf returns an error that starts with file and tensor.
func (d *folder) sourceErrorf(s source, text string, args ...any) error {
	return d.errorf(s.name, "tensor %s: %w", quote.String(s.Name), fmt.Errorf(text, args...))
}

// weights reads the weights of a network from the shards, in the order of its
// parameters. It reports the rounding to float32 and what it ignored.
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

// plan finds the parameters of a network among the tensors of the shards, and
// reports what it ignored.
func (d *folder) plan(c config, shards []shard) (*graph.Graph, map[string]source, Report, error) {
	var done Report
	sources, err := d.sources(c, shards, &done)
	if err != nil {
		return nil, nil, done, err
	}
	// The graph grows with its layers, and each layer has weights in a file.
	if err := d.fewer(depth(c.network), len(sources)); err != nil {
		return nil, nil, done, err
	}
	g, err := nn.Build(c.network)
	if err != nil {
		return nil, nil, done, d.errorf(configName, "%w", err)
	}
	return g, sources, done, d.check(g, c, sources)
}

// sources finds the weights among the tensors of the shards, keyed by their
// names in a graph. It ignores buffers, which old files contain, and second
// heads, which it reports.
func (d *folder) sources(c config, shards []shard, done *Report) (map[string]source, error) {
	out := map[string]source{}
	for _, s := range shards {
		for _, t := range s.Tensors() {
			name := NetworkName(c.arch, t.Name)
			if c.buffer != nil && c.buffer(name, depth(c.network)) {
				continue
			}
			if c.isSecondHead(name) {
				done.Notes = append(done.Notes, d.sourceErrorf(source{shard: s, TensorInfo: t}, "it is ignored: it is not part of the model that %s describes", configName).Error())
				continue
			}
			this := source{shard: s, TensorInfo: t}
			if other, twice := out[name]; twice {
				return nil, d.sourceErrorf(this, "the same weight is in %s as %s: remove one of them", quote.String(other.name), quote.String(other.Name))
			}
			out[name] = this
		}
	}
	if twin, ok := out[c.twin]; ok {
		if _, has := out[c.own]; !has {
			out[c.own] = twin
		}
		delete(out, c.twin)
	}
	return out, d.fromCopies(c, out)
}

// check compares the tensors of the files with the parameters of the network.
// It reads only the head and the embedding.
func (d *folder) check(g *graph.Graph, c config, sources map[string]source) error {
	head, hasHead := sources[c.head]
	tied := c.tied(g)
	hasHead = hasHead && tied // otherwise it is a weight like the others
	_, hasEmbedding := sources[c.embedding]
	if hasHead && !hasEmbedding { // safetensors keeps only one of two names for shared memory
		sources[c.embedding] = head
	}
	if _, found := sources[c.head]; c.head != "" && !tied && hasEmbedding && !found {
		for _, name := range slices.Sorted(maps.Keys(sources)) {
			if isClassifier(name) {
				return d.sourceErrorf(sources[name], "%s", stranger(name))
			}
		}
		return d.errorf(configName, "tie_word_embeddings is false, but the folder has no %s: the network's head is missing", c.head)
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
	for _, name := range slices.Sorted(maps.Keys(sources)) { // a fixed order, so that a folder always gives the same message
		if !known[name] && !(hasHead && name == c.head) {
			return d.sourceErrorf(sources[name], "%s", stranger(name))
		}
	}
	if !hasHead {
		return nil
	}
	if err := d.checkWeight(head, g.Lookup(c.embedding).Shape); err != nil {
		return err
	}
	return d.checkTied(head, sources[c.embedding])
}

// missing returns the error for a weight that no file has.
func (d *folder) missing(c config, name string) error {
	for _, tensor := range slices.Sorted(maps.Keys(d.index.place)) {
		if NetworkName(c.arch, tensor) == name {
			return d.errorf(d.index.place[tensor], "tensor %s is missing, but %s has it here: fetch this file again", quote.String(tensor), indexName)
		}
	}
	return fmt.Errorf("%s: weight %.80q is missing: the weights do not match this %s", d.path, name, configName)
}

// checkWeight checks the type and the shape of a tensor.
func (d *folder) checkWeight(s source, want graph.Shape) error {
	if !s.DType.Float() {
		return d.sourceErrorf(s, "its elements are %s: expected a floating-point type, so save the model without quantization", s.DType)
	}
	if !want.Equal(graph.Numbers(s.Shape...)) {
		return d.sourceErrorf(s, "its shape is %s, %s expects %s", graph.Numbers(s.Shape...), configName, want)
	}
	return nil
}

// checkTied rejects a head that differs from the token embedding, bit for bit
// in float32. It runs before any other weight is in memory.
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
		return d.sourceErrorf(head, "it differs from %s, and tie_word_embeddings makes them one: set it to false in %s if the model has a separate head", embedding.Name, configName)
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
