package exprgraph_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	. "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/model/exprgraph"
)

// cases has networks of one operator, by what Gorgonia calls it.
var cases = map[string]func(s *source) *Node{
	"Abs":         unary(Abs, -2, 2),
	"Sign":        unary(Sign, -2, 2),
	"Ceil":        unary(Ceil, -2, 2),
	"Floor":       unary(Floor, -2, 2),
	"Sin":         unary(Sin, -2, 2),
	"Cos":         unary(Cos, -2, 2),
	"Exp":         unary(Exp, -2, 2),
	"Log":         unary(Log, 0.1, 2),
	"Log2":        unary(Log2, 0.1, 2),
	"Neg":         unary(Neg, -2, 2),
	"Square":      unary(Square, -2, 2),
	"Sqrt":        unary(Sqrt, 0, 2),
	"Inverse":     unary(Inverse, 0.1, 2),
	"InverseSqrt": unary(InverseSqrt, 0.1, 2),
	"Cube":        unary(Cube, -2, 2),
	"Tanh":        unary(Tanh, -2, 2),
	"Sigmoid":     unary(Sigmoid, -20, 20),
	"Log1p":       unary(Log1p, -0.5, 2),
	"Expm1":       unary(Expm1, -2, 2),
	"Softplus":    unary(Softplus, -20, 20),
	"Rectify":     unary(Rectify, -2, 2),
	"Mish":        unary(Mish, -2, 2),
	"LeakyRelu":   unary(func(x *Node) (*Node, error) { return LeakyRelu(x, 0.1) }, -2, 2),
	"Dropout":     unary(func(x *Node) (*Node, error) { return Dropout(x, 0.3) }, -2, 2),
	"sign of a scalar": func(s *source) *Node {
		return must(Sign(s.input("x", -1, 1)))
	},
	"exp of a scalar": func(s *source) *Node { return must(Exp(s.input("x", -1, 1))) },

	"Add": binary(Add), "Sub": binary(Sub), "HadamardProd": binary(HadamardProd), "HadamardDiv": binary(HadamardDiv),
	"Pow": binary(Pow), "MinBetween": binary(MinBetween), "MaxBetween": binary(MaxBetween),
	"Lt": compared(Lt), "Gt": compared(Gt), "Lte": compared(Lte), "Gte": compared(Gte), "Eq": compared(Eq), "Ne": compared(Ne),
	"Lt of bools": func(s *source) *Node { return must(Lt(s.input("x", 0, 1, 2, 3), s.input("y", 0, 1, 2, 3), false)) },
	"Ne of bools": func(s *source) *Node { return must(Ne(s.input("x", 0, 1, 2, 3), s.input("y", 0, 1, 2, 3), false)) },

	"scalar and tensor": func(s *source) *Node {
		return must(Add(must(HadamardProd(s.constant(2.5), s.input("x", -1, 1, 2, 3))), s.weight("b", -1, 1)))
	},
	"tensor and scalar": func(s *source) *Node { return must(Sub(s.input("x", -1, 1, 2, 3), s.constant(0.5))) },
	"scalars":           func(s *source) *Node { return must(Div(s.input("x", 1, 2), s.input("y", 1, 2))) },
	"scalar power":      func(s *source) *Node { return must(Pow(s.input("x", 1, 2, 3), s.constant(3))) },
	"column and vector": func(s *source) *Node { return must(Add(s.input("x", -1, 1, 3, 1), s.input("y", -1, 1, 3))) },

	"Mul of matrices":          func(s *source) *Node { return must(Mul(s.input("x", -1, 1, 2, 3), s.weight("w", -1, 1, 3, 4))) },
	"Mul of one row":           func(s *source) *Node { return must(Mul(s.input("x", -1, 1, 1, 3), s.weight("w", -1, 1, 3, 4))) },
	"Mul of one column":        func(s *source) *Node { return must(Mul(s.input("x", -1, 1, 2, 3), s.weight("w", -1, 1, 3, 1))) },
	"Mul of matrix and vector": func(s *source) *Node { return must(Mul(s.input("x", -1, 1, 2, 3), s.weight("w", -1, 1, 3))) },
	"Mul of vector and matrix": func(s *source) *Node { return must(Mul(s.input("x", -1, 1, 3), s.weight("w", -1, 1, 3, 2))) },
	"Mul of square and vector": func(s *source) *Node { return must(Mul(s.input("x", -1, 1, 3, 3), s.weight("w", -1, 1, 3))) },
	"Mul of vector and square": func(s *source) *Node { return must(Mul(s.input("x", -1, 1, 3), s.weight("w", -1, 1, 3, 3))) },
	"Mul of vectors":           func(s *source) *Node { return must(Mul(s.input("x", -1, 1, 3), s.weight("w", -1, 1, 3))) },
	"OuterProd":                func(s *source) *Node { return must(OuterProd(s.input("x", -1, 1, 3), s.weight("w", -1, 1, 2))) },
	"BatchedMatMul": func(s *source) *Node {
		return must(BatchedMatMul(s.input("x", -1, 1, 2, 3, 4), s.weight("w", -1, 1, 2, 4, 5)))
	},
	"BatchedMatMul of 4": func(s *source) *Node {
		return must(BatchedMatMul(s.input("x", -1, 1, 2, 3, 4, 2), s.weight("w", -1, 1, 2, 3, 2, 5)))
	},
	"BatchedMatMul, first transposed": func(s *source) *Node {
		return must(BatchedMatMul(s.input("x", -1, 1, 2, 4, 3), s.weight("w", -1, 1, 2, 4, 5), true))
	},
	"BatchedMatMul, second transposed": func(s *source) *Node {
		return must(BatchedMatMul(s.input("x", -1, 1, 2, 3, 4), s.weight("w", -1, 1, 2, 5, 4), false, true))
	},
	"Tensordot": func(s *source) *Node {
		return must(Tensordot([]int{1}, []int{0}, s.input("x", -1, 1, 2, 3, 4), s.weight("w", -1, 1, 3, 5)))
	},
	"Tensordot over two": func(s *source) *Node {
		return must(Tensordot([]int{1, 2}, []int{1, 0}, s.input("x", -1, 1, 2, 3, 4), s.weight("w", -1, 1, 4, 3)))
	},

	"BroadcastAdd": func(s *source) *Node {
		return must(BroadcastAdd(s.input("x", -1, 1, 2, 3), s.weight("b", -1, 1, 3), nil, []byte{0}))
	},
	"BroadcastAdd of a row": func(s *source) *Node {
		return must(BroadcastAdd(s.input("x", -1, 1, 2, 3), s.weight("b", -1, 1, 1, 3), nil, []byte{0}))
	},
	"BroadcastSub of a column": func(s *source) *Node {
		return must(BroadcastSub(s.input("x", -1, 1, 2, 3), s.weight("b", -1, 1, 2), nil, []byte{1}))
	},
	"BroadcastSub of the first": func(s *source) *Node {
		return must(BroadcastSub(s.input("x", -1, 1, 1, 3), s.weight("b", -1, 1, 2, 3), []byte{0}, nil))
	},
	"gated by another": func(s *source) *Node {
		return must(HadamardProd(s.input("x", -1, 1, 2, 3), must(Gte(s.input("y", -1, 1, 2, 3), s.constant(0), true))))
	},
	"gated above a half": func(s *source) *Node {
		x := s.input("x", -1, 1, 2, 3)
		return must(HadamardProd(x, must(Gte(x, s.constant(0.5), true))))
	},
	"BroadcastHadamardProd of the first": func(s *source) *Node {
		return must(BroadcastHadamardProd(s.input("x", -1, 1, 1, 3), s.weight("b", -1, 1, 2, 3), []byte{0}, nil))
	},
	"BroadcastHadamardDiv over channels": func(s *source) *Node {
		return must(BroadcastHadamardDiv(s.input("x", -1, 1, 2, 3, 4, 5), s.weight("b", 1, 2, 1, 3, 1, 1), nil, []byte{0, 2, 3}))
	},
	"BroadcastGte": func(s *source) *Node {
		return must(BroadcastGte(s.input("x", -1, 1, 2, 3), s.weight("b", -1, 1, 1, 3), true, nil, []byte{0}))
	},
	"Auto": func(s *source) *Node {
		return must(Auto(BroadcastAdd, s.input("x", -1, 1, 2, 3), s.weight("b", -1, 1, 2, 1)))
	},

	"Sum":                         reduced(Sum),
	"Sum over one":                reduced(Sum, 1),
	"Sum over first":              reduced(Sum, 0),
	"Sum over last":               reduced(Sum, 2),
	"Sum over two":                reduced(Sum, 0, 2),
	"Sum over two, reversed":      reduced(Sum, 2, 1),
	"Max":                         reduced(Max),
	"Max over one":                reduced(Max, 1),
	"Max of negatives over last":  func(s *source) *Node { return must(Max(s.input("x", -2, -1, 2, 3), 1)) },
	"Max of negatives over first": func(s *source) *Node { return must(Max(s.input("x", -2, -1, 2, 3), 0)) },
	"Sum of images over two rows": func(s *source) *Node { return must(Sum(s.input("x", -1, 1, 4, 3, 2, 5), 2)) },
	"Max over last":               reduced(Max, 2),
	"Mean":                        reduced(Mean),
	"Mean over one":               reduced(Mean, 1),
	"Mean over two":               reduced(Mean, 1, 2),
	"Sum of a vector":             func(s *source) *Node { return must(Sum(s.input("x", -1, 1, 5))) },
	"Norm":                        func(s *source) *Node { return must(Norm(s.input("x", 0.1, 1, 2, 3), 1, 2)) },
	"Norm of power 3":             func(s *source) *Node { return must(Norm(s.input("x", 0.1, 1, 2, 3), 1, 3)) },
	"KeepDims": func(s *source) *Node {
		return must(KeepDims(s.input("x", -1, 1, 2, 3), false, func(x *Node) (*Node, error) { return Mean(x, 1) }))
	},
	"SizeOf": func(s *source) *Node {
		x := s.input("x", -1, 1, 2, 3)
		return must(HadamardProd(x, must(SizeOf(1, x))))
	},

	"SoftMax":                 func(s *source) *Node { return must(SoftMax(s.input("x", -1, 1, 2, 3))) },
	"SoftMax of a vector":     func(s *source) *Node { return must(SoftMax(s.input("x", -1, 1, 3))) },
	"SoftMax of a column":     func(s *source) *Node { return must(SoftMax(s.input("x", -1, 1, 3, 1))) },
	"SoftMax of a row":        func(s *source) *Node { return must(SoftMax(s.input("x", -1, 1, 1, 3))) },
	"SoftMax over first":      func(s *source) *Node { return must(SoftMax(s.input("x", -1, 1, 2, 3), 0)) },
	"SoftMax of 3":            func(s *source) *Node { return must(SoftMax(s.input("x", -1, 1, 2, 3, 4))) },
	"SoftMax over the middle": func(s *source) *Node { return must(SoftMax(s.input("x", -1, 1, 2, 3, 4), 1)) },
	"LogSoftMax":              func(s *source) *Node { return must(LogSoftMax(s.input("x", -1, 1, 2, 3))) },
	"LogSoftMax of 4":         func(s *source) *Node { return must(LogSoftMax(s.input("x", -1, 1, 2, 3, 4, 5), 3)) },

	"Reshape":        func(s *source) *Node { return must(Reshape(s.input("x", -1, 1, 2, 3, 4), tensor.Shape{4, -1})) },
	"Ravel":          func(s *source) *Node { return must(Ravel(s.input("x", -1, 1, 2, 3, 4))) },
	"Transpose":      func(s *source) *Node { return must(Transpose(s.input("x", -1, 1, 2, 3))) },
	"Transpose of 4": func(s *source) *Node { return must(Transpose(s.input("x", -1, 1, 2, 3, 4, 5), 0, 2, 1, 3)) },
	"Concat":         func(s *source) *Node { return must(Concat(1, s.input("x", -1, 1, 2, 3), s.weight("y", -1, 1, 2, 4))) },
	"Concat of first": func(s *source) *Node {
		return must(Concat(0, s.input("x", -1, 1, 2, 3), s.weight("y", -1, 1, 4, 3), s.weight("z", -1, 1, 1, 3)))
	},
	"Unconcat": func(s *source) *Node {
		parts := must(Unconcat(s.input("x", -1, 1, 2, 6), 1, 3))
		return must(Sub(parts[2], parts[0]))
	},
	"Slice":               func(s *source) *Node { return must(Slice(s.input("x", -1, 1, 5, 6), S(1, 4))) },
	"Slice of second":     func(s *source) *Node { return must(Slice(s.input("x", -1, 1, 5, 6), nil, S(2, 4))) },
	"Slice of one":        func(s *source) *Node { return must(Slice(s.input("x", -1, 1, 5, 6), S(2))) },
	"Slice of one column": func(s *source) *Node { return must(Slice(s.input("x", -1, 1, 5, 6), nil, S(2))) },
	"Slice of both":       func(s *source) *Node { return must(Slice(s.input("x", -1, 1, 5, 6), S(1, 3), S(2, 5))) },
	"Slice of 3":          func(s *source) *Node { return must(Slice(s.input("x", -1, 1, 3, 5, 6), nil, S(1), S(2, 5))) },
	"Slice in steps":      func(s *source) *Node { return must(Slice(s.input("x", -1, 1, 6, 3), S(0, 6, 2))) },
	"Slice to a scalar":   func(s *source) *Node { return must(Slice(s.input("x", -1, 1, 6), S(2))) },
	"ByIndices":           func(s *source) *Node { return must(ByIndices(s.weight("table", -1, 1, 7, 3), s.ids("ids", 7, 5), 0)) },
	"ByIndices of second": func(s *source) *Node { return must(ByIndices(s.weight("table", -1, 1, 4, 7), s.ids("ids", 7, 5), 1)) },
	"ConvType": func(s *source) *Node {
		return must(ConvType(must(ConvType(s.input("x", -5, 5, 2, 3), s.of, tensor.Int)), tensor.Int, s.of))
	},

	"Conv2d":            convolved([]int{2, 3, 5, 6}, []int{4, 3, 3, 2}, []int{0, 0}, []int{1, 1}, []int{1, 1}),
	"Conv2d with pads":  convolved([]int{2, 3, 5, 6}, []int{4, 3, 3, 3}, []int{1, 2}, []int{1, 1}, []int{1, 1}),
	"Conv2d in strides": convolved([]int{2, 3, 7, 8}, []int{4, 3, 3, 3}, []int{1, 1}, []int{2, 3}, []int{1, 1}),
	"Conv2d, dilated":   convolved([]int{1, 2, 9, 8}, []int{3, 2, 3, 3}, []int{1, 0}, []int{1, 2}, []int{2, 2}),
	"Conv2d, pointwise": convolved([]int{2, 3, 4, 4}, []int{5, 3, 1, 1}, []int{0, 0}, []int{1, 1}, []int{1, 1}),
	"Conv1d": func(s *source) *Node {
		return must(Conv1d(s.input("x", -1, 1, 2, 3, 1, 8), s.weight("w", -1, 1, 4, 3, 1, 3), 3, 1, 1, 1))
	},
	"Im2Col": func(s *source) *Node {
		return must(Im2Col(s.input("x", -1, 1, 2, 3, 5, 6), tensor.Shape{3, 2}, tensor.Shape{1, 0}, tensor.Shape{2, 1}, tensor.Shape{1, 1}))
	},
	"MaxPool2D":                 pooled(MaxPool2D, []int{0, 0}, 2, 2),
	"MaxPool2D with pads":       pooled(MaxPool2D, []int{1, 1}, 1, 2),
	"MaxPool2D with 4 pads":     pooled(MaxPool2D, []int{0, 1, 1, 0}, 2, 1),
	"MaxPool1D":                 func(s *source) *Node { return must(MaxPool1D(s.input("x", -1, 1, 2, 3, 1, 8), 2, 0, 2)) },
	"AveragePool2D":             pooled(AveragePool2D, []int{0, 0}, 2, 2),
	"AveragePool2D with pads":   pooled(AveragePool2D, []int{1, 1}, 1, 2),
	"AveragePool2D with 4 pads": pooled(AveragePool2D, []int{1, 0, 0, 1}, 2, 1),
	"GlobalAveragePool2D":       func(s *source) *Node { return must(GlobalAveragePool2D(s.input("x", -1, 1, 2, 3, 4, 5))) },
	"Upsample2D":                func(s *source) *Node { return must(Upsample2D(s.input("x", -1, 1, 2, 3, 4, 5), 3)) },

	"BatchNorm":             func(s *source) *Node { return batchNorm(s, s.input("x", -1, 1, 4, 3, 2, 2), 1, 3, 1, 1) },
	"BatchNorm of a matrix": func(s *source) *Node { return batchNorm(s, s.input("x", -1, 1, 4, 3), 1, 3) },
	"GroupNorm": func(s *source) *Node {
		return must(GroupNorm(s.input("x", -1, 1, 2, 4, 4, 4), s.weight("scale", 0, 1, 1, 4, 1, 1), s.weight("bias", 0, 1, 1, 4, 1, 1), 2, 4, 1e-5))
	},
	"Iop":          func(s *source) *Node { return must(ApplyOp(Iop{}, must(Tanh(s.input("x", -1, 1, 2, 3))))) },
	"BinaryXent":   func(s *source) *Node { return must(BinaryXent(s.input("x", 0.1, 0.9, 2, 3), s.input("y", 0, 1, 2, 3))) },
	"OneHotVector": func(s *source) *Node { return must(Mul(OneHotVector(2, 4, s.of), s.input("x", -1, 1, 4, 3))) },
}

