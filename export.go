package attnx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// ExportOptions configure Export. The zero value writes a file in the profile
// Plain, or a folder in the profile Cache.
type ExportOptions struct {
	Profile   export.Profile // nil: the default; a folder requires Cache, or Plain if the network has no past
	Web       bool           // folder: also for transformers.js, in browsers and Node
	Triton    string         // a Triton Inference Server model repository to add the model to; empty: none
	Batch     int            // Train: sequences in a batch; 0: 12
	Length    int            // Train: tokens in a sequence; 0: the model's context
	Pooling   Pooling        // adds an output with the embedding of each text; the zero value: the model's own, if it has one
	Optimizer string         // Train: "adamw" adds the update to the graph; empty: gradients only
	MaxLoss   float64        // if weights become integers: keep weights in higher precision until the predicted mean divergence of the next tokens, in nats, is at most this; 0: keep those of the Profile
	Exact     bool           // if weights become integers: keep those that integers do not hold exactly in higher precision
	ByLayer   bool           // if weights become integers: report what each of them loses, predicted and measured
	Text      string         // if the numbers change: file with unseen text to measure the loss on; empty: random ids
	Stdin     io.Reader      // the source of the Text "-"
	Saving    func()         // called after reading and before writing; may be nil
	Tell      Tell
}

// Export writes the model at a path, in any form that Load reads, as an ONNX file
// or as a folder. The target is a folder if it ends with a separator or is an
// existing folder, which must be empty. The target may be "" if
// ExportOptions.Triton is set. The file contains the network, its configuration and
// the tokenizer. A folder serves every runtime at once: it has Hugging Face's
// files, those of onnxruntime-genai, and one copy of the weights. The folder of a
// network that can have no past, such as a classifier or an MLP, holds the profile
// Plain, and no files for generation.
//
// Export does not overwrite its source, the files of a run, or a file that attnx
// did not write. It replaces an earlier export once the new one is complete. After
// an error nothing new is left, unless the error came while the loss was measured:
// the report is then not nil. Errors are an *OptionError, an *Error, an error of
// the packages below, or name the file.
func Export(ctx context.Context, from, to string, o ExportOptions) (*ExportReport, error) {
	x, err := newExporting(to, tritonName(from), o)
	if err != nil {
		return nil, err
	}
	defer x.close()
	if err := x.claim(from, o.Text); err != nil {
		return nil, err
	}
	load := find.Loader(model.LoadModel)
	if o.Optimizer != "" { // the optimizer's settings are in the training state
		load = model.Load
	}
	c, _, err := find.Load(from, o.Tell, load)
	if err != nil {
		return nil, err
	}
	if err := tellTokenizer(from, c, o.Tell); err != nil {
		return nil, err
	}
	return x.write(ctx, c)
}

// ExportCheckpoint is Export for a model in memory.
func ExportCheckpoint(ctx context.Context, c *model.Checkpoint, to string, o ExportOptions) (*ExportReport, error) {
	x, err := newExporting(to, "model", o)
	if err != nil {
		return nil, err
	}
	defer x.close()
	if err := x.claim(o.Text); err != nil {
		return nil, err
	}
	return x.write(ctx, c)
}

// ExportBytes returns a model as an ONNX file in memory.
func ExportBytes(c *model.Checkpoint, p export.Profile) ([]byte, error) {
	metadata, err := c.Metadata()
	if err != nil {
		return nil, err
	}
	return export.Bytes(c.Graph, c.Weights, p, metadata)
}

// ExportModel returns a model in the form of an ONNX file, and the effect of
// changing its numbers.
func ExportModel(c *model.Checkpoint, p export.Profile) (*onnx.Model, precision.Numbers, error) {
	metadata, err := c.Metadata()
	if err != nil {
		return nil, precision.Numbers{}, err
	}
	return export.Convert(c.Graph, c.Weights, p, metadata)
}

// encoded returns a model in the form of an ONNX file, and the file's bytes.
func encoded(c *model.Checkpoint, p export.Profile) (*onnx.Model, []byte, error) {
	m, _, err := ExportModel(c, p)
	if err != nil {
		return nil, nil, err
	}
	b := bytes.NewBuffer(make([]byte, 0, m.EncodedSize())) // Grow would clear new memory
	err = m.Encode(b)
	return m, b.Bytes(), err
}

