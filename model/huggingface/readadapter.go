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
			numbers := make([]float32, len(x))
			for i, v := range x {
				numbers[i] = float32(v)
			}
			all[name] = format.FromFloat32s(name, t.Shape, numbers)
		}
	}
	if err := a.wholeWeights(s, base, f, left); err != nil {
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
	return out, nil
}

// wholeWeights takes out of left the whole weights of the base that PEFT saves beside an
// adapter of the head or the embedding. It refuses those that the base has otherwise.
func (a *Adapter) wholeWeights(s shard, base *model.Checkpoint, f family, left map[string]bool) error {
	for i, p := range base.Graph.Params {
		name := strings.TrimSuffix(adapterPrefix+f.moduleName(p.Name), ".weight")
		for _, in := range []string{name + ".weight", name + ".base_layer.weight"} {
			if !left[in] {
				continue
			}
			delete(left, in)
			t, err := s.Tensor(in)
			if err != nil {
				return a.folder.errorf(AdapterWeightsName, "%w", err)
			}
			x, errX := t.AsFloat64s()
			y, errY := base.Weights[i].AsFloat64s()
			if err := errors.Join(errX, errY); err != nil {
				return a.folder.errorf(AdapterWeightsName, "%.80q: %w", in, err)
			}
			if !slices.Equal(t.Shape, base.Weights[i].Shape) || !slices.Equal(x, y) {
				return a.folder.errorf(AdapterWeightsName, "it holds the whole weight %.120q beside its matrices, and the base has other numbers there: merge it with PEFT, or save it with save_embedding_layers=False", in)
			}
		}
	}
	return nil
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
