package model

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/graph"
)

// Checkpoint is a model at one moment of its training.
type Checkpoint struct {
	Config    Config
	Weights   Weights
	Tokenizer []byte // a Hugging Face tokenizer.json; empty if the model has none
	Step      int    // optimizer steps done
	Train     *TrainState
}

// TrainState is what a training run needs beside the weights to go on; nil in
// a Checkpoint that is only a model.
type TrainState struct {
	Options json.RawMessage // the trainer's own settings, not looked into here
	Moments []format.Tensor // of the optimizer, under names that begin with "optim."
}

// The names of what is no weight in a checkpoint file.
const (
	metaConfig      = "attnx.config"      // Config as JSON
	metaFingerprint = "attnx.fingerprint" // of the forward graph
	metaStep        = "attnx.step"
	metaTrain       = "attnx.train" // TrainState.Options
	blobTokenizer   = "attnx.blob.tokenizer.json"
	momentPrefix    = "optim."
	blobPrefix      = "attnx.blob."
)

// Save writes the checkpoint to path: the old file stays whole until the new
// one is complete. Equal checkpoints give equal bytes.
func (c *Checkpoint) Save(path string) error {
	if err := c.check(); err != nil {
		return err
	}
	return store.Save(path, c.write)
}

// check reports what would make a file that Load refuses.
func (c *Checkpoint) check() error {
	g, err := Build(c.Config)
	if err != nil {
		return err
	}
	return c.Weights.Check(g)
}

func (c *Checkpoint) write(w io.Writer) error {
	g, err := Build(c.Config)
	if err != nil {
		return err
	}
	config, err := json.Marshal(c.Config)
	if err != nil {
		return fmt.Errorf("model: configuration: %w", err)
	}
	meta := map[string]string{
		"format":        "pt", // transformers reads no file without it
		metaConfig:      string(config),
		metaFingerprint: graph.Fingerprint(g),
		metaStep:        strconv.Itoa(c.Step),
	}
	tensors := append([]format.Tensor(nil), c.Weights...)
	if c.Train != nil {
		meta[metaTrain] = string(c.Train.Options)
		tensors = append(tensors, c.Train.Moments...)
	}
	if len(c.Tokenizer) > 0 {
		tensors = append(tensors, format.FromUint8s(blobTokenizer, []int{len(c.Tokenizer)}, c.Tokenizer))
	}
	h := format.Header{Metadata: meta}
	for _, t := range tensors {
		h.Tensors = append(h.Tensors, format.TensorInfo{Name: t.Name, DType: t.DType, Shape: t.Shape})
	}
	fw := format.NewWriter(w, h)
	for _, t := range tensors {
		fw.Add(t)
	}
	return fw.Close()
}

// Load reads a checkpoint. It refuses a file whose weights are not those of
// the network it names, and one made from another definition of that network.
func Load(path string) (*Checkpoint, error) {
	f, err := format.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := read(f.Reader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func read(r *format.Reader) (*Checkpoint, error) {
	meta := r.Metadata()
	text, ok := meta[metaConfig]
	if !ok {
		return nil, fmt.Errorf("no %q in the metadata: this is a safetensors file but no attnx checkpoint", metaConfig)
	}
	config, err := ParseConfig(text)
	if err != nil {
		return nil, err
	}
	g, err := Build(config)
	if err != nil {
		return nil, err
	}
	if want, got := graph.Fingerprint(g), meta[metaFingerprint]; got != want {
		return nil, fmt.Errorf("model: the file's graph fingerprint %.12q is not this version's %.12q: load it with the version that wrote it", got, want)
	}
	c := &Checkpoint{Config: config}
	if c.Step, err = strconv.Atoi(meta[metaStep]); err != nil || c.Step < 0 {
		return nil, fmt.Errorf("model: %s is %q, wants a number of steps", metaStep, meta[metaStep])
	}
	// Shapes first: nothing is read before every weight is known to fit.
	infos := map[string]format.TensorInfo{}
	for _, i := range r.Tensors() {
		infos[i.Name] = i
	}
	for _, p := range g.Params {
		i, ok := infos[p.Name]
		if !ok {
			return nil, fmt.Errorf("model: weight %q is missing", p.Name)
		}
		if i.DType != p.DType || !p.Shape.Equal(graph.Numbers(i.Shape...)) {
			return nil, fmt.Errorf("model: weight %q is %s%v, the configuration wants %s%s", p.Name, i.DType, i.Shape, p.DType, p.Shape)
		}
	}
	for _, p := range g.Params {
		t, err := r.Tensor(p.Name)
		if err != nil {
			return nil, err
		}
		c.Weights = append(c.Weights, t)
	}
	if i, ok := infos[blobTokenizer]; ok {
		t, err := r.Tensor(i.Name)
		if err != nil {
			return nil, err
		}
		c.Tokenizer = t.Data
	}
	if options, ok := meta[metaTrain]; ok {
		c.Train = &TrainState{Options: json.RawMessage(options)}
	}
	for _, i := range r.Tensors() {
		switch {
		case g.Lookup(i.Name) != nil, strings.HasPrefix(i.Name, blobPrefix):
		case strings.HasPrefix(i.Name, momentPrefix) && c.Train != nil:
			t, err := r.Tensor(i.Name)
			if err != nil {
				return nil, err
			}
			c.Train.Moments = append(c.Train.Moments, t)
		default:
			return nil, fmt.Errorf("model: tensor %q is no weight of the network", i.Name)
		}
	}
	return c, nil
}
