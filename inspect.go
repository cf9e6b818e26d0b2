package attnx

import (
	"os"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// Inspection describes a file or folder. Fields that do not apply to its kind
// are empty.
type Inspection struct {
	File           string            `json:"file"`
	Kind           string            `json:"kind"` // "safetensors", "gguf", "onnx" or "huggingface" (a folder)
	Bytes          int64             `json:"bytes"`
	Parameters     int64             `json:"parameters"` // number of weights; of all floating-point elements if the weights are not known
	Metadata       map[string]string `json:"metadata"`
	Tensors        []InspectedTensor `json:"tensors"`
	Sealed         bool              `json:"sealed"`
	Root           string            `json:"root,omitempty"` // of a sealed file; hexadecimal
	ContentID      string            `json:"content_id,omitempty"`
	Refused        string            `json:"refused,omitempty"` // of a checkpoint or a folder: why attnx cannot read it as a model
	Notes          []string          `json:"notes,omitempty"`   // of a folder: what attnx ignores or cannot read
	*InspectedONNX                   // of an ONNX file
}

// InspectedTensor describes a tensor without its values.
type InspectedTensor struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`

	Sparse bool   `json:"sparse,omitempty"`  // Bytes counts only the values that are not zero
	WhyNot string `json:"why_not,omitempty"` // why attnx cannot run it
}

// Inspect reports the contents of a checkpoint, a run, a safetensors file, a
// folder of weights, a GGUF file or an ONNX file. It accepts every ONNX file that can be
// parsed, even if attnx cannot run it.
func Inspect(path string, tell Tell) (x Inspection, err error) {
	err = find.Again(path, func() error {
		x, err = inspect(path, tell)
		return err
	})
	return x, err
}

func inspect(name string, tell Tell) (Inspection, error) {
	if name = find.ModelIn(name); huggingface.IsFolder(name) {
		return inspectFolder(name)
	}
	x := Inspection{Metadata: map[string]string{}}
	var err error
	if x.File, err = find.Resolve(name, tell); err != nil {
		return x, err
	}
	kind, err := find.ExpectModel(x.File)
	if err != nil {
		return x, err
	}
	info, err := os.Stat(x.File)
	if err != nil {
		return x, err
	}
	x.Bytes = info.Size()
	if kind == find.ONNX {
		m, err := onnx.DecodeFile(x.File)
		if err == nil {
			x.onnx(m)
		}
		return x, err
	}
	if kind == find.GGUF {
		return x, x.gguf()
	}
	f, err := format.Open(x.File)
	if err != nil {
		return x, err
	}
	defer f.Close()
	x.Kind = "safetensors"
	x.weights(f)
	if _, ours := x.Metadata[model.MetaConfig]; ours {
		if err := model.Check(f.Reader); err != nil {
			x.Refused = quote.Line(err.Error(), 2000)
		}
	}
	return x, nil
}

// weights adds the contents of a safetensors file.
func (x *Inspection) weights(f *format.File) {
	x.Metadata = f.Metadata()
	if seal := f.Seal(); seal != nil {
		x.Sealed, x.Root, x.ContentID = true, seal.Root.String(), seal.ContentID.String()
	}
	for _, t := range f.Tensors() {
		n, _ := format.Elements(t.Shape)
		x.Tensors = append(x.Tensors, InspectedTensor{Name: t.Name, DType: t.DType.String(), Shape: t.Shape, Bytes: int64(n * t.DType.Size())})
		if t.DType.Float() && !strings.HasPrefix(t.Name, format.MomentPrefix) {
			x.Parameters += int64(n)
		}
	}
}

// inspectFolder reports the weights of a Hugging Face folder, in one file or in
// shards, for any network.
func inspectFolder(folder string) (x Inspection, err error) {
	opened, err := huggingface.Open(folder)
	if err != nil {
		return x, err
	}
	defer opened.Close()
	x = Inspection{File: folder, Kind: "huggingface", Metadata: map[string]string{}, Notes: opened.Notes}
	for _, f := range opened.Files {
		x.Bytes += f.Size()
		x.weights(f)
	}
	refused := opened.Refused
	if refused == nil {
		var note string
		if note, refused = find.AboutTokenizer(folder, opened.Model); note != "" {
			x.Notes = append(x.Notes, note)
		}
	}
	if refused != nil {
		x.Refused = quote.Line(refused.Error(), 2000)
	}
	x.Sealed, x.Root, x.ContentID = false, "", "" // a seal covers one file only
	return x, nil
}
