package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/export/precision"
)

// numbers holds the flags for the numbers of an exported model.
type numbers struct {
	dtype, quantize string // --dtype, --quantize
	text            string // --text
}

func (n *numbers) flags(fl *pflag.FlagSet) {
	fl.StringVar(&n.dtype, "dtype", "float32", "plain, cache: type of the numbers: float32, float16, bfloat16")
	fl.StringVar(&n.quantize, "quantize", "", "plain, cache: weights as int8 (standard operators) or int4 (ONNX Runtime's MatMulNBits)")
	fl.StringVar(&n.text, "text", "", "new text to measure the loss of --dtype and --quantize on (default: random ids)")
}

// form returns the precision that the flags select.
func (n numbers) form() (f precision.Form, err error) {
	if f.DType, err = precision.ParseDType(n.dtype); err != nil {
		return f, fmt.Errorf("--dtype: %w", err)
	}
	if n.quantize != "" {
		if f.Quantize, err = precision.ParseQuantize(n.quantize); err != nil {
			return f, fmt.Errorf("--quantize: %w", err)
		}
	}
	if n.text != "" && !f.Changes() {
		return f, fmt.Errorf("--text measures what --dtype or --quantize lost: give one of them")
	}
	return f, nil
}
