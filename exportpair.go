package attnx

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/branch"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
)

// Files of a network that translates, with the names of optimum and transformers.js. A
// folder has a decoder for the first token and one for the others, or one file in which
// an input chooses between them.
const (
	encoderFile = "encoder_model.onnx"
	firstFile   = "decoder_model.onnx"
	nextFile    = "decoder_with_past_model.onnx"
	mergedFile  = "decoder_model_merged.onnx"
)

// pairFiles are the files in the order in which they run.
var pairFiles = []string{encoderFile, firstFile, nextFile}

// cacheInput is the input by which a merged decoder chooses: false for the first token.
const cacheInput = "use_cache_branch"

// mergedForm is how the decoders of a network are merged. Keys and values of the source
// are computed with the first token, where none are given, and returned as they are with
// the others.
func mergedForm(next *graph.Graph) branch.Form {
	f := branch.Form{Condition: cacheInput, Through: map[string]string{}, Dims: map[string]string{nn.S.String(): "past_" + nn.S.String()}}
	present := map[role.Kind]role.Kind{role.PastSourceKey: role.PresentSourceKey, role.PastSourceValue: role.PresentSourceValue}
	for _, v := range next.Inputs {
		if k, ok := present[v.Role().Kind]; ok {
			f.Through[role.Layered(k, v.Role().Layer).Name()] = v.Name
		}
	}
	return f
}

// webNumbers are the names that transformers.js has for the numbers of a model, and the
// ends of the names of its files.
var webNumbers = map[precision.Form]struct{ dtype, suffix string }{
	{}:                         {"fp32", ""},
	{DType: format.Float16}:    {"fp16", "_fp16"},
	{Quantize: precision.Int8}: {"q8", "_quantized"},
	{Quantize: precision.Int4}: {"q4", "_q4"},
	{Quantize: precision.Int4, DType: format.Float16}: {"q4f16", "_q4f16"},
}

// pairFolder is the folder of a network that translates.
type pairFolder struct {
	names   []string      // of the models, in the folder
	models  []*onnx.Model // with their weights
	files   []store.File
	parts   huggingface.Parts
	torch   bool // transformers can read the weights
	numbers precision.Numbers
}

// assemblePair builds the folder. For transformers.js (web) the models are in onnx/, and
// the decoder is one file.
func assemblePair(c *model.Checkpoint, p export.Plain, web bool) (f pairFolder, err error) {
	cut, err := c.Cut()
	if err != nil {
		return f, err
	}
	checkpoints, err := cut.Checkpoints(c)
	if err != nil {
		return f, err
	}
	for i, part := range checkpoints {
		m, numbers, err := ExportModel(part, p)
		if errors.Is(err, precision.ErrNoProduct) && i == 0 { // a recurrent encoder stays as it is
			m, numbers, err = ExportModel(part, export.Plain{Opset: p.Opset})
		}
		if err != nil {
			return f, err
		}
		f.models = append(f.models, m)
		if i < 2 { // the last one has no weights that the others lack
			f.numbers.Join(numbers)
		}
	}
	if err := fit(f.models[0], f.models[1]); err != nil {
		return f, err
	}
	f.names = pairFiles
	var page *huggingface.Web
	if web {
		merged, err := branch.Merge(mergedForm(checkpoints[2].Graph), f.models[2], f.models[1])
		if err != nil {
			return f, err
		}
		numbers := p.Numbers()
		if numbers.Keep = ""; numbers.DType == format.Float32 {
			numbers.DType = format.Invalid
		}
		as, ok := webNumbers[numbers]
		if !ok {
			return f, &OptionError{Option: "Web", Reason: fmt.Sprintf(": transformers.js has no name for models in %s: take float32, float16 or integers", numbers.DType)}
		}
		f.models, f.names = []*onnx.Model{f.models[0], merged}, nil
		page = &huggingface.Web{DType: as.dtype, External: map[string]int{}}
		for _, name := range []string{encoderFile, mergedFile} {
			name = strings.TrimSuffix(name, ".onnx") + as.suffix + ".onnx"
			page.External[name] = 1
			f.names = append(f.names, find.ONNXFolder+"/"+name)
		}
	}
	weights := c.Weights
	tensors, same := weightsIn(c, f.models)
	if f.torch = same; same {
		weights = tensors
	}
	if f.parts, err = huggingface.Prepare(c, weights, page); err != nil {
		return f, err
	}
	data, location := bundle.Union(f.models), "model.onnx_data"
	if f.torch {
		data, location = bundle.DataAt(f.parts.Offsets, f.parts.Weights), huggingface.WeightsName
	}
	locations := make([]string, len(f.names))
	for i, name := range f.names {
		if locations[i] = location; web { // it looks for the weights of a model under the model's name
			locations[i] = path.Base(name) + "_data"
		}
	}
	if f.files, err = bundle.Shared(data, f.names, locations, f.models); err != nil {
		return f, err
	}
	if web && f.torch {
		f.files = append(f.files, store.File{Name: huggingface.WeightsName, Link: f.files[0].Name})
	}
	f.files = append(f.files, f.parts.Texts...)
	return f, nil
}

