package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// readDynamicQuantizeLSTM reads ONNX Runtime's LSTM with weights of integers, (D,I,4H)
// and (D,H,4H). ONNX Runtime also rounds what they are multiplied by, to 8 bits of the
// range that it has in a run; this does not.
func readDynamicQuantizeLSTM(n *node) []*graph.Value {
	return n.recurrent(lstmForm, n.unquantized(1, 8, 9), n.unquantized(2, 10, 11))
}

// unquantized returns the weights of input i as numbers, (D,4H,I): with scales and
// zero points of each direction, or of each of its columns too.
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
