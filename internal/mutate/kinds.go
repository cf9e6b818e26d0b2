package mutate

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// kinds are the kinds of faults: of weights, of attributes, of wiring, operators
// replaced by their neighbours, of masks, positions and caches, and those that only
// certain inputs show.
var kinds = slices.Concat(weightKinds, attributeKinds, wiringKinds, neighbourKinds, maskKinds, conditionKinds)

// weights returns a fault for each float32 initializer with the given number of
// axes at least, made by f of its elements.
func weights(axes, most int, f func(t *onnx.Tensor, r *rand.Rand) (place string, change func(t *onnx.Tensor))) func(w *view, r *rand.Rand) []Fault {
	return func(w *view, r *rand.Rand) (all []Fault) {
		for _, t := range w.Graph.Initializers {
			if t.DataType != onnx.Float || len(t.Dims) < axes || len(t.Dims) > most || t.External != nil || len(t.Raw) < 8 || len(w.readers[t.Name]) == 0 {
				continue
			}
			place, change := f(t, r)
			if change == nil {
				continue
			}
			all = append(all, Fault{Place: t.Name + place, Value: w.reader(t.Name), apply: func(s *surgeon) { change(s.tensor(t.Name)) }})
		}
		return all
	}
}

// element is a fault of one element of a weight.
func element(change func(x float32) float32) func(w *view, r *rand.Rand) []Fault {
	return weights(1, 9, func(t *onnx.Tensor, r *rand.Rand) (string, func(t *onnx.Tensor)) {
		i := r.IntN(len(t.Raw) / 4)
		return fmt.Sprintf("[%d]", i), func(t *onnx.Tensor) { set(t, i, change(get(t, i))) }
	})
}

func flipped(bit uint32) func(x float32) float32 {
	return func(x float32) float32 { return math.Float32frombits(math.Float32bits(x) ^ bit) }
}

// matrix is a fault of a weight of two axes, by its rows and columns.
func matrix(change func(t *onnx.Tensor, rows, columns, i, j int)) func(w *view, r *rand.Rand) []Fault {
	return weights(2, 2, func(t *onnx.Tensor, r *rand.Rand) (string, func(t *onnx.Tensor)) {
		rows, columns := int(t.Dims[0]), int(t.Dims[1])
		if rows < 2 || columns < 2 {
			return "", nil
		}
		i := r.IntN(min(rows, columns))
		j := (i + 1 + r.IntN(min(rows, columns)-1)) % min(rows, columns)
		return fmt.Sprintf("[%d,%d]", i, j), func(t *onnx.Tensor) { change(t, rows, columns, i, j) }
	})
}

func exchanged(t *onnx.Tensor, a, b int) {
	x, y := get(t, a), get(t, b)
	set(t, a, y)
	set(t, b, x)
}

