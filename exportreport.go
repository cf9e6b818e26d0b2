package attnx

import (
	"fmt"
	"io"
	"os"

	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
)

// ExportReport lists what an export wrote, and its loss of quality.
type ExportReport struct {
	Files    []string      `json:"files"` // of all targets
	Bytes    int64         `json:"bytes"` // of all files; a second name of a file counts again
	Profile  string        `json:"profile"`
	Opset    int           `json:"opset"`
	Nodes    int           `json:"nodes"`
	DType    string        `json:"dtype"`
	Quantize string        `json:"quantize"` // empty if no weights became integers
	Lost     *ExportLosses `json:"lost"`     // null if all numbers are still float32

	text []string // lines
}

// ExportLosses describes what a model lost by giving up float32.
type ExportLosses struct {
	Rounding    *RoundingReport `json:"rounding"`     // of weights rounded to 16 bits; null if none were
	Quantized   int             `json:"quantized"`    // weight tensors that became integers
	Error       float64         `json:"error"`        // root mean square of the change by quantization, relative to that of the weights
	WorstTensor string          `json:"worst_tensor"` // name of the tensor with the largest error
	WorstError  float64         `json:"worst_error"`
	Kept        []KeptReport    `json:"kept"`     // parts that stayed float32
	Remarks     []string        `json:"remarks"`  // what a user must know to run the file
	Computed    string          `json:"computed"` // how the quality was measured; empty if it was not
	Problem     string          `json:"problem"`  // why the file itself was not measured
	Quality     *QualityReport  `json:"quality"`  // null if it was not measured
	Layers      *LayerLosses    `json:"layers"`   // loss by each weight; null if it was not asked for
}

// KeptReport is a part of a model that stayed float32, and why.
type KeptReport struct {
	What   string `json:"what"`
	Nodes  int    `json:"nodes"`
	Reason string `json:"reason"`
}

// QualityReport is a runtime.Quality and the text it was measured on.
type QualityReport struct {
	Text             string   `json:"text"` // empty for random ids
	Tokens           int      `json:"tokens"`
	Perplexity       *float64 `json:"perplexity"`        // null if it is not a number
	OraclePerplexity *float64 `json:"oracle_perplexity"` // in float64
	ArgmaxAgreement  float64  `json:"argmax_agreement"`
	Divergence       *float64 `json:"divergence_nats"`
}

// RoundingReport is a format.Rounding.
type RoundingReport struct {
	Changed    int     `json:"changed"`
	MaxAbs     float64 `json:"max_abs"`
	MaxRel     float64 `json:"max_rel"`
	Overflowed int     `json:"overflowed"`
}

func newRounding(r format.Rounding) RoundingReport {
	return RoundingReport{r.Changed, r.MaxAbs, r.MaxRel, r.Overflowed}
}

func newExportReport(f precision.Form) *ExportReport {
	return &ExportReport{DType: dtypeName(f.DType), Quantize: string(f.Quantize)}
}

// WriteText writes the report as text.
func (r *ExportReport) WriteText(w io.Writer) error {
	for _, line := range r.text {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (r *ExportReport) say(format string, args ...any) {
	r.text = append(r.text, fmt.Sprintf(format, args...))
}

// wrote adds files to a report.
func (r *ExportReport) wrote(files ...string) {
	for _, f := range files {
		r.Files = append(r.Files, f)
		if info, err := os.Stat(f); err == nil {
			r.Bytes += info.Size()
		}
	}
}

// lost begins the report of the losses.
func (r *ExportReport) lost(done precision.Numbers) *ExportLosses {
	l := &ExportLosses{Quantized: done.Weights, Error: done.Error, WorstTensor: done.Worst, WorstError: done.WorstError, Kept: []KeptReport{}, Remarks: append([]string{}, done.Remarks...)}
	switch {
	case done.Weights > 0 && done.Error == 0:
		r.say("%s: %d weight tensors, none of which changed", done.Quantize, done.Weights)
	case done.Weights > 0:
		r.say("%s: %d weight tensors, off by %.2g %% of their size (root mean square), %s most, by %.2g %%",
			done.Quantize, done.Weights, 100*done.Error, done.Worst, 100*done.WorstError)
	}
	if done.DType != format.Invalid {
		rounding := newRounding(done.Rounding)
		l.Rounding = &rounding
		r.say("%s: rounding changed %s of %s weights, by at most %.3g",
			r.DType, quote.Count(done.Rounding.Changed), quote.Count(done.Rounding.Elements), done.Rounding.MaxAbs)
	}
	said := map[string]bool{}
	for _, k := range done.Kept {
		if !said[k.What] { // both integers and 16 bits may keep the same part
			l.Kept = append(l.Kept, KeptReport(k))
			r.say("float32 stays in %s (%d nodes): %s", k.What, k.Nodes, k.Reason)
		}
		said[k.What] = true
	}
	for _, text := range l.Remarks {
		r.say("note: %s", text)
	}
	r.Lost = l
	return l
}

// measured adds the quality on a text; an empty name means random ids.
func (r *ExportReport) measured(q runtime.Quality, name string) {
	on := name
	if on == "" {
		on = "random ids (a text shows more)"
	}
	r.say("on %d tokens of %s: perplexity %.4f, in float64 %.4f; the likeliest token agrees at %.2f %%; divergence %.2g nats",
		q.Positions, on, q.Perplexity, q.OraclePerplexity, 100*q.ArgmaxAgreement(), q.Divergence)
	r.Lost.Quality = &QualityReport{name, q.Positions, finite(q.Perplexity), finite(q.OraclePerplexity), q.ArgmaxAgreement(), finite(q.Divergence)}
}

// dtypeName returns PyTorch's name of a numeric type.
func dtypeName(t format.DType) string {
	switch t {
	case format.Float16:
		return "float16"
	case format.BFloat16:
		return "bfloat16"
	}
	return "float32"
}
