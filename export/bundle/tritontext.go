package bundle

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/role"
)

// TritonTextModel is the model.py of a model that takes a text and returns its
// continuation, for Triton's Python backend.
//
//go:embed triton_text.py
var TritonTextModel []byte

// TritonText is what the model of TritonTextModel needs to know about the ONNX file
// that it runs.
type TritonText struct {
	File    string  // path of the ONNX file from the folder of the text model's version
	Context int     // maximum number of tokens, past and new ones together
	Vocab   int     // number of tokens that the model knows
	Shared  bool    // past and present are one buffer
	End     []int64 // ids that end a text
}

// Config returns the model.json beside model.py for the ONNX file m of the profile
// cache.
func (t TritonText) Config(m *onnx.Model) ([]byte, error) {
	cache := map[string]string{} // from the names of pasts to those of presents
	about := map[string]any{"file": t.File, "context": t.Context, "vocabulary": t.Vocab, "shared": t.Shared, "end": append([]int64{}, t.End...), "cache": cache}
	for _, k := range []role.Kind{role.Tokens, role.AttentionMask, role.Logits} {
		about[role.Of(k).String()] = k.Name()
	}
	about[role.Of(role.Positions).String()] = "" // the model may have none
	for _, in := range m.Graph.Inputs {
		r, _ := role.FromName(in.Name)
		switch r.Kind {
		case role.Positions:
			about[r.String()] = in.Name
		case role.PastKey:
			cache[in.Name] = role.Layered(role.PresentKey, r.Layer).Name()
		case role.PastValue:
			cache[in.Name] = role.Layered(role.PresentValue, r.Layer).Name()
		}
		if t, half := in.DataType, in.DataType == onnx.Float16; cache[in.Name] != "" && t != onnx.Float && !half {
			return nil, fmt.Errorf("export: input %.80q has type %s, which numpy cannot express", in.Name, t)
		}
	}
	return json.MarshalIndent(about, "", "  ")
}

// TritonTextConfig returns the config.pbtxt of a model of TritonTextModel. Inputs
// and outputs have the names that Triton's generate endpoint and its other backends
// for text use. name has letters, digits, hyphens and underscores only. A request can have several responses: "stream" asks for them.
func TritonTextConfig(name string) []byte {
	return fmt.Appendf(nil, `name: "%s"
backend: "python"
max_batch_size: 0
model_transaction_policy { decoupled: true }
input [
  { name: "text_input", data_type: TYPE_STRING, dims: [ 1 ] },
  { name: "max_tokens", data_type: TYPE_INT32, dims: [ 1 ], optional: true },
  { name: "stream", data_type: TYPE_BOOL, dims: [ 1 ], optional: true }
]
output [
  { name: "text_output", data_type: TYPE_STRING, dims: [ 1 ] }
]
instance_group [ { kind: KIND_CPU, count: 1 } ]
`, name)
}

// KServe returns the manifest of an InferenceService of KServe that serves a Triton
// repository. Its storageUri has to be set to the repository.
func KServe(name string) []byte {
	// A name of Kubernetes: small letters, digits and hyphens.
	safe := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
	if safe == "" || safe[0] >= '0' && safe[0] <= '9' {
		safe = "model-" + safe
	}
	if safe = strings.TrimRight(safe[:min(len(safe), 63)], "-"); safe == "" {
		safe = "model"
	}
	return fmt.Appendf(nil, `# Set storageUri to the place of the Triton repository, the folder above this
# file's. The text model needs an image of Triton whose Python has onnxruntime and
# tokenizers.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: %s
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      runtime: kserve-tritonserver
      storageUri: pvc://CLAIM/REPOSITORY
`, safe)
}