var weightKinds = []kind{
	{"weight element doubled", element(func(x float32) float32 { return 2*x + 0.01 })},
	{"weight element zero", element(func(x float32) float32 { return 0 })},
	{"weight sign", element(flipped(1 << 31))},
	{"weight lowest bit", element(flipped(1))},
	{"weight middle bit", element(flipped(1 << 12))},
	{"weight exponent bit", element(flipped(1 << 24))},
	{"weight row zero", matrix(func(t *onnx.Tensor, rows, columns, i, _ int) {
		for k := range columns {
			set(t, i*columns+k, 0)
		}
	})},
	{"weight rows exchanged", matrix(func(t *onnx.Tensor, rows, columns, i, j int) {
		for k := range columns {
			exchanged(t, i*columns+k, j*columns+k)
		}
	})},
	{"weight column scaled", matrix(func(t *onnx.Tensor, rows, columns, i, _ int) {
		for k := range rows {
			set(t, k*columns+i, 1.05*get(t, k*columns+i))
		}
	})},
	{"weight columns exchanged", matrix(func(t *onnx.Tensor, rows, columns, i, j int) {
		for k := range rows {
			exchanged(t, k*columns+i, k*columns+j)
		}
	})},
	{"weight heads exchanged", matrix(func(t *onnx.Tensor, rows, columns, _, _ int) {
		half := columns / 2
		for k := range rows {
			for c := range half {
				exchanged(t, k*columns+c, k*columns+half+c)
			}
		}
	})},
	{"weight transposed", weights(2, 2, func(t *onnx.Tensor, _ *rand.Rand) (string, func(t *onnx.Tensor)) {
		if t.Dims[0] != t.Dims[1] || t.Dims[0] < 2 {
			return "", nil
		}
		n := int(t.Dims[0])
		return "", func(t *onnx.Tensor) {
			for i := range n {
				for j := range i {
					exchanged(t, i*n+j, j*n+i)
				}
			}
		}
	})},
	{"weight read in the other order", matrix(func(t *onnx.Tensor, rows, columns, _, _ int) {
		raw := slices.Clone(t.Raw)
		for i := range rows {
			for j := range columns {
				copy(t.Raw[4*(i*columns+j):], raw[4*(j*rows+i):4*(j*rows+i)+4])
			}
		}
	})},
	{"weight shifted by one", weights(1, 9, func(t *onnx.Tensor, _ *rand.Rand) (string, func(t *onnx.Tensor)) {
		return "", func(t *onnx.Tensor) { copy(t.Raw, append(slices.Clone(t.Raw[4:]), t.Raw[:4]...)) }
	})},
	{"weight rounded to 16 bits", weights(2, 9, func(t *onnx.Tensor, _ *rand.Rand) (string, func(t *onnx.Tensor)) {
		return "", func(t *onnx.Tensor) {
			for i := range len(t.Raw) / 4 {
				set(t, i, math.Float32frombits(math.Float32bits(get(t, i))&^0x1fff))
			}
		}
	})},
	{"weight scaled", weights(1, 9, func(t *onnx.Tensor, _ *rand.Rand) (string, func(t *onnx.Tensor)) {
		return "", func(t *onnx.Tensor) {
			for i := range len(t.Raw) / 4 {
				set(t, i, 1.01*get(t, i))
			}
		}
	})},
	{"weights exchanged", func(w *view, r *rand.Rand) (all []Fault) {
		for i, x := range w.Graph.Initializers {
			for _, y := range w.Graph.Initializers[:i] {
				if x.DataType == onnx.Float && y.DataType == onnx.Float && len(x.Dims) > 0 && slices.Equal(x.Dims, y.Dims) && !slices.Equal(x.Raw, y.Raw) {
					all = append(all, Fault{Place: x.Name + " and " + y.Name, apply: func(s *surgeon) {
						a, b := s.tensor(x.Name), s.tensor(y.Name)
						a.Raw, b.Raw = b.Raw, a.Raw
					}})
				}
			}
		}
		return all
	}},
	{"bias negated", weights(1, 1, func(t *onnx.Tensor, _ *rand.Rand) (string, func(t *onnx.Tensor)) {
		return "", func(t *onnx.Tensor) {
			for i := range len(t.Raw) / 4 {
				set(t, i, -get(t, i))
			}
		}
	})},
	{"bias dropped", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Add"}, func(n *onnx.Node) func(s *surgeon) {
			for i, in := range n.Inputs {
				if t := w.tensors[in]; t != nil && len(t.Dims) == 1 {
					return func(s *surgeon) { s.bypass(n.Outputs[0], n.Inputs[1-i]) }
				}
			}
			return nil
		})
	}},
	{"number scaled", func(w *view, r *rand.Rand) (all []Fault) {
		for _, t := range w.Graph.Initializers {
			if t.DataType == onnx.Float && len(t.Raw) == 4 && get(t, 0) != 0 {
				all = append(all, Fault{Place: t.Name, Value: w.reader(t.Name), apply: func(s *surgeon) {
					x := s.tensor(t.Name)
					set(x, 0, 1.02*get(x, 0))
				}})
			}
		}
		return all
	}},
	{"number of a scale left out", func(w *view, r *rand.Rand) []Fault {
		return nodes(w, []string{"Mul", "Div"}, func(n *onnx.Node) func(s *surgeon) {
			for i, in := range n.Inputs {
				if t := w.tensors[in]; t != nil && t.DataType == onnx.Float && len(t.Raw) == 4 && (n.Op == "Mul" || i == 1) {
					return func(s *surgeon) { s.bypass(n.Outputs[0], n.Inputs[1-i]) }
				}
			}
			return nil
		})
	}},
}

