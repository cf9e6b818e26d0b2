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
	return n.activated(y, n.floats("activation_params"))
}

// activated applies the activation of a fused node with its parameters.
func (n *node) activated(y *graph.Value, given []float64) *graph.Value {
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
	case "HardSwish":
		return n.b.Mul(y, n.hardSigmoid(y, 1.0/6, 0.5))
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
	x := n.channelsFirst(n.image(0))
	w := n.pool(x.Shape)
	y := n.apply(graph.MaxPool{
		KernelShape: w.kernel, Strides: w.strides, Pads: w.pads, Dilations: w.dilations, CeilMode: n.flag("ceil_mode", false),
	}, x)
	return n.channelsLast(y)
}
