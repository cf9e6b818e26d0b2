package attnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
)

// assembled is what the folder of a model is made of.
type assembled struct {
	name    string // of the model's file in the folder
	weights string // of the file of weights beside it
	texts   []store.File
	parts   huggingface.Parts
	split   bundle.External
	torch   bool    // transformers opens the weights
	end     []int64 // the ids at which onnxruntime-genai ends a text
}

// assemble puts together the folder of a model m, which a checkpoint was written
// as. For transformers.js (web) the model is onnx/model.onnx.
func assemble(c *model.Checkpoint, m *onnx.Model, web bool) (b assembled, err error) {
	b.name, b.weights = "model.onnx", huggingface.WeightsName
	if web {
		b.name, b.weights = find.ONNXFolder+"/model.onnx", "model.onnx_data"
	}
	if b.parts, b.split, b.torch, err = parts(c, m, b.weights, web); err != nil {
		return b, err
	}
	special := b.parts.Special
	b.end = genaiEnd(c, special.End)
	genai, err := bundle.GenAI{
		File: b.name, Context: c.Context(), Width: c.Width(), Heads: queryHeads(c), Shared: fixedShapes(m), Begin: special.Begin, End: b.end, Pad: special.Pad,
	}.Config(m)
	b.texts = append(slices.Clip(b.parts.Texts), textFile("genai_config.json", genai))
	return b, err
}

// queryHeads returns the number of heads of queries in a layer, 0 without
// attention.
func queryHeads(c *model.Checkpoint) int {
	layers := c.Attentions()
	if len(layers) == 0 {
		return 0
	}
	n, _ := layers[0].Args[0].Shape[1].Number()
	return n
}

// genaiEnd returns the ids at which onnxruntime-genai ends a text. It expects
// one; a model that has none gets the one that is least likely to be wanted.
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

// parts puts the weights of a model into a file of the given name beside it: a
// safetensors file, where the model has them as the network does. One that was
// quantized has others; transformers cannot use them, and they go into a file
// of ONNX's form.
func parts(c *model.Checkpoint, m *onnx.Model, weights string, browser bool) (p huggingface.Parts, split bundle.External, torch bool, err error) {
	tensors, same := weightsOf(c, m)
	if !same {
		p, err = huggingface.Prepare(c, c.Weights, browser)
		return p, bundle.Split(m, "model.onnx_data"), false, err
	}
	if browser && slices.ContainsFunc(tensors, func(t format.Tensor) bool { return t.DType != format.Float32 }) {
		return p, split, false, &Error{Err: errors.New("transformers.js looks for float32 in onnx/model.onnx"), Do: WriteFloat32}
	}
	p, err = huggingface.Prepare(c, tensors, browser)
	return p, bundle.SplitAt(m, weights, p.Offsets, p.Weights), true, err
}

// weightsOf returns the weights of a checkpoint as a model has them, if it has
// all of them under their names and in their shapes.
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

// tritonFiles returns the files of the folder of a model m, which a checkpoint was
// written as, in a repository of the Triton Inference Server.
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
	return append(files, textFile("config.pbtxt", config)), err
}

// tritonSpecial returns the special ids of a model as parameters, for a client
// that gets ids from Triton and has to know where a text ends.
func tritonSpecial(s *model.Special) (parameters []bundle.TritonParameter) {
	add := func(key string, ids ...int64) {
		text, _ := json.Marshal(ids) // numbers always have a JSON
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
