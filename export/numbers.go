package export

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
)

// numbered are the profiles whose numbers can be others than float32.
var numbered = []Profile{Plain, Cache}

// numbers gives a model the numbers that were asked for.
func (o Options) numbers(m *onnx.Model, from precision.Source) (*onnx.Model, precision.Numbers, error) {
	f := precision.Form{DType: o.DType, Quantize: o.Quantize}
	if !f.Changes() {
		return m, precision.Numbers{}, nil
	}
	if !slices.Contains(numbered, o.Profile) {
		return nil, precision.Numbers{}, &precision.NumbersError{
			Reason: fmt.Sprintf("profile %s is written in float32 alone", o.Profile),
			Remedy: fmt.Sprintf("leave out the element type and the quantization, or take profile %s or %s", Plain, Cache),
		}
	}
	return f.Apply(m, from)
}