// nodes returns the faults that f makes of the nodes with the operators; of all
// nodes if there are none.
func nodes(w *view, ops []string, f func(n *onnx.Node) func(s *surgeon)) (all []Fault) {
	for _, n := range w.Graph.Nodes {
		if len(ops) > 0 && (!slices.Contains(ops, n.Op) || n.Domain != "") || n.Op == "Constant" {
			continue
		}
		if apply := f(n); apply != nil {
			all = append(all, Fault{Place: n.Outputs[0] + " (" + n.Op + ")", Value: n.Outputs[0], apply: apply})
		}
	}
	return all
}

// attributes is a fault of the attributes of a name, or of a type if the name is "".
func attributes(name string, t onnx.AttributeType, change func(a *onnx.Attribute) bool) func(w *view, r *rand.Rand) []Fault {
	return func(w *view, r *rand.Rand) (all []Fault) {
		for _, n := range w.Graph.Nodes {
			for i, a := range n.Attributes {
				if a.Type != t || name != "" && a.Name != name || name == "" && slices.Contains([]string{"axis", "epsilon", "perm", "keepdims", "to"}, a.Name) {
					continue
				}
				test := a
				test.Ints = slices.Clone(a.Ints)
				if !change(&test) {
					continue
				}
				all = append(all, Fault{Place: n.Outputs[0] + ": " + a.Name, Value: n.Outputs[0], apply: func(s *surgeon) {
					b := &s.Graph.Nodes[s.index(n.Outputs[0])].Attributes[i]
					b.Ints, b.String = slices.Clone(b.Ints), slices.Clone(b.String)
					change(b)
				}})
			}
		}
		return all
	}
}

var attributeKinds = []kind{
	{"epsilon", attributes("epsilon", onnx.AttrFloat, func(a *onnx.Attribute) bool { a.Float *= 100; return true })},
	{"axis", attributes("axis", onnx.AttrInt, func(a *onnx.Attribute) bool {
		if a.Int == -1 || a.Int > 0 {
			a.Int--
		} else {
			a.Int++
		}
		return true
	})},
	{"permutation", attributes("perm", onnx.AttrInts, func(a *onnx.Attribute) bool {
		n := len(a.Ints)
		if n < 2 {
			return false
		}
		a.Ints[n-1], a.Ints[n-2] = a.Ints[n-2], a.Ints[n-1]
		return true
	})},
	{"keepdims", attributes("keepdims", onnx.AttrInt, func(a *onnx.Attribute) bool { a.Int = 1 - a.Int; return true })},
	{"integer attribute", attributes("", onnx.AttrInt, func(a *onnx.Attribute) bool { a.Int++; return true })},
	{"number attribute", attributes("", onnx.AttrFloat, func(a *onnx.Attribute) bool { a.Float *= 1.05; return a.Float != 0 })},
	{"list attribute", attributes("", onnx.AttrInts, func(a *onnx.Attribute) bool {
		if len(a.Ints) == 0 {
			return false
		}
		a.Ints[0]++
		return true
	})},
	{"element type of a cast", attributes("to", onnx.AttrInt, func(a *onnx.Attribute) bool {
		if a.Int != int64(onnx.Bool) {
			return false
		}
		a.Int = int64(onnx.Int64)
		return true
	})},
	{"operator set", func(w *view, r *rand.Rand) []Fault {
		return []Fault{{Place: "opset 11", apply: func(s *surgeon) {
			s.Opsets = slices.Clone(s.Opsets)
			for i, o := range s.Opsets {
				if o.Domain == "" {
					s.Opsets[i].Version = 11
				}
			}
		}}}
	}},
}

// on changes the node that makes a value.
func on(n *onnx.Node, change func(s *surgeon, n *onnx.Node)) func(s *surgeon) {
	return func(s *surgeon) { change(s, s.Graph.Nodes[s.index(n.Outputs[0])]) }
}

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

