package read

import (
	"math"

	"github.com/attnx/attnx/model/graph"
)

// readFusedConv is a convolution, plus the fourth input, followed by an
// activation.
func readFusedConv(n *node) *graph.Value {
	y := n.conv(n.arg(0), n.arg(1), n.optional(2))
	if n.has(3) {
		y = n.b.Add(y, n.arg(3))
	}
	given := n.floats("activation_params")
	parameter := func(i int, otherwise float64) float64 {
		if i < len(given) {
			return given[i]
		}
		return otherwise
	}
	switch activation := n.text("activation", ""); activation {
	case "":
		return y
	case "Relu":
		return n.b.Relu(y)
	case "Tanh":
		return n.b.Tanh(y)
	case "Sigmoid":
		return n.b.Sigmoid(y)
	case "LeakyRelu":
		return n.b.Where(n.b.Less(y, n.like(y, 0)), n.b.Mul(y, n.like(y, parameter(0, float64(float32(0.01))))), y)
	case "HardSigmoid":
		return n.hardSigmoid(y, parameter(0, float64(float32(0.2))), parameter(1, 0.5))
	case "Clip":
		return n.b.Min(n.b.Max(y, n.like(y, parameter(0, -math.MaxFloat32))), n.like(y, parameter(1, math.MaxFloat32)))
	default:
		n.refuse("activation %.80q", activation)
		return nil
	}
}

// readNhwcMaxPool is MaxPool with the channels last.
func readNhwcMaxPool(n *node) *graph.Value {
	n.require("kernel_shape")
	x := n.arg(0)
	rank := len(x.Shape)
	if rank < 3 {
		n.invalid("%s has no spatial dimensions", x.Shape)
	}
	first, last := []int{0, rank - 1}, []int{0}
	for i := 1; i < rank-1; i++ {
		first, last = append(first, i), append(last, i+1)
	}
	x = n.b.Transpose(x, first...)
	w := n.windows(n.ints("kernel_shape"), rank-2)
	n.autoPad(w, x.Shape[2:])
	y := n.apply(graph.MaxPool{
		KernelShape: w.kernel, Strides: w.strides, Pads: w.pads, Dilations: w.dilations, CeilMode: n.flag("ceil_mode", false),
	}, x)
	return n.b.Transpose(y, append(last, 1)...)
}