// exporting is an export in progress.
type exporting struct {
	ExportOptions
	to     string // file or folder; empty if only Triton is a target
	folder bool   // to is a folder
	triton string // the model's folder in the repository; empty if none
	places []*store.Claim
}

func newExporting(to, name string, o ExportOptions) (*exporting, error) {
	x := &exporting{ExportOptions: o, to: to, folder: MeansFolder(to)}
	if o.Triton != "" {
		x.triton = filepath.Join(o.Triton, name)
	}
	if x.Profile == nil {
		x.Profile = export.Plain{}
		if x.folders() {
			x.Profile = export.Cache{}
		}
	}
	return x, x.check()
}

// MeansFolder reports whether a target path means a folder: it ends with a
// separator or is an existing folder.
func MeansFolder(path string) bool {
	return path != "" && (os.IsPathSeparator(path[len(path)-1]) || find.IsFolder(path))
}

// folders reports whether only folders are written.
func (x *exporting) folders() bool { return x.folder || x.triton != "" }

// check refuses contradictory options.
func (x *exporting) check() error {
	cache, isCache := x.Profile.(export.Cache)
	_, isTrain := x.Profile.(export.Train)
	_, isPlain := x.Profile.(export.Plain)
	switch {
	case x.Web && !x.folder:
		return &OptionError{Option: "Web", Reason: " belongs to a folder: end its name with a slash"}
	case x.triton != "" && x.to != "" && !x.folder:
		return &OptionError{Option: "Triton", Reason: " makes a folder, and " + x.to + " is a file: end it with a slash, or leave it out"}
	case x.folders() && !isCache && (!isPlain || x.triton != ""):
		return x.holdsCache()
	case x.Web && cache.Fuse:
		return &OptionError{Option: "Web", Reason: " and a fused cache exclude each other: transformers.js gives the past in tensors that grow, a fused cache is one buffer"}
	case !isTrain && x.Optimizer != "":
		return &OptionError{Option: "Optimizer", Reason: " belongs to the profile train"}
	case !isTrain && x.Batch != 0:
		return &OptionError{Option: "Batch", Reason: " belongs to the profile train"}
	case !isTrain && x.Length != 0:
		return &OptionError{Option: "Length", Reason: " belongs to the profile train"}
	case x.Optimizer != "" && x.Optimizer != "adamw":
		return &OptionError{Option: "Optimizer", Reason: fmt.Sprintf(" %.80q: take adamw, or leave it out for gradients alone", x.Optimizer)}
	case x.ByLayer && x.Profile.Numbers().Quantize == "":
		return &OptionError{Option: "ByLayer", Reason: " is about weights that become integers: ask for some"}
	case x.Exact && x.Profile.Numbers().Quantize == "":
		return &OptionError{Option: "Keep", Reason: " exact is about weights that become integers: ask for some"}
	case x.Exact && (x.MaxLoss != 0 || x.Profile.Numbers().Keep != ""):
		return &OptionError{Option: "Keep", Reason: " exact chooses the weights, and so does another option: leave one out"}
	case x.MaxLoss != 0 && x.Profile.Numbers().Quantize == "":
		return &OptionError{Option: "MaxLoss", Reason: " is about weights that become integers: ask for some"}
	case x.MaxLoss < 0 || math.IsNaN(x.MaxLoss) || math.IsInf(x.MaxLoss, 0):
		return &OptionError{Option: "MaxLoss", Reason: fmt.Sprintf(" is %g nats: take a positive number, such as 0.01", x.MaxLoss)}
	case x.MaxLoss != 0 && x.Profile.Numbers().Keep != "":
		return &OptionError{Option: "MaxLoss", Reason: " chooses the weights to keep, and the profile names some: leave one out"}
	case x.Pooling.Normalized && x.Pooling.Kind == "":
		return &OptionError{Option: "Pooling", Reason: " is normalized, and has no kind: take " + quote.Or(Poolings())}
	case x.Text != "" && !x.Profile.Numbers().Changes():
		return &OptionError{Option: "Text", Reason: " measures what other numbers than float32 lose: ask for some"}
	}
	return x.Profile.Check()
}

