package mutate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

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
