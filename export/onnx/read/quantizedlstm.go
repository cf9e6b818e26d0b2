package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// readDynamicQuantizeLSTM reads ONNX Runtime's LSTM with integer weights (D,I,4H) and
// (D,H,4H), whose factors are rounded to 8 bits over the range found in a run.
func readDynamicQuantizeLSTM(n *node) []*graph.Value {
	form := lstmForm
	form.op = func(n *node, activations string, clip float64, reverse bool) graph.Op {
		op := lstmForm.op(n, activations, clip, reverse).(graph.LSTM)
		op.Quantized = true
		return op
	}
	return n.recurrent(form, n.unquantized(1, 8, 9), n.unquantized(2, 10, 11))
}

// unquantized dequantizes the weights of input i, (D,4H,I). Scales and zero points
// are per direction, or per column of each direction.
func (n *node) unquantized(i, scale, zero int) *graph.Value {
	w := n.arg(i)
	row := func(x *graph.Value) *graph.Value {
		columns := graph.N(1)
		if len(x.Shape) > 1 {
			columns = x.Shape[1]
		}
		return n.b.Reshape(x, x.Shape[0], graph.N(1), columns)
	}
	scales := n.arg(scale)
	x := n.b.Sub(n.b.Cast(w, format.Int32), row(n.cast(n.arg(zero), format.Int32)))
	return n.b.Transpose(n.b.Mul(n.cast(x, scales.DType), row(scales)), 0, 2, 1)
}