// claim locks the targets for writing.
func (x *exporting) claim(inputs ...string) error {
	inputs = slices.DeleteFunc(inputs, func(s string) bool { return s == "" || s == train.Stdin })
	triton := x.triton
	if x.triton != "" && !find.IsFolder(x.Triton) { // the repository is created
		triton = x.Triton
	}
	for _, path := range []string{x.to, triton} {
		if path == "" {
			continue
		}
		kind := output.Folder
		if !x.folders() {
			kind = output.ONNX
		}
		place, err := output.Claim(kind, path, inputs...)
		if err != nil {
			return err
		}
		x.places = append(x.places, place)
		if place.Path == x.places[0].Path && len(x.places) > 1 {
			return &OptionError{Option: "Triton", Reason: " names the folder that the export goes to, " + path + ": choose another for one of them"}
		}
	}
	return nil
}

func (x *exporting) close() {
	for _, p := range x.places {
		p.Close()
	}
}

// write writes a model and measures its loss of quality.
func (x *exporting) write(ctx context.Context, c *model.Checkpoint) (*ExportReport, error) {
	c, err := x.embedding(c)
	if err != nil {
		return nil, err
	}
	if err := x.settle(c); err != nil {
		return nil, err
	}
	held, err := x.heldOut(ctx, c)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	layers, err := x.byLayer(ctx, c, held)
	if err == nil {
		err = x.keepExact(c)
	}
	if err != nil {
		return nil, err
	}
	if x.Saving != nil {
		x.Saving()
	}
	r := newExportReport(x.Profile.Numbers())
	numbers, err := x.save(c, r)
	if errors.As(err, new(*graph.CacheError)) {
		err = &Error{Err: err, Do: ExportFile}
	}
	if err != nil {
		return nil, err
	}
	if x.Profile.Numbers().Changes() {
		err = x.measure(ctx, c, r, numbers, layers, held)
	}
	return r, err
}

// keepExact keeps the weights that integers do not hold exactly, if that is asked
// for.
func (x *exporting) keepExact(c *model.Checkpoint) error {
	if !x.Exact {
		return nil
	}
	numbers := x.Profile.Numbers()
	keep, err := numbers.KeepExact(c.Graph, c.Weights)
	if err != nil {
		return err
	}
	numbers.Keep = keep
	x.Profile, err = export.WithNumbers(x.Profile, numbers)
	return err
}

// embedding returns the model with the output that is asked for.
func (x *exporting) embedding(c *model.Checkpoint) (*model.Checkpoint, error) {
	if x.Pooling == (Pooling{}) {
		return c, nil
	}
	with, err := model.WithPooling(c, x.Pooling)
	if err != nil {
		return nil, &OptionError{Option: "Pooling", Reason: ": " + err.Error(), Err: err}
	}
	return with, nil
}

// save writes the file or the folders and adds them to the report.
func (x *exporting) save(c *model.Checkpoint, r *ExportReport) (precision.Numbers, error) {
	if x.folders() {
		return x.saveFolders(c, r)
	}
	g, weights, metadata := c.Graph, c.Weights, map[string]string(nil)
	var err error
	if _, isTrain := x.Profile.(export.Train); isTrain {
		g, err = x.step(c)
		weights = nil // they are inputs and stay in the checkpoint
	} else {
		metadata, err = c.Metadata()
	}
	if err != nil {
		return precision.Numbers{}, err
	}
	sum, err := export.File(x.to, g, weights, x.Profile, metadata)
	if err == nil {
		r.Profile, r.Opset, r.Nodes = x.Profile.Name(), sum.Opset, sum.Nodes
		r.wrote(sum.Files...)
		r.say("wrote %s: profile %s, opset %d, %d nodes, %s bytes", strings.Join(sum.Files, " and "), r.Profile, sum.Opset, sum.Nodes, quote.Count(int(sum.Bytes)))
	}
	return sum.Numbers, err
}

// step returns the training step of a model, including an optimizer if one is
// named.
func (x *exporting) step(c *model.Checkpoint) (*graph.Graph, error) {
	batch, length := x.Batch, x.Length
	if batch == 0 {
		batch = defaultBatch
	}
	if length == 0 {
		length = c.Context()
	}
	if x.Optimizer == "" {
		if length == 0 && c.Graph.Input(role.Of(role.Tokens)) != nil {
			return nil, &Error{Err: errors.New("the network reads texts of any length, and a training step has one"), Do: export.SetLength}
		}
		return model.Step(c.Graph, batch, length)
	}
	o := train.DefaultOptions(1)
	if c.Train != nil {
		var err error
		if o, err = train.Saved(c); err != nil {
			return nil, err
		}
		o.Accumulate = 0
	}
	return train.BuildTraining(c.Graph, batch, length, o)
}

// defaultBatch is the default batch size, as in training.
const defaultBatch = 12
