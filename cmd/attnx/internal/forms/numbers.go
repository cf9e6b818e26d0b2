// Package forms holds the flags for the form of an ONNX file: its profile and its
// numbers.
package forms

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/export/precision"
)

// Numbers holds the flags for the numbers of an exported model.
type Numbers struct {
	DType, Quantize string // --dtype, --quantize
	Text            string // --text
}

// Flags adds the flags.
func (n *Numbers) Flags(fl *pflag.FlagSet) {
	fl.StringVar(&n.DType, "dtype", "float32", "plain, cache: type of the numbers: float32, float16, bfloat16")
	fl.StringVar(&n.Quantize, "quantize", "", "plain, cache: weights as int8 (standard operators) or int4 (ONNX Runtime's MatMulNBits)")
	fl.StringVar(&n.Text, "text", "", "new text to measure the loss of --dtype and --quantize on (default: random ids)")
}

// Form returns the precision that the flags select.
func (n Numbers) Form() (f precision.Form, err error) {
	if f.DType, err = precision.ParseDType(n.DType); err != nil {
		return f, fmt.Errorf("--dtype: %w", err)
	}
	if n.Quantize != "" {
		if f.Quantize, err = precision.ParseQuantize(n.Quantize); err != nil {
			return f, fmt.Errorf("--quantize: %w", err)
		}
	}
	if n.Text != "" && !f.Changes() {
		return f, fmt.Errorf("--text measures what --dtype or --quantize lost: give one of them")
	}
	return f, nil
}
