package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Checkpoint is a model at one point of its training.
type Checkpoint struct {
	Arch          string          // name of the architecture
	Config        json.RawMessage // configuration of the network: a JSON object
	Graph         *graph.Graph    // its forward pass
	Weights       Weights         // in the order of Graph.Params
	Tokenizer     []byte          // a Hugging Face tokenizer.json; empty if the model has none
	Special       *Special        // nil if only the tokenizer is known: Spelled then derives it
	ChatTemplate  string          // how a conversation becomes a text: Jinja, as in transformers; empty if the model has none
	LowBits       []graph.LowBits // weights that are kept as integers
	LoRA          *LoRA           // the adapter, whose matrices are among Weights; nil if there is none
	Step          int             // optimizer steps done
	Loss, ValLoss *float64        // of that step and after it; nil if unknown
	Rank          *float64        // the lowest is the best checkpoint of its run; nil: ValLoss decides
	Whole         *Checkpoint     // of the encoder of a pair: the network that translates; nil: none
	Train         *TrainState
	Seal          *format.Seal // of the file it was read from; nil if that had none, and only weights were read

	kept any
}

// Keep holds x as long as the checkpoint: the tokenizer that a reader made of Tokenizer
// to check it, which tokens.Parse then gives without reading it again.
func (c *Checkpoint) Keep(x any) { c.kept = x }

// TrainState is what a training run needs in addition to the weights to
// continue. It is nil in a Checkpoint that is only a model. This package does
// not interpret what the trainer wrote.
type TrainState struct {
	Options json.RawMessage // the trainer's settings
	Random  json.RawMessage // state of its random numbers
	Data    json.RawMessage // position in its data
	Moments []format.Tensor // of the optimizer, with the name prefix format.MomentPrefix
}

// Metadata names and blobs of a checkpoint file.
const (
	metaConfig      = "attnx.config"      // Checkpoint.Config
	metaFingerprint = "attnx.fingerprint" // of Checkpoint.Graph
	metaStep        = "attnx.step"
	metaLoss        = "attnx.loss"
	metaValLoss     = "attnx.val_loss"
	metaRank        = "attnx.rank"
	blobGraph       = format.BlobPrefix + "graph.txt" // output of graph.Print
	blobTokenizer   = format.BlobPrefix + "tokenizer.json"
	blobChat        = format.BlobPrefix + "chat_template.jinja"
	blobOptions     = format.BlobPrefix + "trainer.json"
	blobRandom      = format.BlobPrefix + "random.json"
	blobData        = format.BlobPrefix + "data.json"
)

// Save writes the checkpoint to path, sealed and atomically. Equal checkpoints
// give equal bytes.
func (c *Checkpoint) Save(path string) error {
	meta, tensors, err := c.contents()
	if err != nil {
		return err
	}
	return store.Save(path, func(w io.Writer) error { return format.WriteSealed(w, meta, tensors) })
}

// Write writes the file of the checkpoint to w, which may be a pipe.
func (c *Checkpoint) Write(w io.Writer) error {
	meta, tensors, err := c.contents()
	if err != nil {
		return err
	}
	return format.WriteSealed(w, meta, tensors)
}

// contents returns metadata and tensors of the file. It rejects what Load
// would reject.
func (c *Checkpoint) contents() (meta map[string]string, tensors []format.Tensor, err error) {
	if c.Graph == nil {
		return nil, nil, fmt.Errorf("model: the checkpoint has no network")
	}
	if err := c.Weights.Check(c.Graph); err != nil {
		return nil, nil, err
	}
	for _, w := range c.Weights {
		if format.Reserved(w.Name) {
			return nil, nil, fmt.Errorf("model: weight %.80q has a name that checkpoints reserve: rename it", w.Name)
		}
	}
	if err := CheckTemplate(c.ChatTemplate); err != nil {
		return nil, nil, err
	}
	text, kept, err := c.graphText()
	if err != nil {
		return nil, nil, err
	}
	meta = map[string]string{
		"format":        "pt", // transformers rejects files without it
		metaConfig:      string(c.Config),
		metaFingerprint: graph.Fingerprint(kept),
		metaStep:        strconv.Itoa(c.Step),
	}
	for name, loss := range map[string]*float64{metaLoss: c.Loss, metaValLoss: c.ValLoss, metaRank: c.Rank} {
		if loss != nil {
			meta[name] = strconv.FormatFloat(*loss, 'g', -1, 64)
		}
	}
	if err := errors.Join(c.addSpecial(meta), c.addLowBits(meta), c.addLoRA(meta)); err != nil {
		return nil, nil, err
	}
	tensors = slices.Clone(c.Weights)
	blob := func(name string, data []byte) {
		if len(data) > 0 {
			tensors = append(tensors, format.FromUint8s(name, []int{len(data)}, data))
		}
	}
	blob(blobGraph, text)
	blob(blobTokenizer, c.Tokenizer)
	blob(blobChat, []byte(c.ChatTemplate))
	if t := c.Train; t != nil {
		tensors = append(tensors, t.Moments...)
		blob(blobOptions, t.Options)
		blob(blobRandom, t.Random)
		blob(blobData, t.Data)
	}
	return meta, tensors, nil
}

