package attnx

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/foreign"
	ggufmodel "github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/model/huggingface"
)

// ConvertOptions configure Convert.
type ConvertOptions struct {
	DType   format.DType // of a folder's weights: Float32, BFloat16 or Float16; 0: Float32
	GGUF    gguf.Type    // of the matrices of a GGUF file; 0: F32
	Merge   bool         // add the adapter of the model to its weights
	Adapter bool         // write the adapter alone, as a folder of PEFT
	To      string       // ToTorch: hand a run over to PyTorch, see package model/train/torch; "": what the path means
	Like    string       // the ONNX file that a copy with other weights is made of; only for an ONNX file
	Saving  func()       // called after reading and before writing; may be nil
	Tell    Tell
}

// ConvertReport lists what a conversion wrote and rounded.
type ConvertReport struct {
	Path       string         `json:"path"` // of the file or folder
	Arch       string         `json:"arch"`
	Parameters int            `json:"parameters"`
	DType      string         `json:"dtype"` // of a GGUF file: the types of its tensors
	Rounding   RoundingReport `json:"rounding"`
	Notes      []string       `json:"notes,omitempty"` // what readers of the file do not find in it

	folder, hub, gguf bool
}

// Convert reads a model in any form (a checkpoint, a run's folder, a Hugging Face
// folder, a GGUF file, an ONNX file of any tool). It writes a checkpoint if the
// name ends with .safetensors, a GGUF file if it ends with .gguf, a copy of the
// file Like with the model's weights if it ends with .onnx, otherwise a new folder
// in Hugging Face's layout. A checkpoint contains float32 weights, and the training
// state if there is one. Convert does not overwrite its source or files that attnx
// did not write. Errors name the file.
func Convert(from, to string, o ConvertOptions) (*ConvertReport, error) {
	switch {
	case o.To == ToTorch && (o.Adapter || o.Merge || o.Like != "" || o.DType != format.Invalid && o.DType != format.Float32 || o.GGUF != gguf.F32):
		return nil, &OptionError{Option: "To", Reason: " torch writes a run as it is: leave the other options out"}
	case o.To == ToTorch:
		return convertToTorch(from, to, o)
	case o.To != "":
		return nil, &OptionError{Option: "To", Reason: fmt.Sprintf(" %.40q: take %s", o.To, ToTorch)}
	case o.Adapter && (o.Merge || o.Like != ""):
		return nil, &OptionError{Option: "Adapter", Reason: " writes the adapter alone: leave out Merge and Like"}
	case o.Adapter || MeansAdapter(to):
		return convertAdapter(from, to, o)
	case o.Like != "" && meansONNX(to):
		return convertLike(from, to, o)
	case o.Like != "":
		return nil, &OptionError{Option: "Like", Reason: fmt.Sprintf(" is for ONNX files: %.200q does not end with .onnx", to)}
	}
	load, kind := find.Loader(model.LoadModel), output.Folder
	if o.DType == format.Invalid {
		o.DType = format.Float32
	}
	switch {
	case MeansFolder(to):
	case MeansGGUF(to):
		kind = output.GGUF
	case strings.EqualFold(filepath.Ext(to), ".safetensors"):
		load, kind = model.Load, output.Checkpoint
	}
	if kind != output.Folder && o.DType != format.Float32 {
		return nil, &OptionError{Option: "DType", Reason: fmt.Sprintf(" %s: a checkpoint holds float32: write a folder", dtypeName(o.DType))}
	}
	if kind != output.GGUF && o.GGUF != gguf.F32 {
		return nil, &OptionError{Option: "DType", Reason: fmt.Sprintf(" %s is a type of GGUF files: name a file that ends with .gguf", o.GGUF)}
	}
	place, err := output.Claim(kind, to, from)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	c, rounding, err := readAny(from, o.Tell, load)
	if err != nil {
		return nil, err
	}
	if c, err = withoutAdapter(from, c, o.Merge, kind == output.Checkpoint); err != nil {
		return nil, err
	}
	if err := tellTokenizer(from, c, o.Tell); err != nil {
		return nil, err
	}
	if o.Saving != nil {
		o.Saving()
	}
	r := &ConvertReport{Path: to, Arch: c.Arch, DType: dtypeName(o.DType), folder: kind == output.Folder, gguf: kind == output.GGUF, hub: huggingface.OnHub(c)}
	var narrowed format.Rounding
	switch kind {
	case output.Folder:
		narrowed, err = huggingface.Write(to, c, o.DType)
		if note := paddedBeyond(c); note != "" {
			r.Notes = append(r.Notes, note)
		}
	case output.GGUF:
		var written ggufmodel.Report
		written, err = ggufmodel.Write(to, c, o.GGUF)
		narrowed, r.DType, r.Notes = written.Rounding, written.Types, written.Notes
	default:
		err = c.Save(to)
	}
	if err != nil {
		return nil, err
	}
	rounding.Add(narrowed)
	r.Rounding = newRounding(rounding)
	r.Parameters, err = c.Parameters()
	return r, err
}

