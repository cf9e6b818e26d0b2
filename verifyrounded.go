package attnx

import (
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/runtime"
)

// narrowing is a session of a file that may take numbers of 16 bits, such as
// features. It rounds those of a case, which are float32.
type narrowing struct {
	runtime.Session
	file *onnx.Model
}

func (n narrowing) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	for _, in := range n.file.Graph.Inputs {
		t, given := inputs[in.Name]
		to := find.WeightTypes[in.DataType]
		if !given || t.DType != format.Float32 || to == 0 || to == t.DType {
			continue
		}
		rounded, _, err := t.Convert(to)
		if err != nil {
			return nil, err
		}
		inputs[in.Name] = rounded
	}
	return n.Session.Run(inputs)
}