func unary(f func(x *Node) (*Node, error), low, high float64) func(s *source) *Node {
	return func(s *source) *Node { return must(f(s.input("x", low, high, 2, 3, 4))) }
}

func binary(f func(x, y *Node) (*Node, error)) func(s *source) *Node {
	return func(s *source) *Node { return must(f(s.input("x", 0.5, 2, 2, 3), s.input("y", 0.5, 2, 2, 3))) }
}

// compared rounds its arguments, so that some are equal.
func compared(f func(x, y *Node, same bool) (*Node, error)) func(s *source) *Node {
	return func(s *source) *Node {
		return must(f(must(Ceil(s.input("x", 0, 3, 4, 5))), must(Ceil(s.input("y", 0, 3, 4, 5))), true))
	}
}

func reduced(f func(x *Node, along ...int) (*Node, error), along ...int) func(s *source) *Node {
	return func(s *source) *Node { return must(f(s.input("x", -1, 1, 2, 3, 4), along...)) }
}

func convolved(x, w, pads, strides, dilations []int) func(s *source) *Node {
	return func(s *source) *Node {
		return must(Conv2d(s.input("x", -1, 1, x...), s.weight("w", -1, 1, w...), tensor.Shape(w[2:]), pads, strides, dilations))
	}
}

func pooled(f func(x *Node, kernel tensor.Shape, pad, stride []int) (*Node, error), pads []int, strides ...int) func(s *source) *Node {
	return func(s *source) *Node {
		return must(f(s.input("x", -1, 1, 2, 3, 6, 5), tensor.Shape{3, 2}, pads, strides))
	}
}

