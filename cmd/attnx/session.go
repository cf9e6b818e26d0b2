package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
)

// device is where ONNX Runtime works, as the flags say.
type device struct {
	library string // --ort-lib
	name    string // --device
	tf32    bool   // --tf32
}

// flags adds what says where ONNX Runtime works.
func (d *device) flags(fl *pflag.FlagSet) {
	fl.StringVar(&d.library, "ort-lib", "", "ONNX Runtime library (default: looked for)")
	fl.StringVar(&d.name, "device", "cpu", "where to run: cpu, cuda or auto")
	fl.BoolVar(&d.tf32, "tf32", false, "CUDA: allow TF32, which rounds products to 10 bits")
}

// check refuses what is no device before any file is read.
func (d device) check() error {
	if !slices.Contains([]string{"cpu", "cuda", "auto"}, d.name) {
		return fmt.Errorf("--device %q: take cpu, cuda or auto", d.name)
	}
	return nil
}

// language is a model that can be run on text.
type language struct {
	config  model.Config
	tok     *tokens.Tokenizer
	session runtime.Session
	running string // what runs it: "ONNX Runtime 1.30.0 on cpu"
}

// openLanguage opens a checkpoint, an ONNX file of ours or a folder with one.
// A checkpoint runs in ONNX Runtime too where that is installed, else in Go.
func openLanguage(path string, d device, warn io.Writer) (*language, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if path = modelIn(path); !isFolder(path) {
		to, err := resolve(path, warn)
		if err != nil {
			return nil, err
		}
		kind, err := sniff(to)
		if err != nil {
			return nil, err
		}
		if kind == onnxFile {
			return openONNX(to, d)
		}
	}
	c, path, err := loadCheckpoint(path, warn, model.LoadModel)
	if err != nil {
		return nil, err
	}
	l := &language{config: c.Config}
	if l.tok, err = tokenizerOf(path, c.Tokenizer, c.Config); err != nil {
		return nil, err
	}
	session, err := openExported(c, d)
	if err == nil {
		l.session, l.running = session, describeORT(session)
		return l, nil
	}
	if !errors.Is(err, runtime.ErrUnavailable) || d.name == "cuda" || d.library != "" {
		return nil, err
	}
	g, err := model.Build(c.Config)
	if err != nil {
		return nil, err
	}
	if l.session, err = train.NewForward(g, c.Weights); err != nil {
		return nil, err
	}
	l.running = "Go (`attnx runtime install` brings the faster ONNX Runtime)"
	return l, nil
}

// openExported runs a checkpoint in ONNX Runtime, by way of an export in
// memory.
func openExported(c *model.Checkpoint, d device) (*ort.Session, error) {
	lib, err := ort.Find(d.library)
	if err != nil {
		return nil, err
	}
	data, err := exportBytes(c, form{Options: export.Options{Profile: export.Plain}})
	if err != nil {
		return nil, err
	}
	return ort.OpenBytes(data, ort.Options{Library: lib.Path, Device: d.name, CUDA: ort.CUDAOptions{TF32: d.tf32}})
}

// openONNX opens an ONNX file of ours: in ONNX Runtime, or the flat profile in
// onnx-go, for which it is made.
func openONNX(path string, d device) (*language, error) {
	m, err := onnx.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := export.Describe(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: generate runs files that `attnx export` wrote", path, err)
	}
	if info.Profile == export.Train {
		return nil, fmt.Errorf("%s: it holds a training step, and generate needs logits: export the checkpoint with --profile %s", path, export.Plain)
	}
	l := &language{}
	text, ok := m.MetadataValue(model.MetaConfig)
	if !ok {
		return nil, fmt.Errorf("%s: no %q in the metadata: export the checkpoint again with `attnx export`", path, model.MetaConfig)
	}
	if l.config, err = model.ParseConfig(text); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	tokenizer, _ := m.MetadataValue(model.MetaTokenizer)
	if l.tok, err = tokenizerOf(path, []byte(tokenizer), l.config); err != nil {
		return nil, err
	}
	verified, err := verifyWeights(path, m)
	if err != nil {
		return nil, err
	}
	if info.Profile == export.Flat {
		if d.name == "cuda" {
			return nil, fmt.Errorf("%s: profile flat runs in onnx-go, which has no CUDA: take --profile plain or --device cpu", path)
		}
		if err := verified(); err != nil {
			return nil, err
		}
		l.config.Context, l.running = info.Length, "onnx-go"
		l.session, err = openFlat(path, m)
		return l, err
	}
	lib, err := ort.Find(d.library)
	if err != nil {
		return nil, err
	}
	s, err := ort.Open(path, ort.Options{Library: lib.Path, Device: d.name, CUDA: ort.CUDAOptions{TF32: d.tf32}})
	if altered := verified(); altered != nil { // told first: it may be why the model does not open
		if err == nil {
			s.Close()
		}
		return nil, altered
	}
	if err != nil {
		return nil, err
	}
	l.session, l.running = s, describeORT(s)
	return l, nil
}

// describeORT says what runs a model, and why not CUDA where --device auto did
// not get it.
func describeORT(s *ort.Session) string {
	text := fmt.Sprintf("ONNX Runtime %s on %s", s.Version(), s.Device())
	if err := s.NoCUDA(); err != nil {
		text += fmt.Sprintf(" (no CUDA: %s)", oneLine(err.Error()))
	}
	return text
}

// tokenizerOf reads the tokenizer of the model in a file.
func tokenizerOf(path string, data []byte, c model.Config) (*tokens.Tokenizer, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: the model has no tokenizer: it cannot read or write text", path)
	}
	t, err := tokens.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: tokenizer: %w", path, err)
	}
	if t.VocabSize() > c.Vocab {
		return nil, fmt.Errorf("%s: the tokenizer has %d tokens, the model %d: its ids would be out of range, train or export again", path, t.VocabSize(), c.Vocab)
	}
	return t, nil
}

// encode turns a prompt into ids. Unknown words become the unknown token; a
// warning says so.
func (l *language) encode(prompt string, warn io.Writer) ([]int64, error) {
	ids := l.tok.Encode(prompt)
	if len(ids) == 0 {
		return nil, fmt.Errorf("--prompt is empty: give at least one token")
	}
	if len(ids) > l.config.Context {
		return nil, fmt.Errorf("--prompt has %d tokens, the model sees %d: shorten it", len(ids), l.config.Context)
	}
	if unknown, ok := l.tok.Unknown(); ok {
		n := 0
		for _, id := range ids {
			if id == unknown {
				n++
			}
		}
		if n > 0 {
			fmt.Fprintf(warn, "attnx: %d of the prompt's %d tokens are not in the model's vocabulary\n", n, len(ids))
		}
	}
	return ids, nil
}
