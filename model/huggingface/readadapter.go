package huggingface

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/tokens"
)

// IsAdapter reports whether a folder holds an adapter of PEFT alone.
func IsAdapter(path string) bool {
	info, err := os.Lstat(filepath.Join(path, AdapterConfigName))
	return err == nil && !info.IsDir() && !IsFolder(path)
}

// Adapter is an open adapter of PEFT.
type Adapter struct {
	Base string // where its base is, as its writer named it

	folder *folder
	config readConfig
}

// readConfig is adapter_config.json as it is read: what changes the adapter and is
// not supported is refused.
type readConfig struct {
	adapterConfig
	RSLoRA   bool           `json:"use_rslora"`
	DoRA     bool           `json:"use_dora"`
	Saved    []string       `json:"modules_to_save"`
	Ranks    map[string]any `json:"rank_pattern"`
	Alphas   map[string]any `json:"alpha_pattern"`
	LoRABias bool           `json:"lora_bias"`
}

// OpenAdapter opens the folder of an adapter that PEFT or WriteAdapter wrote.
func OpenAdapter(path string) (*Adapter, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	a := &Adapter{folder: d}
	text, err := d.read(AdapterConfigName, maxConfig)
	if err == nil {
		if err = json.Unmarshal(text, &a.config); err != nil {
			err = d.errorf(AdapterConfigName, "%w", err)
		}
	}
	if err != nil {
		d.close()
		return nil, err
	}
	a.Base = a.config.Base
	c := a.config
	for what, is := range map[string]bool{
		fmt.Sprintf("peft_type %.20q", c.Type): c.Type != "LORA",
		"DoRA":                                 c.DoRA,
		"a bias":                               c.LoRABias || c.Bias != "" && c.Bias != "none",
		"modules_to_save":                      len(c.Saved) > 0,
		"rank_pattern":                         len(c.Ranks) > 0,
		"alpha_pattern":                        len(c.Alphas) > 0,
	} {
		if is {
			d.close()
			return nil, d.errorf(AdapterConfigName, "%s is not supported: an adapter has one rank and alpha, and matrices A and B only", what)
		}
	}
	return a, nil
}

// Close closes the folder.
func (a *Adapter) Close() { a.folder.close() }

// Apply returns a base with the adapter.
func (a *Adapter) Apply(base *model.Checkpoint) (*model.Checkpoint, error) {
	d := a.folder
	s, err := d.openShard(AdapterWeightsName)
	if err != nil {
		return nil, err
	}
	defer closeAll([]shard{s})
	l := &model.LoRA{Rank: a.config.Rank, Alpha: a.config.Alpha}
	if a.config.RSLoRA {
		l.Alpha *= math.Sqrt(float64(l.Rank))
	}
	if base, err = a.enlarged(base); err != nil {
		return nil, err
	}
	f := rowOf(base)
	matrices := graph.Matrices(base.Graph)
	left := map[string]bool{}
	for _, t := range s.Tensors() {
		left[t.Name] = true
	}
	all := map[string]format.Tensor{}
	for _, p := range base.Graph.Params {
		if _, ok := matrices[p.Name]; !ok {
			continue
		}
		first, second := l.Names(p.Name)
		inFirst, inSecond := l.Names(f.moduleName(p.Name))
		if !left[adapterPrefix+inFirst] { // the module of an older transformers
			inFirst, inSecond = l.Names(f.fileName(p.Name))
		}
		if !left[adapterPrefix+inFirst] {
			continue
		}
		l.Targets = append(l.Targets, p.Name)
		for _, pair := range [][2]string{{first, inFirst}, {second, inSecond}} {
			name, in := pair[0], adapterPrefix+pair[1]
			delete(left, in)
			t, err := s.Tensor(in)
			if err != nil {
				return nil, d.errorf(AdapterWeightsName, "%w", err)
			}
			x, err := t.AsFloat64s()
			if err != nil {
				return nil, d.errorf(AdapterWeightsName, "%.80q: %w", in, err)
			}
			all[name] = float32s(name, t.Shape, x)
		}
	}
	whole, err := a.wholeWeights(s, base, f, left)
	if err != nil {
		return nil, err
	}
	for name := range left {
		return nil, d.errorf(AdapterWeightsName, "%s has no matrix of a product for %.120q: is it the adapter's base?", base.Arch, strings.TrimPrefix(name, adapterPrefix))
	}
	if len(l.Targets) == 0 {
		return nil, d.errorf(AdapterWeightsName, "it holds no matrices")
	}
	out, err := base.WithAdapter(l, all)
	if err != nil {
		return nil, d.errorf(AdapterWeightsName, "%w", err)
	}
	for i, w := range out.Weights {
		if t, ok := whole[w.Name]; ok {
			out.Weights[i] = t
		}
	}
	return out, nil
}