// inputs returns a fault for each input that a test accepts.
func inputs(test func(in onnx.ValueInfo) bool, f func(s *surgeon, i *int, name string) string) func(w *view, r *rand.Rand) []Fault {
	return func(w *view, r *rand.Rand) (all []Fault) {
		for _, in := range w.Graph.Inputs {
			if w.tensors[in.Name] == nil && len(w.readers[in.Name]) > 0 && test(in) {
				all = append(all, Fault{Place: in.Name, apply: func(s *surgeon) {
					s.input(in.Name, func(i *int) string { return f(s, i, in.Name) })
				}})
			}
		}
		return all
	}
}

func called(part string) func(in onnx.ValueInfo) bool {
	return func(in onnx.ValueInfo) bool { return in.DataType == onnx.Int64 && strings.Contains(in.Name, part) }
}

var maskKinds = []kind{
	{"mask ignored", inputs(called("mask"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Max", []string{name, s.integers(1)})
	})},
	{"mask negated", inputs(called("mask"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Sub", []string{s.integers(1), name})
	})},
	{"positions off by one", inputs(called("position"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Max", []string{s.before(i, "Sub", []string{name, s.integers(1)}), s.integers(0)})
	})},
	{"positions all zero", inputs(called("position"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Sub", []string{name, name})
	})},
	{"ids off by one", inputs(called("ids"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Max", []string{s.before(i, "Sub", []string{name, s.integers(1)}), s.integers(0)})
	})},
	{"hidden scores too large", func(w *view, r *rand.Rand) (all []Fault) {
		for _, t := range w.Graph.Initializers {
			if t.DataType == onnx.Float && len(t.Raw) == 4 && get(t, 0) < -1e4 {
				all = append(all, Fault{Place: t.Name, Value: w.reader(t.Name), apply: func(s *surgeon) { set(s.tensor(t.Name), 0, -1) }})
			}
		}
		return all
	}},
	{"features scaled", inputs(func(in onnx.ValueInfo) bool { return in.DataType == onnx.Float }, func(s *surgeon, i *int, name string) string {
		return s.before(i, "Mul", []string{name, s.float(1.01, onnx.Float)})
	})},
}

// conditional is a fault of the first floating-point output, where a condition holds
// that f records: a tenth more.
func conditional(places func(w *view, r *rand.Rand) []When, condition func(s *surgeon, i *int, w When) string) func(w *view, r *rand.Rand) []Fault {
	return func(w *view, r *rand.Rand) (all []Fault) {
		at := slices.IndexFunc(w.Graph.Outputs, func(o onnx.ValueInfo) bool { return o.DataType == onnx.Float && len(o.Dims) > 0 })
		if at < 0 || makerOf(w, w.Graph.Outputs[at].Name) == nil {
			return nil
		}
		out := w.Graph.Outputs[at].Name
		for _, when := range places(w, r) {
			all = append(all, Fault{Place: fmt.Sprintf("%s where %s is %d", out, when.Input, when.Is), Value: out, When: &when, apply: func(s *surgeon) {
				s.after(out, func(i *int, was string) (string, []string, []onnx.Attribute) {
					more := s.before(i, "Mul", []string{was, s.float(1.1, onnx.Float)})
					return "Where", []string{condition(s, i, when), more, was}, nil
				})
			}})
		}
		return all
	}
}

// sizes lists the open axes of inputs, with a size that samples may not have.
func sizes(beyond bool, axis func(in onnx.ValueInfo, axis int) bool) func(w *view, r *rand.Rand) []When {
	return func(w *view, r *rand.Rand) (all []When) {
		for _, in := range w.Graph.Inputs {
			for a, d := range in.Dims {
				if d.Open && w.tensors[in.Name] == nil && axis(in, a) {
					all = append(all, When{Input: in.Name, Axis: a, Is: 9 + r.IntN(4), Beyond: beyond})
				}
			}
		}
		return all
	}
}

func sizeIs(op string) func(s *surgeon, i *int, w When) string {
	return func(s *surgeon, i *int, w When) string {
		shape := s.before(i, "Shape", []string{w.Input})
		size := s.before(i, "Gather", []string{shape, s.integers(int64(w.Axis))})
		return s.before(i, op, []string{size, s.integers(int64(w.Is))})
	}
}

