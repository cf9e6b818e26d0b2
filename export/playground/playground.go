// Package playground is a page that trains a model in a browser: its files, and the
// manifest that they read. The page computes with ONNX Runtime for browsers and with
// the exported training step, and knows nothing of the network but what the manifest
// says.
package playground

import (
	_ "embed"
	"encoding/json"
)

// Names of the files that a folder has beside the page's own.
const (
	ManifestName = "manifest.json"
	StepName     = "step.onnx"         // the training step, with AdamW
	ForwardName  = "forward.onnx"      // the forward pass, whose weights are inputs
	ModelName    = "model.safetensors" // the checkpoint that training begins with
	DataName     = "data.bin"          // ids of the text
	LinesName    = "lines.bin"         // where its lines begin, uint32, and the end
	RuntimeName  = "ort"               // the folder of ONNX Runtime's files
)

// Manifest is what the page reads first.
type Manifest struct {
	Title      string   `json:"title"`
	About      string   `json:"about"`
	Version    string   `json:"version"` // of ONNX Runtime for browsers
	Batch      int      `json:"batch"`
	Length     int      `json:"length"`  // tokens of a sequence
	Context    int      `json:"context"` // the most tokens that the network sees
	Vocabulary int      `json:"vocabulary"`
	Lines      bool     `json:"lines"`  // a sequence is a line
	Ignore     int64    `json:"ignore"` // label of a token that does not count
	Bytes      int      `json:"bytes"`  // of an id in data.bin: 2 or 4, little-endian
	Tokens     []string `json:"tokens"` // the text of each id
	Join       string   `json:"join"`   // between two tokens of a text
	Prompt     string   `json:"prompt"`
	LR         float64  `json:"lr"`
	Beta1      float64  `json:"beta1"`
	Beta2      float64  `json:"beta2"`
	Step       int      `json:"step"` // of the checkpoint
	Seed       uint32   `json:"seed"`
	Names      Names    `json:"names"`
	Weights    []Weight `json:"weights"`
}

// Names are those of inputs and outputs of the two graphs.
type Names struct {
	Ids    string `json:"ids"`    // int64 (B,T), of both
	Labels string `json:"labels"` // int64 (B,T)
	Rate   string `json:"rate"`   // float32 (1): the learning rate
	// Float32 (1): lr/(1-β1ᵏ) and 1/√(1-β2ᵏ) at step k, from 1.
	FirstRate  string `json:"first_rate"`
	SecondRoot string `json:"second_root"`
	Loss       string `json:"loss"`   // float32
	Logits     string `json:"logits"` // float32 (B,T,V), of the forward pass
	Next       string `json:"next"`   // prefix of the outputs that replace an input
	First      string `json:"first"`  // prefix of the first moment of a weight
	Second     string `json:"second"` // prefix of its second moment
}

// Weight is a parameter, and the normal distribution that it begins with.
type Weight struct {
	Name  string  `json:"name"`
	Shape []int   `json:"shape"`
	Mean  float64 `json:"mean"`
	Std   float64 `json:"std"`
}

var (
	//go:embed index.html
	index []byte
	//go:embed playground.css
	style []byte
	//go:embed notice.js
	notice []byte
	//go:embed playground.js
	script []byte
)

// Files returns the page's own files and the manifest, by name.
func Files(m Manifest) (map[string][]byte, error) {
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"index.html": index, "playground.css": style, "notice.js": notice, "playground.js": script, ManifestName: manifest,
	}, nil
}