func batchNorm(s *source, x *Node, perChannel ...int) *Node {
	y, _, _, op, err := BatchNorm(x, s.weight("scale", 0, 1, perChannel...), s.weight("bias", 0, 1, perChannel...), 0.9, 1e-5)
	if err != nil {
		panic(err)
	}
	if err := op.SetStats(s.dense(-1, 1, 3), s.dense(0.5, 2, 3)); err != nil {
		panic(err)
	}
	return y
}

func TestOperators(t *testing.T) {
	names := make([]string, 0, len(cases))
	for name := range cases {
		names = append(names, name)
	}
	slices.Sort(names)
	seen := map[string]bool{}
	for _, name := range names {
		for of, suffix := range map[tensor.Dtype]string{tensor.Float32: "float32", tensor.Float64: "float64"} {
			t.Run(name+"/"+suffix, func(t *testing.T) {
				s := newSource(of, 7)
				agrees(t, s, cases[name](s))
				for _, n := range s.g.AllNodes() {
					seen[strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", n.Op()), "*"), "gorgonia.")] = true
				}
			})
		}
	}
	for _, name := range exprgraph.Rows() {
		if !seen[name] {
			t.Errorf("no case has the operator %s", name)
		}
	}
}

// Gorgonia's tensors sum these to numbers that are not the sum, so they are refused.
// A version that does better fails this test.
func TestMisreduced(t *testing.T) {
	s := newSource(tensor.Float64, 1)
	x := s.input("x", 1, 2, 2, 3, 4, 5)
	y := must(Sum(x, 2, 3))
	_, err := exprgraph.Read(exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}})
	if err == nil || !strings.Contains(err.Error(), "dimension 2 of shape (2,3,4,5)") {
		t.Errorf("read: %v", err)
	}
	v := must(byGorgonia(s.g, Nodes{y}))
	got, _ := numbers(v[0])
	all, _ := numbers(x.Value())
	want := 0.0
	for _, e := range all[20:40] {
		want += e
	}
	if math.Abs(got[1]-want) < 1e-9 {
		t.Errorf("Gorgonia computes the sum %g rightly now: read it", want)
	}
}