// enlarged returns a base with the tokenizer of the adapter and a row for each of its tokens,
// as PEFT's AutoPeftModel enlarges it; the base itself if the adapter has none, or if the
// base has those tokens.
func (a *Adapter) enlarged(base *model.Checkpoint) (*model.Checkpoint, error) {
	d := a.folder
	if !d.has(tokenizerName) {
		return base, nil
	}
	text, err := d.read(tokenizerName, maxTokenizer)
	if err != nil {
		return nil, err
	}
	t, err := tokens.Parse(text)
	if err != nil { // PEFT reads others, and needs none to compute
		return base, nil
	}
	if old, err := tokens.Parse(base.Tokenizer); err == nil && t.VocabSize() <= old.VocabSize() {
		return base, nil
	}
	larger := *base
	larger.Tokenizer = text
	out, err := larger.WithVocab(t.VocabSize())
	if err != nil {
		return nil, d.errorf(tokenizerName, "its %d tokens are more than the base has: %w", t.VocabSize(), err)
	}
	return out, nil
}

// wholeWeights takes out of left the whole weights that PEFT saves beside an adapter of the
// head or the embedding, and returns those in which the base has other numbers.
func (a *Adapter) wholeWeights(s shard, base *model.Checkpoint, f family, left map[string]bool) (map[string]format.Tensor, error) {
	whole := map[string]format.Tensor{}
	for i, p := range base.Graph.Params {
		name := f.moduleName(p.Name)
		for _, in := range []string{name, underLayer(name)} {
			in = adapterPrefix + in
			if !left[in] {
				continue
			}
			delete(left, in)
			t, err := s.Tensor(in)
			if err != nil {
				return nil, a.folder.errorf(AdapterWeightsName, "%w", err)
			}
			w := base.Weights[i]
			if !slices.Equal(t.Shape, w.Shape) {
				return nil, a.folder.errorf(AdapterWeightsName, "the whole weight %.120q is %v, and the base has %v: put the tokenizer of the adapter into its folder, or merge it with PEFT", in, t.Shape, w.Shape)
			}
			x, errX := t.AsFloat64s()
			y, errY := w.AsFloat64s()
			if err := errors.Join(errX, errY); err != nil {
				return nil, a.folder.errorf(AdapterWeightsName, "%.80q: %w", in, err)
			}
			if !slices.Equal(x, y) {
				whole[p.Name] = float32s(p.Name, t.Shape, x)
			}
		}
	}
	return whole, nil
}

// float32s returns numbers as a tensor of float32.
func float32s(name string, shape []int, x []float64) format.Tensor {
	numbers := make([]float32, len(x))
	for i, v := range x {
		numbers[i] = float32(v)
	}
	return format.FromFloat32s(name, shape, numbers)
}

// BaseOf returns the path of an adapter's base: as it is named, or beside the
// adapter.
func (a *Adapter) BaseOf(path string) (string, error) {
	if a.Base != "" {
		for _, at := range []string{a.Base, filepath.Join(filepath.Dir(filepath.Clean(path)), filepath.Base(a.Base))} {
			if _, err := os.Stat(at); err == nil && !slices.Contains([]string{".", ".."}, at) {
				return at, nil
			}
		}
	}
	return "", a.folder.errorf(AdapterConfigName, "its base model, %.200q, is not here: put it beside the adapter, or name its path there as base_model_name_or_path", a.Base)
}
