package main

import (
	"os"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
)

// exportReport is what export prints as JSON.
type exportReport struct {
	Files    []string    `json:"files"` // of all outputs
	Bytes    int64       `json:"bytes"` // of all files; a second name of one counts again
	Profile  string      `json:"profile"`
	Opset    int         `json:"opset"`
	Nodes    int         `json:"nodes"`
	DType    string      `json:"dtype"`
	Quantize string      `json:"quantize"` // empty where no weights became integers
	Lost     *lostReport `json:"lost"`     // null where the numbers are still float32
}

// wrote adds files to a report.
func (r *exportReport) wrote(files ...string) {
	for _, f := range files {
		r.Files = append(r.Files, f)
		if info, err := os.Stat(f); err == nil {
			r.Bytes += info.Size()
		}
	}
}

// describe fills in what a model is.
func (r *exportReport) describe(m *onnx.Model) {
	r.Profile, r.Opset, r.Nodes = m.Metadata[export.MetaProfile], int(m.Opset()), len(m.Graph.Nodes)
}

// lostReport is what a model lost with its float32 numbers.
type lostReport struct {
	Rounding    *roundingReport `json:"rounding"`     // of the weights that took --dtype; null where none did
	Quantized   int             `json:"quantized"`    // weight tensors that became integers
	Error       float64         `json:"error"`        // root mean square of what that changed, over that of the weights
	WorstTensor string          `json:"worst_tensor"` // of them
	WorstError  float64         `json:"worst_error"`
	Kept        []keptReason    `json:"kept"`     // parts that are still float32
	Remarks     []string        `json:"remarks"`  // what a reader must know to run the file
	Computed    string          `json:"computed"` // how the quality was measured; empty where nothing could
	Problem     string          `json:"problem"`  // why it was not measured on the file as it is
	Quality     *qualityReport  `json:"quality"`  // null where it was not measured
}

type keptReason struct {
	What   string `json:"what"`
	Nodes  int    `json:"nodes"`
	Reason string `json:"reason"`
}

// qualityReport is a runtime.Quality as JSON.
type qualityReport struct {
	Text             string   `json:"text"` // that it was measured on; empty for random ids
	Tokens           int      `json:"tokens"`
	Perplexity       *float64 `json:"perplexity"`        // null if it is not a number
	OraclePerplexity *float64 `json:"oracle_perplexity"` // in float64
	ArgmaxAgreement  float64  `json:"argmax_agreement"`
	Divergence       *float64 `json:"divergence_nats"`
}

func newLost(done precision.Numbers) *lostReport {
	r := &lostReport{Quantized: done.Weights, Error: done.Error, WorstTensor: done.Worst, WorstError: done.WorstError, Kept: []keptReason{}, Remarks: append([]string{}, done.Remarks...)}
	if done.DType != format.Invalid {
		rounding := newRounding(done.Rounding)
		r.Rounding = &rounding
	}
	said := map[string]bool{}
	for _, k := range done.Kept {
		if !said[k.What] { // integers and 16 bits may both leave it
			r.Kept = append(r.Kept, keptReason(k))
		}
		said[k.What] = true
	}
	return r
}