var conditionKinds = []kind{
	{"at one batch", conditional(sizes(false, func(_ onnx.ValueInfo, axis int) bool { return axis == 0 }), sizeIs("Equal"))},
	{"beyond a batch", conditional(sizes(true, func(_ onnx.ValueInfo, axis int) bool { return axis == 0 }), sizeIs("Greater"))},
	{"at one length", conditional(sizes(false, func(_ onnx.ValueInfo, axis int) bool { return axis > 0 }), sizeIs("Equal"))},
	{"beyond a length", conditional(sizes(true, func(_ onnx.ValueInfo, axis int) bool { return axis > 0 }), sizeIs("Greater"))},
	{"at one id", conditional(func(w *view, r *rand.Rand) (all []When) {
		for _, in := range w.Graph.Inputs {
			if in.DataType == onnx.Int64 && len(in.Dims) > 0 && strings.Contains(in.Name, "id") && w.tensors[in.Name] == nil {
				all = append(all, When{Input: in.Name, Axis: -1, Is: 11 + r.IntN(8)})
			}
		}
		return all
	}, func(s *surgeon, i *int, w When) string {
		one := s.before(i, "Cast", []string{s.before(i, "Equal", []string{w.Input, s.integers(int64(w.Is))})}, onnx.IntAttr("to", int64(onnx.Int64)))
		flat := s.before(i, "Reshape", []string{one, s.integers(-1)})
		most := s.before(i, "ReduceMax", []string{flat}, onnx.IntAttr("keepdims", 1))
		return s.before(i, "Greater", []string{most, s.integers(0)})
	})},
	{"an axis that ends at a number", func(w *view, r *rand.Rand) (all []Fault) {
		at := slices.IndexFunc(w.Graph.Inputs, func(in onnx.ValueInfo) bool { return len(in.Dims) > 1 && in.Dims[1].Open && w.tensors[in.Name] == nil })
		if at < 0 {
			return nil
		}
		all = nodes(w, []string{"Slice"}, func(n *onnx.Node) func(s *surgeon) {
			if w.tensors[n.Inputs[2]] != nil {
				return nil
			}
			return on(n, func(s *surgeon, n *onnx.Node) { n.Inputs[2] = s.integers(9) })
		})
		for i := range all {
			all[i].When = &When{Input: w.Graph.Inputs[at].Name, Axis: 1, Is: 9, Beyond: true}
		}
		return all
	}},
	{"in an If at one batch", func(w *view, r *rand.Rand) (all []Fault) {
		at := slices.IndexFunc(w.Graph.Outputs, func(o onnx.ValueInfo) bool { return o.DataType == onnx.Float && len(o.Dims) > 0 })
		if at < 0 || makerOf(w, w.Graph.Outputs[at].Name) == nil {
			return nil
		}
		out := w.Graph.Outputs[at]
		for _, when := range sizes(false, func(_ onnx.ValueInfo, axis int) bool { return axis == 0 })(w, r) {
			all = append(all, Fault{Place: fmt.Sprintf("%s where %s is %d", out.Name, when.Input, when.Is), Value: out.Name, When: &when, apply: func(s *surgeon) {
				s.after(out.Name, func(i *int, was string) (string, []string, []onnx.Attribute) {
					branch := func(name, op string) onnx.Attribute {
						result := onnx.ValueInfo{Name: s.name(name), DataType: onnx.Float, NoShape: true}
						g := &onnx.Graph{Name: name, Outputs: []onnx.ValueInfo{result}}
						g.Nodes = []*onnx.Node{{Op: op, Inputs: []string{was}, Outputs: []string{result.Name}}}
						return onnx.Attribute{Name: name, Type: onnx.AttrGraph, Graph: g}
					}
					size := s.before(i, "Reshape", []string{sizeIs("Equal")(s, i, when), s.integers()})
					return "If", []string{size}, []onnx.Attribute{branch("then_branch", "Neg"), branch("else_branch", "Identity")}
				})
			}})
		}
		return all
	}},
}
