package mutate

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

var wiringKinds = []kind{
	{"inputs exchanged", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"MatMul", "Sub", "Div", "Pow", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}, func(n *onnx.Node) func(s *surgeon) {
			if len(n.Inputs) != 2 || n.Inputs[0] == n.Inputs[1] {
				return nil
			}
			return on(n, func(_ *surgeon, n *onnx.Node) { slices.Reverse(n.Inputs) })
		})
	}},
	{"branches of a choice exchanged", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Where"}, func(n *onnx.Node) func(s *surgeon) {
			return on(n, func(_ *surgeon, n *onnx.Node) { n.Inputs[1], n.Inputs[2] = n.Inputs[2], n.Inputs[1] })
		})
	}},
	{"parts of a concatenation exchanged", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Concat"}, func(n *onnx.Node) func(s *surgeon) {
			if len(n.Inputs) < 2 || n.Inputs[0] == n.Inputs[1] {
				return nil
			}
			return on(n, func(_ *surgeon, n *onnx.Node) { n.Inputs[0], n.Inputs[1] = n.Inputs[1], n.Inputs[0] })
		})
	}},
	{"parts of a split exchanged", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Split"}, func(n *onnx.Node) func(s *surgeon) {
			if len(n.Outputs) < 2 {
				return nil
			}
			return on(n, func(_ *surgeon, n *onnx.Node) { n.Outputs[0], n.Outputs[1] = n.Outputs[1], n.Outputs[0] })
		})
	}},
	{"another layer's value read", func(w *view, r *rand.Rand) (all []Fault) {
		last := map[string]string{} // the latest result of an operator
		for _, n := range w.Graph.Nodes {
			if len(n.Inputs) > 0 {
				if maker := makerOf(w, n.Inputs[0]); maker != nil && last[maker.Op] != "" && last[maker.Op] != n.Inputs[0] {
					other := last[maker.Op]
					all = append(all, Fault{Place: n.Outputs[0] + " reads " + other, Value: n.Outputs[0], apply: on(n, func(_ *surgeon, n *onnx.Node) { n.Inputs[0] = other })})
				}
			}
			for _, in := range n.Inputs {
				if maker := makerOf(w, in); maker != nil {
					last[maker.Op] = in
				}
			}
		}
		return all
	}},
	{"node dropped", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, nil, func(n *onnx.Node) func(s *surgeon) {
			if len(n.Inputs) == 0 || n.Inputs[0] == "" || len(n.Outputs) != 1 || slices.Contains([]string{"Identity", "Shape", "Constant"}, n.Op) || w.tensors[n.Inputs[0]] != nil {
				return nil
			}
			return func(s *surgeon) { s.bypass(n.Outputs[0], n.Inputs[0]) }
		})
	}},
	{"residual dropped", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Add"}, func(n *onnx.Node) func(s *surgeon) {
			if w.tensors[n.Inputs[0]] != nil || w.tensors[n.Inputs[1]] != nil {
				return nil
			}
			return func(s *surgeon) { s.bypass(n.Outputs[0], n.Inputs[1]) }
		})
	}},
	{"node applied twice", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Tanh", "Relu", "Sigmoid", "Erf", "Softmax", "Exp", "Sqrt", "Neg", "Cos", "Sin"}, func(n *onnx.Node) func(s *surgeon) {
			return func(s *surgeon) {
				s.after(n.Outputs[0], func(_ *int, was string) (string, []string, []onnx.Attribute) {
					return n.Op, []string{was}, n.Attributes
				})
			}
		})
	}},
	{"outputs exchanged", func(w *view, r *rand.Rand) (all []Fault) {
		for i, a := range w.Graph.Outputs {
			for j, b := range w.Graph.Outputs[:i] {
				if a.DataType == b.DataType && len(a.Dims) == len(b.Dims) && makerOf(w, a.Name) != nil && makerOf(w, b.Name) != nil {
					all = append(all, Fault{Place: a.Name + " and " + b.Name, apply: func(s *surgeon) {
						x, y := s.rename(a.Name), s.rename(b.Name)
						for _, n := range s.Graph.Nodes {
							for k, in := range n.Inputs {
								switch in {
								case a.Name:
									n.Inputs[k] = x
								case b.Name:
									n.Inputs[k] = y
								}
							}
						}
						s.Graph.Nodes = append(s.Graph.Nodes, &onnx.Node{Op: "Identity", Inputs: []string{x}, Outputs: []string{b.Name}}, &onnx.Node{Op: "Identity", Inputs: []string{y}, Outputs: []string{a.Name}})
					}})
				}
				_ = j
			}
		}
		return all
	}},
	{"inputs of the model exchanged", func(w *view, r *rand.Rand) (all []Fault) {
		for i, a := range w.Graph.Inputs {
			for _, b := range w.Graph.Inputs[:i] {
				if a.DataType == b.DataType && len(a.Dims) == len(b.Dims) && len(w.readers[a.Name]) > 0 && len(w.readers[b.Name]) > 0 {
					all = append(all, Fault{Place: a.Name + " and " + b.Name, apply: func(s *surgeon) {
						for _, n := range s.Graph.Nodes {
							for k, in := range n.Inputs {
								switch in {
								case a.Name:
									n.Inputs[k] = b.Name
								case b.Name:
									n.Inputs[k] = a.Name
								}
							}
						}
					}})
				}
			}
		}
		return all
	}},
	{"cast to 16 bits between", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"MatMul", "Gemm", "Softmax", "LayerNormalization", "Conv"}, func(n *onnx.Node) func(s *surgeon) {
			return func(s *surgeon) {
				s.after(n.Outputs[0], func(i *int, was string) (string, []string, []onnx.Attribute) {
					half := s.before(i, "Cast", []string{was}, onnx.IntAttr("to", int64(onnx.BFloat16)))
					return "Cast", []string{half}, []onnx.Attribute{onnx.IntAttr("to", int64(onnx.Float))}
				})
			}
		})
	}},
	{"cast to integers between", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"MatMul", "Gemm", "Add", "Conv"}, func(n *onnx.Node) func(s *surgeon) {
			return func(s *surgeon) {
				s.after(n.Outputs[0], func(i *int, was string) (string, []string, []onnx.Attribute) {
					whole := s.before(i, "Cast", []string{was}, onnx.IntAttr("to", int64(onnx.Int32)))
					return "Cast", []string{whole}, []onnx.Attribute{onnx.IntAttr("to", int64(onnx.Float))}
				})
			}
		})
	}},
	{"shape exchanged", func(w *view, r *rand.Rand) []Fault { // the order of heads
		return nodes(w, []string{"Reshape"}, func(n *onnx.Node) func(s *surgeon) {
			t := w.tensors[n.Inputs[1]]
			if t == nil || t.DataType != onnx.Int64 || len(t.Raw) < 16 {
				return nil
			}
			a, b := len(t.Raw)-16, len(t.Raw)-8
			if slices.Equal(t.Raw[a:b], t.Raw[b:]) {
				return nil
			}
			return on(n, func(s *surgeon, n *onnx.Node) {
				x := *t
				x.Name = s.name("shape")
				x.Raw = slices.Concat(t.Raw[:a], t.Raw[b:], t.Raw[a:b])
				s.Graph.Initializers = append(s.Graph.Initializers, &x)
				n.Inputs[1] = x.Name
			})
		})
	}},
	{"number of an index", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Slice", "Gather", "Range"}, func(n *onnx.Node) func(s *surgeon) {
			for i, in := range n.Inputs {
				t := w.tensors[in]
				if i == 0 && n.Op != "Range" || t == nil || t.DataType != onnx.Int64 || len(t.Raw) != 8 {
					continue
				}
				return on(n, func(s *surgeon, n *onnx.Node) {
					x := int64(binary.LittleEndian.Uint64(t.Raw))
					if x > 1<<40 {
						x = -1
					} else {
						x++
					}
					n.Inputs[i] = s.integers(x)
					s.Graph.Initializers[len(s.Graph.Initializers)-1].Dims = t.Dims
				})
			}
			return nil
		})
	}},
}

func makerOf(w *view, value string) *onnx.Node {
	for _, n := range w.Graph.Nodes {
		if slices.Contains(n.Outputs, value) {
			return n
		}
	}
	return nil
}