// fit reports that a decoder takes states of another type than the encoder returns.
func fit(encoder, decoder *onnx.Model) error {
	for _, out := range encoder.Graph.Outputs {
		for _, in := range decoder.Graph.Inputs {
			if out.Name == role.Hidden.Name() && in.Name == role.SourceStates.Name() && in.DataType != out.DataType {
				return fmt.Errorf("export: the encoder returns %s, the decoder takes %s: export it in float32", out, in)
			}
		}
	}
	return nil
}

// weightsIn returns the weights of a network as its parts have them. same is false if they
// do not have all of them, each alike and in its shape.
func weightsIn(c *model.Checkpoint, parts []*onnx.Model) (tensors []format.Tensor, same bool) {
	all := &onnx.Model{Graph: &onnx.Graph{}}
	seen := map[string]*onnx.Tensor{}
	for _, m := range parts {
		for _, t := range m.Graph.Initializers {
			if u := seen[t.Name]; u == nil {
				seen[t.Name] = t
				all.Graph.Initializers = append(all.Graph.Initializers, t)
			} else if u.DataType != t.DataType {
				return nil, false
			}
		}
	}
	return weightsOf(c, all)
}

// savePair writes the folder of a network that translates: its parts in a file each,
// with one file of weights that transformers opens too.
func (x *exporting) savePair(c *model.Checkpoint, r *ExportReport) (precision.Numbers, error) {
	var none precision.Numbers
	plain, ok := x.Profile.(export.Plain)
	cache, _ := x.Profile.(export.Cache)
	switch {
	case x.triton != "":
		return none, &OptionError{Option: "Triton", Reason: " serves one model, and a network that translates has an encoder and a decoder: name a folder"}
	case cache.Fuse:
		return none, &OptionError{Option: "Fuse", Reason: ": the decoder of a network that translates keeps its operators: leave it out"}
	case cache.LastLogits:
		return none, &OptionError{Option: "LastLogits", Reason: ": the folder of a network that translates has the logits of all tokens: leave it out"}
	case !ok:
		return none, &OptionError{Option: "Profile", Reason: ": the folder of a network that translates holds the profile plain, for its encoder and its decoder"}
	case x.Web && !huggingface.OnHub(c):
		return none, &OptionError{Option: "Web", Reason: fmt.Sprintf(": transformers.js has no architecture %.80q", c.Arch)}
	}
	f, err := assemblePair(c, plain, x.Web)
	if err != nil {
		return none, err
	}
	if err := store.SaveFolder(x.to, f.files); err != nil {
		return none, err
	}
	r.folder(x.to, f.models[1], f.files)
	if !huggingface.OnHub(c) {
		r.say("transformers and optimum have no architecture %.80q", c.Arch)
	} else if !f.torch {
		r.say("transformers in PyTorch does not open this folder: it has weights in other numbers than the network; optimum and attnx open it")
	}
	if note := paddedBeyond(c); note != "" {
		r.say("%s", note)
	}
	if x.Web && !likeEncoder(c, f.models[1]) {
		r.say("optimum runs no merged decoder whose heads are not those of the encoder, and d_model wide together: it needs a folder that is not for transformers.js")
	}
	if len(c.Tokenizer) == 0 {
		r.say("the checkpoint has no tokenizer: whoever opens the folder gives ids and gets ids")
	}
	return f.numbers, nil
}

// likeEncoder reports whether the heads of a decoder are as many as those of the encoder, and
// together as wide as the states: optimum takes it for granted in the empty past that
// it gives a merged decoder.
func likeEncoder(c *model.Checkpoint, decoder *onnx.Model) bool {
	heads := int64(0)
	if cut, err := c.Cut(); err == nil {
		for _, n := range cut.Encoder.Graph.Nodes {
			if _, ok := n.Op.(graph.Attention); ok && heads == 0 {
				of, _ := n.Args[0].Shape[1].Number()
				heads = int64(of)
			}
		}
	}
	for _, v := range decoder.Graph.Inputs {
		if r, ok := role.FromName(v.Name); ok && r.Kind == role.PastTargetKey {
			return v.Dims[1].Value == heads && heads*v.Dims[3].Value == int64(c.Width())
		}
	}
	return true
}