// MeansGGUF reports whether a target path means a GGUF file: its name ends with
// .gguf.
func MeansGGUF(path string) bool {
	return !MeansFolder(path) && strings.EqualFold(filepath.Ext(path), ".gguf")
}

// WriteText writes the report as text.
func (r *ConvertReport) WriteText(w io.Writer) error {
	text := fmt.Sprintf("wrote %s: %s, %s parameters in %s\n", r.Path, r.Arch, quote.Count(r.Parameters), r.DType)
	if r.gguf {
		text = fmt.Sprintf("wrote %s: %s, %s parameters, %s\n", r.Path, r.Arch, quote.Count(r.Parameters), r.DType)
	}
	if lost := r.Rounding; lost.Changed > 0 {
		text += fmt.Sprintf("rounding changed %s of them: by at most %.3g, relatively %.3g", quote.Count(lost.Changed), lost.MaxAbs, lost.MaxRel)
		if lost.Overflowed > 0 {
			text += fmt.Sprintf("; %s were too large and became infinite", quote.Count(lost.Overflowed))
		}
		text += "\n"
	}
	if r.folder && !r.hub {
		text += fmt.Sprintf("transformers has no architecture %.80q: only attnx opens this folder\n", r.Arch)
	}
	for _, note := range r.Notes {
		text += note + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// readAny reads a model in any form. The rounding is that of weights that were
// not float32.
func readAny(path string, tell Tell, load find.Loader) (*model.Checkpoint, format.Rounding, error) {
	path = find.Held(path)
	if huggingface.IsAdapter(path) {
		return readAdapter(path, tell)
	}
	if file := find.ModelIn(path); file != path && huggingface.IsFolder(path) && !huggingface.HasWeights(path) {
		return foreign.Read(file, tell)
	}
	if huggingface.IsFolder(path) {
		return find.ReadFolder(path, tell)
	}
	if !find.IsFolder(path) {
		to, err := find.Resolve(path, tell)
		if err != nil {
			return nil, format.Rounding{}, err
		}
		kind, err := find.ExpectModel(to)
		if err != nil {
			return nil, format.Rounding{}, err
		}
		if kind == find.ONNX {
			return foreign.Read(to, tell)
		}
	}
	c, _, err := find.Load(path, tell, load)
	return c, format.Rounding{}, err
}

// tellTokenizer warns if attnx cannot read a model's tokenizer, which is then
// copied unchanged. An invalid tokenizer is an error: no program could use it.
func tellTokenizer(path string, c *model.Checkpoint, tell Tell) error {
	note, err := find.AboutTokenizer(path, c)
	if note != "" {
		tell.Say(Warning, "%s; it is written as it is, and attnx cannot turn text into ids with it", note)
	}
	return err
}