// Load reads a checkpoint and checks it against its seal. The network is the
// graph in the file; a file from before graphs were stored has its network
// built from the configuration. Load rejects a file whose weights do not fit
// the network. From a file without a seal, which another tool wrote, it reads
// only network, weights and tokenizer.
func Load(path string) (*Checkpoint, error) { return load(path, true) }

// LoadModel is Load without the training state: it reads a third of the bytes.
func LoadModel(path string) (*Checkpoint, error) { return load(path, false) }

func load(path string, training bool) (*Checkpoint, error) {
	f, err := format.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, names, err := plan(f.Reader, training)
	if err != nil {
		if strings.HasPrefix(err.Error(), path+": ") { // an error of the file names it
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	tensors, err := f.Load(names...)
	if err != nil {
		return nil, err
	}
	c.take(tensors)
	return c, nil
}

// Check reports whether Load can read a checkpoint, by all but the values of its
// weights and of its training state.
func Check(f *format.Reader) error {
	_, _, err := plan(f, true)
	return err
}

// plan returns what the header says of a checkpoint, and the names of the
// tensors that are to be read: the weights in their order, the tokenizer, and
// the training state if that is wanted.
func plan(f *format.Reader, training bool) (c *Checkpoint, names []string, err error) {
	meta := f.Metadata()
	text, ok := meta[metaConfig]
	if !ok {
		return nil, nil, &ForeignError{metaConfig}
	}
	// Check all shapes first, so that nothing large is read if one does not
	// fit.
	infos := map[string]format.TensorInfo{}
	for _, i := range f.Tensors() {
		infos[i.Name] = i
	}
	var printed []byte
	if _, ok := infos[blobGraph]; ok {
		t, err := f.Load(blobGraph)
		if err != nil {
			return nil, nil, err
		}
		printed = t[0].Data
	}
	has, err := parseChanges(meta)
	if err != nil {
		return nil, nil, err
	}
	if c, err = describe(text, printed, len(infos), has); err != nil {
		return nil, nil, err
	}
	if got := meta[metaFingerprint]; printed != nil && !graph.HasFingerprint(c.Graph, got) {
		return nil, nil, &GraphError{fmt.Errorf("the fingerprint %.12q does not match the graph, %.12q", got, graph.Fingerprint(c.Graph))}
	}
	g := c.Graph
	c.Seal = f.Seal()
	if c.Step, err = strconv.Atoi(meta[metaStep]); err != nil || c.Step < 0 {
		return nil, nil, fmt.Errorf("model: %s is %.80q, expected a number of steps", metaStep, meta[metaStep])
	}
	if c.Special, err = SpecialIn(meta, c.IDs()); err != nil {
		return nil, nil, err
	}
	if c.Loss, c.ValLoss, err = Losses(meta); err != nil {
		return nil, nil, err
	}
	if c.Rank, err = loss(meta, metaRank); err != nil {
		return nil, nil, err
	}
	for _, p := range g.Params {
		i, ok := infos[p.Name]
		if !ok {
			return nil, nil, &GraphError{fmt.Errorf("weight %.80q is missing", p.Name)}
		}
		if i.DType != p.DType || !p.Shape.Equal(graph.Numbers(i.Shape...)) {
			return nil, nil, &GraphError{fmt.Errorf("weight %.80q is %s%v, its network expects %s%s", p.Name, i.DType, i.Shape, p.DType, p.Shape)}
		}
		names = append(names, p.Name)
	}
	params := map[string]bool{}
	for _, name := range names {
		params[name] = true
	}
	_, hasState := infos[blobOptions]
	hasState = hasState && c.Seal != nil
	for _, i := range f.Tensors() {
		moment := strings.HasPrefix(i.Name, format.MomentPrefix)
		switch {
		case params[i.Name], i.Name == blobGraph:
		case i.Name == blobTokenizer:
			names = append(names, i.Name)
		case i.Name == blobChat && c.Seal != nil:
			if n, _ := format.Elements(i.Shape); n > maxTemplate {
				return nil, nil, fmt.Errorf("model: the chat template has %d bytes, at most %d are read", n, maxTemplate)
			}
			names = append(names, i.Name)
		case hasState && (moment || slices.Contains([]string{blobOptions, blobRandom, blobData}, i.Name)):
			if training {
				names = append(names, i.Name)
			}
		case c.Seal != nil && strings.HasPrefix(i.Name, format.BlobPrefix):
			// From another version of attnx: ignore it.
		case c.Seal == nil && (moment || strings.HasPrefix(i.Name, "attnx.")):
			// A rest of our checkpoint that another tool rewrote: do not trust
			// it.
		default:
			return nil, nil, &GraphError{fmt.Errorf("tensor %.80q is not a weight of the network", i.Name)}
		}
	}
	c.Weights = make(Weights, len(g.Params))
	if training && hasState {
		c.Train = &TrainState{}
	}
	return c, names, nil
}

// describe returns the network of a configuration and the text of its graph.
// Without a text, as in files from before graphs were stored, it builds the
// network from the configuration. tensors is the number of tensors in the
// file; it bounds the number of layers.
func describe(config string, text []byte, tensors int, has changes) (*Checkpoint, error) {
	name, err := archOf([]byte(config))
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Arch: name, Config: json.RawMessage(config), LowBits: has.low, LoRA: has.lora}
	if text != nil {
		if c.Graph, err = graph.Parse(string(text)); err != nil {
			return nil, &GraphError{err}
		}
	}
	if !arch.Known(name) {
		if text == nil {
			return nil, fmt.Errorf("model: attnx does not ship the architecture %.64q, and the file has no graph of it", name)
		}
		return c, nil
	}
	n, err := c.Network()
	if err != nil {
		return nil, err
	}
	// A network grows with its layers, and each layer has weights in the file.
	if deep, ok := n.(interface{ Depth() int }); ok && deep.Depth() > tensors {
		return nil, fmt.Errorf("model: the configuration has %d layers, the file %d tensors", deep.Depth(), tensors)
	}
	built, err := nn.Build(n)
	if err != nil {
		return nil, err
	}
	if built, err = has.apply(built); err != nil {
		return nil, &GraphError{err}
	}
	if text == nil {
		c.Graph = built
		return c, nil
	}
	if built.Context != c.Graph.Context {
		return nil, &GraphError{fmt.Errorf("the configuration has a context of %d tokens, the graph %d", built.Context, c.Graph.Context)}
	}
	if err := built.CheckParams(paramsOf(c.Graph)); err != nil {
		return nil, &GraphError{fmt.Errorf("the graph does not match the configuration: %w", err)}
	}
	return c, nil
}

// take stores the tensors of a plan in the checkpoint.
func (c *Checkpoint) take(tensors []format.Tensor) {
	n := copy(c.Weights, tensors)
	for _, t := range tensors[n:] {
		switch {
		case t.Name == blobTokenizer:
			c.Tokenizer = t.Data
		case t.Name == blobChat:
			c.ChatTemplate = string(t.Data)
		case c.Train == nil:
		case t.Name == blobOptions:
			c.Train.Options = t.Data
		case t.Name == blobRandom:
			c.Train.Random = t.Data
		case t.Name == blobData:
			c.Train.Data = t.Data
		case strings.HasPrefix(t.Name, format.MomentPrefix):
			c.Train.Moments = append(c.Train.Moments, t)
		}
	}
}

// Resumable reports whether a file holds a training state, from which a run
// can continue.
func Resumable(f *format.Reader) bool {
	return slices.ContainsFunc(f.Tensors(), func(i format.TensorInfo) bool { return i.Name == blobOptions })
}

// Losses returns the losses in the metadata of a checkpoint file; nil if
// unknown.
func Losses(meta map[string]string) (train, val *float64, err error) {
	if train, err = loss(meta, metaLoss); err != nil {
		return nil, nil, err
	}
	val, err = loss(meta, metaValLoss)
	return train, val, err
}

func loss(meta map[string]string, name string) (*float64, error) {
	text, ok := meta[name]
	if !ok {
		return nil, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("model: %s is %.80q, expected a number", name, text)
	}
	return &v, nil
}
