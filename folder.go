package attnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
)

// assembled holds the parts of a model's folder.
type assembled struct {
	name    string // of the model's file
	weights string // of the weights file next to it
	texts   []store.File
	parts   huggingface.Parts
	split   bundle.External
	torch   bool    // transformers can read the weights
	end     []int64 // the ids at which onnxruntime-genai ends a text
}

// assemble builds the folder of a model m that was exported from a checkpoint.
// For transformers.js (web) the model is onnx/model.onnx. A model without a past
// gets no files for generation.
func assemble(c *model.Checkpoint, m *onnx.Model, web bool) (b assembled, err error) {
	b.name, b.weights = "model.onnx", huggingface.WeightsName
	if web {
		b.name, b.weights = find.ONNXFolder+"/model.onnx", "model.onnx_data"
	}
	if b.parts, b.split, b.torch, err = parts(c, m, b.weights, web); err != nil {
		return b, err
	}
	if m.Metadata[export.MetaProfile] != (export.Cache{}).Name() {
		b.texts = slices.DeleteFunc(slices.Clone(b.parts.Texts), func(f store.File) bool { return f.Name == huggingface.GenerationName })
		return b, nil
	}
	special := b.parts.Special
	b.end = genaiEnd(c, special.End)
	genai, err := bundle.GenAI{
		File: b.name, Context: c.Context(), Width: c.Width(), Heads: queryHeads(c), Shared: fixedShapes(m), Begin: special.Begin, End: b.end, Pad: special.Pad,
	}.Config(m)
	b.texts = append(slices.Clip(b.parts.Texts), textFile(genaiName, genai))
	return b, err
}

// genaiName is the configuration for onnxruntime-genai in a folder.
const genaiName = "genai_config.json"

// queryHeads returns the number of query heads in a layer, 0 without attention.
func queryHeads(c *model.Checkpoint) int {
	layers := c.Attentions()
	if len(layers) == 0 {
		return 0
	}
	n, _ := layers[0].Args[0].Shape[1].Number()
	return n
}

// genaiEnd returns the ids at which onnxruntime-genai ends a text. It requires
// one. A model without one gets the id that is least likely to occur.
func genaiEnd(c *model.Checkpoint, end []int64) []int64 {
	if len(end) > 0 {
		return end
	}
	if t, err := tokens.Parse(c.Tokenizer); err == nil {
		if unknown, ok := t.Unknown(); ok {
			return []int64{unknown}
		}
	}
	return []int64{int64(c.Vocab() - 1)}
}

// parts moves the weights of a model to a file of the given name next to it. It
// is a safetensors file if the model has the network's weights. A quantized
// model has other weights, which transformers cannot use; they go into a file
// in ONNX's format.
func parts(c *model.Checkpoint, m *onnx.Model, weights string, browser bool) (p huggingface.Parts, split bundle.External, torch bool, err error) {
	tensors, same := weightsOf(c, m)
	var page *huggingface.Web
	if browser {
		page = &huggingface.Web{DType: "fp32", External: map[string]int{"model.onnx": 1}}
	}
	if !same {
		p, err = huggingface.Prepare(c, c.Weights, page)
		return p, bundle.Split(m, "model.onnx_data"), false, err
	}
	if browser && slices.ContainsFunc(tensors, func(t format.Tensor) bool { return t.DType != format.Float32 }) {
		return p, split, false, &Error{Err: errors.New("transformers.js looks for float32 in onnx/model.onnx"), Do: WriteFloat32}
	}
	p, err = huggingface.Prepare(c, tensors, page)
	return p, bundle.SplitAt(m, weights, p.Offsets, p.Weights), true, err
}

// weightsOf returns a checkpoint's weights in the model's form. same is false
// if the model does not have all of them under their names and in their shapes.
func weightsOf(c *model.Checkpoint, m *onnx.Model) (tensors []format.Tensor, same bool) {
	found := map[string]*onnx.Tensor{}
	for _, t := range m.Graph.Initializers {
		found[t.Name] = t
	}
	for _, w := range c.Weights {
		t := found[w.Name]
		if t == nil || find.WeightTypes[t.DataType] == 0 {
			return nil, false
		}
		x := format.Tensor{Name: w.Name, DType: find.WeightTypes[t.DataType], Data: t.Raw}
		for _, d := range t.Dims {
			x.Shape = append(x.Shape, int(d))
		}
		if !slices.Equal(x.Shape, w.Shape) {
			return nil, false
		}
		tensors = append(tensors, x)
	}
	return tensors, true
}

// tritonFiles returns the files of a folder in a Triton Inference Server
// repository, for a model m that was exported from a checkpoint.
func tritonFiles(c *model.Checkpoint, m *onnx.Model, name string) ([]store.File, error) {
	config, err := bundle.TritonConfig(name, m, tritonSpecial(huggingface.SpecialOf(c)))
	if err != nil {
		return nil, err
	}
	_, split, _, err := parts(c, m, huggingface.WeightsName, false)
	if err != nil {
		return nil, err
	}
	files, err := split.Files("1/model.onnx")
	return append(files, textFile("config.pbtxt", config), textFile("kserve.yaml", bundle.KServe(name))), err
}

// tritonTextFiles returns the files of the text model beside the model of that name
// in a Triton repository.
func tritonTextFiles(c *model.Checkpoint, m *onnx.Model, name string) ([]store.File, error) {
	about, err := bundle.TritonText{
		File: "../../" + name + "/1/model.onnx", Context: c.Context(), Vocab: c.Vocab(), Shared: fixedShapes(m), End: huggingface.SpecialOf(c).End,
	}.Config(m)
	return []store.File{
		textFile("1/model.py", bundle.TritonTextModel), textFile("1/model.json", about), textFile("1/tokenizer.json", c.Tokenizer),
		textFile("config.pbtxt", bundle.TritonTextConfig(name+tritonText)),
	}, err
}

// tritonText ends the name of the text model beside a model in a Triton repository.
const tritonText = "_text"

// tritonSpecial returns the special ids of a model as parameters. A client gets
// ids from Triton and must know where a text ends.
func tritonSpecial(s *model.Special) (parameters []bundle.TritonParameter) {
	add := func(key string, ids ...int64) {
		text, _ := json.Marshal(ids) // numbers never fail
		value := string(text)
		if len(ids) == 1 {
			value = fmt.Sprint(ids[0])
		}
		parameters = append(parameters, bundle.TritonParameter{Key: key, Value: value})
	}
	if len(s.End) > 0 {
		add("eos_token_id", s.End...)
	}
	if s.Begin != nil {
		add("bos_token_id", *s.Begin)
	}
	if s.Pad != nil {
		add("pad_token_id", *s.Pad)
	}
	return parameters
}

func textFile(name string, text []byte) store.File {
	return store.File{Name: name, Write: func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}}
}
