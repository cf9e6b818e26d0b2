package emit

import (
	"fmt"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// OpsetError reports an operator that is in later versions of the standard alone.
type OpsetError struct{ Since int }

func (e *OpsetError) Error() string { return fmt.Sprintf("it needs opset %d or later", e.Since) }

// quantizeLinear writes a QuantizeLinear. What a version of the standard has no attribute
// for is refused.
func (e *emitter) quantizeLinear(n *graph.Node, op graph.QuantizeLinear, inputs []string) error {
	scale := n.Args[1]
	var attributes []onnx.Attribute
	since := int64(13)
	need := func(opset int64, a ...onnx.Attribute) {
		since, attributes = max(since, opset), append(attributes, a...)
	}
	if len(scale.Shape) > 0 {
		need(13, onnx.IntAttr("axis", int64(op.Axis)))
	}
	switch bits, _ := op.To.Integer(); {
	case bits == 16 || bits > 0 && bits < 8:
		need(21)
	case op.To.Float() || n.Args[0].DType == format.Float16 || n.Args[0].DType == format.BFloat16:
		need(19)
	}
	if op.Block > 0 {
		need(21, onnx.IntAttr("block_size", int64(op.Block)))
	}
	if to := op.To; len(n.Args) < 3 && to != format.Uint8 {
		t, err := dataType(to)
		if err != nil {
			return err
		}
		need(21, onnx.IntAttr("output_dtype", int64(t)))
	}
	if op.To.Float() {
		need(19, flag("saturate", op.Saturate))
	}
	if op.Precision != scale.DType {
		t, err := dataType(op.Precision)
		if err != nil {
			return err
		}
		need(23, onnx.IntAttr("precision", int64(t)))
	}
	if e.opset < since {
		return &OpsetError{int(since)}
	}
	e.node(n.Op.Name(), n.Results[0].Name, inputs, attributes...)
	return nil
}
