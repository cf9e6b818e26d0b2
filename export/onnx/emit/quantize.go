package emit

import (
	"fmt"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

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
		return fmt.Errorf("it needs opset %d or later", since)
	}
	e.node(n.Op.Name(), n.Results[0].Name, inputs, attributes...)
	return nil
}
