package attnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
)

// settle chooses the profile of a folder for a model. A network that can have no
// past of keys and values, or that continues no text, has its folder in Plain.
func (x *exporting) settle(c *model.Checkpoint) error {
	if cache, ok := x.Profile.(export.Cache); ok && c.Translates() && !x.folders() {
		return &OptionError{Option: "Profile", Reason: " " + cache.Name() + ": a network that translates has an encoder and a decoder, with a file each: " + NameAFolder}
	}
	if !x.folders() {
		return nil
	}
	_, err := model.Cached(c.Graph, false)
	noPast := errors.As(err, new(*graph.CacheError)) || c.Continues() != nil
	if len(graph.States(c.Graph)) > 0 {
		if x.triton != "" {
			return &OptionError{Option: "Triton", Reason: ": its model in Python keeps keys and values, and " + c.Arch + " has a state instead: name a file"}
		}
		noPast = true // who opens a folder knows keys and values only
	}
	switch p := x.Profile.(type) {
	case export.Plain:
		if !noPast {
			return x.holdsCache()
		}
	case export.Cache:
		if noPast && x.triton == "" && !p.Fuse && !p.LastLogits {
			x.Profile = export.Plain{Opset: p.Opset, DType: p.DType, Quantize: p.Quantize}
		}
	}
	return nil
}

// holdsCache returns the error for a folder in a profile other than Cache.
func (x *exporting) holdsCache() error {
	return &OptionError{Option: "Profile", Reason: " " + x.Profile.Name() + ": a folder holds the profile cache: name a file"}
}

// saveFolders writes the model's folder, its folder in Triton's repository, or
// both.
func (x *exporting) saveFolders(c *model.Checkpoint, r *ExportReport) (precision.Numbers, error) {
	if c.Translates() {
		return x.savePair(c, r)
	}
	m, numbers, err := ExportModel(c, x.Profile)
	if err == nil && x.to != "" {
		err = x.saveFolder(c, m, r)
	}
	if err == nil && x.triton != "" {
		err = x.saveTriton(c, m, r)
	}
	return numbers, err
}

// saveFolder writes the folder of a model m that was exported from a
// checkpoint.
func (x *exporting) saveFolder(c *model.Checkpoint, m *onnx.Model, r *ExportReport) error {
	if x.Web && !huggingface.OnHub(c) {
		return &OptionError{Option: "Web", Reason: fmt.Sprintf(": transformers.js has no architecture %.80q", c.Arch)}
	}
	b, err := assemble(c, m, x.Web)
	if err != nil {
		return err
	}
	files, err := b.split.Files(b.name)
	if err != nil {
		return err
	}
	if x.Web && b.torch {
		files = append(files, store.File{Name: huggingface.WeightsName, Link: find.ONNXFolder + "/" + b.weights})
	}
	files = append(files, b.texts...)
	if err := store.SaveFolder(x.to, files); err != nil {
		return err
	}
	r.folder(x.to, m, files)
	cache, isCache := x.Profile.(export.Cache)
	switch {
	case isCache:
	case c.Continues() == nil:
		r.say("the network keeps a state from token to token, and optimum and onnxruntime-genai know keys and values only: this folder computes whole texts in onnxruntime; export a file (-o FILE.onnx) in the profile cache to continue texts")
	default:
		r.say("the network continues no text: the folder is for onnxruntime and has no files for generation")
	}
	switch {
	case !isCache:
	case !huggingface.OnHub(c):
		r.say("transformers and optimum have no architecture %.80q: onnxruntime and onnxruntime-genai open this folder", c.Arch)
	case !b.torch:
		r.say("PyTorch's transformers does not open it: %s no longer has the weights of the network", b.name)
	}
	if cache.Fuse {
		r.say("past and present are one buffer of %d tokens: attnx opens the folder, onnxruntime-genai at batch 1 and its max_length left as it is, optimum does not", c.Context())
	}
	if isCache && !cache.LastLogits && hasWindow(c.Graph) {
		r.say("the network sees a window of tokens: onnxruntime-genai, which pads on the right, takes batches of one length only")
	}
	if cache.LastLogits {
		r.say("the logits are those of the last token: onnxruntime-genai, which pads on the right, takes batches of one length only")
	}
	if len(c.Tokenizer) == 0 && c.Graph.Input(role.Of(role.Tokens)) != nil {
		r.say("the checkpoint has no tokenizer: whoever opens the folder gives ids and gets ids")
	}
	if isCache && len(b.parts.Special.End) == 0 {
		r.say("the model has no id that ends a text, and onnxruntime-genai opens none without: there a text ends at id %d too", b.end[0])
	}
	return nil
}

// saveTriton writes the folder of a model in a Triton Inference Server
// repository, and that of its text model. It creates the repository if it is
// missing.
func (x *exporting) saveTriton(c *model.Checkpoint, m *onnx.Model, r *ExportReport) error {
	files, err := tritonFiles(c, m, filepath.Base(x.triton))
	if err != nil {
		return err
	}
	made := os.Mkdir(x.Triton, 0o777)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return &OptionError{Option: "Triton", Reason: ": " + made.Error(), Err: made}
	}
	texts, err := []store.File(nil), error(nil)
	if len(c.Tokenizer) > 0 {
		texts, err = tritonTextFiles(c, m, filepath.Base(x.triton))
	}
	if err == nil {
		err = store.SaveFolder(x.triton, files)
	}
	if err == nil && texts != nil {
		if err = store.SaveFolder(x.triton+tritonText, texts); err != nil {
			os.RemoveAll(x.triton) // it was not there before
		}
	}
	if err != nil {
		if made == nil {
			os.Remove(x.Triton)
		}
		return err
	}
	r.folder(x.triton, m, files)
	if texts == nil {
		r.say("the checkpoint has no tokenizer: the repository has no model that takes texts")
		return nil
	}
	for _, f := range texts {
		r.wrote(filepath.Join(x.triton+tritonText, filepath.FromSlash(f.Name)))
	}
	r.say("wrote %s: takes texts, with onnxruntime and tokenizers in Triton's Python", x.triton+tritonText)
	return nil
}

// tritonName returns the name of a model in Triton's repository: that of its
// run or file, in characters that are safe in paths and URLs.
func tritonName(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	if base := filepath.Base(path); base == store.LatestName || base == store.BestName {
		path = filepath.Dir(path)
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, strings.TrimSuffix(filepath.Base(path), ".safetensors"))
}

// folder adds the files of a folder to the report.
func (r *ExportReport) folder(out string, m *onnx.Model, files []store.File) {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	slices.Sort(names)
	r.Profile, r.Opset, r.Nodes = m.Metadata[export.MetaProfile], int(m.Opset()), len(m.Graph.Nodes)
	for _, name := range names {
		r.wrote(filepath.Join(out, name))
	}
	r.say("wrote %s: profile %s, opset %d, %d nodes: %s", out, r.Profile, r.Opset, r.Nodes, strings.Join(names, ", "))
}

// hasWindow reports whether an attention sees only the last tokens. Padding
// between two tokens takes part of its window.
func hasWindow(g *graph.Graph) bool {
	return slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool {
		a, ok := n.Op.(graph.Attention)
		return ok && a.Window > 0
	})
}
