package mutate

import (
	"math/rand/v2"

	"github.com/attnx/attnx/export/onnx"
)

// neighbours are the operators that take the place of another.
var neighbours = [][2]string{
	{"Add", "Sub"}, {"Sub", "Add"}, {"Mul", "Div"}, {"Div", "Mul"}, {"Max", "Min"}, {"Min", "Max"},
	{"Tanh", "Sigmoid"}, {"Sigmoid", "Tanh"}, {"Erf", "Tanh"}, {"Relu", "LeakyRelu"}, {"Softmax", "LogSoftmax"}, {"LogSoftmax", "Softmax"},
	{"Less", "LessOrEqual"}, {"LessOrEqual", "Less"}, {"Greater", "GreaterOrEqual"}, {"GreaterOrEqual", "Greater"},
	{"And", "Or"}, {"Or", "And"}, {"Sin", "Cos"}, {"Cos", "Sin"}, {"Floor", "Ceil"}, {"Ceil", "Floor"}, {"Sqrt", "Exp"}, {"Exp", "Softplus"},
	{"ReduceMean", "ReduceSum"}, {"ReduceSum", "ReduceMean"}, {"ReduceMax", "ReduceMin"}, {"AveragePool", "MaxPool"}, {"MaxPool", "AveragePool"},
}

var neighbourKinds = func() (all []kind) {
	for _, p := range neighbours {
		all = append(all, kind{p[1] + " for " + p[0], func(w *view, r *rand.Rand) []Fault {
			return nodes(w, []string{p[0]}, func(n *onnx.Node) func(s *surgeon) {
				if t := w.tensors[n.Inputs[0]]; t != nil && t.DataType != onnx.Float {
					return nil
				}
				return on(n, func(_ *surgeon, n *onnx.Node) { n.Op = p[1] })
			})
		}})
	}
	all = append(all, kind{"the exact Gelu for its tanh form", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Gelu"}, func(n *onnx.Node) func(s *surgeon) {
			return on(n, func(_ *surgeon, n *onnx.Node) {
				if a := attribute(n, "approximate"); a != nil && string(a.String) == "tanh" {
					a.String = []byte("none")
				} else {
					n.Attributes = []onnx.Attribute{onnx.StringAttr("approximate", "tanh")}
				}
			})
		})
	}})
	return all
}()
