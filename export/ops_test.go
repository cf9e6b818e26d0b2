package export_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ort"
)

var (
	dimB, dimT = graph.Sym("B"), graph.Sym("T")
	four       = graph.N(4)
)

// around makes a graph around one operator: x and y are float (B,T,4), ids int64
// (B,T).
type around = func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value

// signed applies a function of one argument to x - 0.7, which has both signs.
func signed(f graph.Unary) around {
	return func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(f, 1, b.Sub(x, b.Scalar(0.7)))[0]
	}
}

// positive applies a function of one argument to x.
func positive(f graph.Unary) around {
	return func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Apply(f, 1, x)[0] }
}

// both applies a function of two arguments to x and y.
func both(f graph.Binary) around {
	return func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Apply(f, 1, x, y)[0] }
}

// truths applies a function of truth values.
func truths(f graph.Binary) around {
	return func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(f, 1, b.Less(x, y), b.Equal(x, b.Scalar(0.25)))[0]
	}
}

// heads returns x (B,T,4) as (B,n,T,4/n).
func heads(b *graph.Builder, x *graph.Value, n int) *graph.Value {
	return b.Transpose(b.Reshape(x, dimB, dimT, graph.N(n), graph.N(4/n)), 0, 2, 1, 3)
}

// recurrent applies a recurrent operator of four units to x (B,T,4). With peepholes its
// texts end after their first token.
func recurrent(b *graph.Builder, op graph.Op, x *graph.Value, gates int, more ...*graph.Value) *graph.Value {
	w := make([]float32, gates*4*4)
	for i := range w {
		w[i] = float32(i%7-3) / 8
	}
	weights := b.Const(format.FromFloat32s("w", []int{gates * 4, 4}, w))
	lengths := b.Unending(dimB)
	if len(more) > 1 {
		lengths = b.Expand(b.Const(format.FromInt64s("one", []int{}, []int64{1})), dimB)
	}
	args := append([]*graph.Value{b.Transpose(x, 1, 0, 2), weights, weights, b.Const(format.FromFloat32s("bias", []int{8 * gates}, w[:8*gates])), lengths}, more...)
	return b.Transpose(b.Apply(op, 0, args...)[0], 1, 0, 2)
}

func row(b *graph.Builder, v ...float32) *graph.Value {
	return b.Const(format.FromFloat32s("row", []int{len(v)}, v))
}

// one builds a graph around each operator, by its name.
var one = map[string]around{
	"Gather": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Gather(b.Const(format.FromFloat32s("table", []int{2, 4}, []float32{1, 2, 3, 4, 5, 6, 7, 8})), ids)
	},
	"MatMul": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.MatMul(x, b.Transpose(y, 0, 2, 1))
	},
	"Gemm": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		w := b.Const(format.FromFloat32s("w", []int{4, 4}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}))
		return b.Add(x, b.ReduceSum(b.Gemm(w, w, b.Scalar(3), true, false), true, 0, 1))
	},
	"OneHot": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.OneHot(ids, 4) },
	"ScatterElements": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		column := b.Reshape(ids, dimB, dimT, graph.N(1))
		return b.ScatterElements(x, column, b.ReduceSum(y, true, 2), -1)
	},
	"Add": both(graph.Add), "Sub": both(graph.Sub), "Mul": both(graph.Mul), "Div": both(graph.Div), "Pow": both(graph.Pow),
	"Max": both(graph.Max), "Min": both(graph.Min), "Less": both(graph.Less), "LessOrEqual": both(graph.LessOrEqual),
	"Greater": both(graph.Greater), "GreaterOrEqual": both(graph.GreaterOrEqual),
	"Equal": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Equal(ids, ids) },
	"And":   truths(graph.And), "Or": truths(graph.Or), "Xor": truths(graph.Xor),
	"Not": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Not(b.Less(x, y)) },
	"Neg": signed(graph.Neg), "Exp": signed(graph.Exp), "Log": positive(graph.Log), "Sqrt": positive(graph.Sqrt),
	"Tanh": signed(graph.Tanh), "Relu": signed(graph.Relu), "Sigmoid": signed(graph.Sigmoid), "Erf": signed(graph.Erf),
	"Sin": signed(graph.Sin), "Cos": signed(graph.Cos), "Abs": signed(graph.Abs), "Sign": signed(graph.Sign),
	"Floor": signed(graph.Floor), "Ceil": signed(graph.Ceil), "Round": signed(graph.Round), "Reciprocal": signed(graph.Reciprocal),
	"Softplus": signed(graph.Softplus), "Identity": positive(graph.Identity),
	"Softmax":    func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Softmax(x, 1) },
	"LogSoftmax": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.LogSoftmax(x, -1) },
	"ReduceSum":  func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.ReduceSum(x, false, 0, 2) },
	"ReduceMean": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.ReduceMean(x, true, -1) },
	"ReduceMax":  func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.ReduceMax(x, true, 1) },
	"ReduceMin": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.Reduce{Kind: graph.ReduceMin, Axes: []int{0, 2}}, 1, x)[0]
	},
	"ArgMax": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.ArgMax{Axis: 2, KeepDims: true}, 1, x)[0]
	},
	"CumSum": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.CumSum{Axis: 1, Exclusive: true, Reverse: true}, 1, x)[0]
	},
	"Reshape": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Reshape(x, dimB, dimT, graph.N(2), graph.N(2))
	},
	"Transpose": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Transpose(x, 2, 0, 1) },
	"Concat":    func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Concat(2, x, y, x) },
	"Split":     func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Split(x, -1, 1, 3)[1] },
	"Slice": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Slice(x, 2, graph.N(1), graph.N(3))
	},
	"Expand": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Expand(b.ReduceSum(x, true, 1), dimB, dimT, four)
	},
	"Cast": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Cast(ids, format.Float32) },
	"Where": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Where(b.Less(x, y), x, b.Neg(y))
	},
	"GatherElements": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.GatherElements(x, b.Reshape(ids, dimB, dimT, graph.N(1)), -1)
	},
	"LayerNormalization": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		w := row(b, 1, 2, 3, 4)
		return b.LayerNormalization(x, w, w, 1e-5)
	},
	"RMSNormalization": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.RMSNormalization(b.Sub(x, y), row(b, 1, 2, 3, 4), 1e-5)
	},
	"Gelu": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Gelu(b.Sub(x, y)) },
	"Swish": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.Swish{Alpha: 1.5}, 1, b.Sub(x, y))[0]
	},
	"GRU": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return recurrent(b, graph.GRU{Activations: "Sigmoid Tanh", LinearBeforeReset: true}, x, 3, b.Expand(b.Scalar(0), dimB, four))
	},
	"LSTM": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { // from states, with peepholes, texts of one token
		state := b.Expand(b.Scalar(0.25), dimB, four)
		return recurrent(b, graph.LSTM{Activations: "Sigmoid Tanh Tanh", Reverse: true}, x, 4, state, state, row(b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
	},
	"Attention": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		q := heads(b, x, 1)
		m := b.Const(format.FromFloat32s("table", []int{9, 9}, make([]float32, 81)))
		mask := b.Slice(b.Slice(m, 0, graph.N(0), dimT), 1, graph.N(0), dimT)
		return b.Attention(graph.Attention{Scale: 0.5}, q, q, q, mask)
	},
	"RelativePositionBias": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.RelativePositionBias(graph.RelativePositionBias{Queries: graph.Sym("T"), Keys: graph.Sym("T"), MaxDistance: 5}, b.Const(format.FromFloat32s("", []int{4, 2}, []float32{1, 2, 3, 4, 5, 6, 7, 8})))
	},
	"RotaryEmbedding": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.RotaryEmbedding(graph.RotaryEmbedding{Scale: 1}, heads(b, x, 1), ids, row(b, 1, 0.1))
	},
	"SoftmaxCrossEntropyLoss": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(b.Transpose(x, 0, 2, 1), ids, -100)
	},
	// The operators that make tensors from sizes.
	"Range":     func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Range(graph.N(0), dimT) },
	"Positions": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Positions(ids) },
	"ConstantOfShape": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.ConstantOfShape(-2.5, dimT, four)
	},
	"Trilu": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.TriluUpper(x, graph.N(1)) },
}

// lowered are the operators that have no node of their own in any opset that
// is written.
var lowered = map[string]bool{
	"Gelu": true, "Swish": true, "Attention": true, "RotaryEmbedding": true, "RelativePositionBias": true, "RMSNormalization": true,
	"SoftmaxCrossEntropyLoss": true, "Positions": true,
}

// build makes a graph around one operator.
func build(t *testing.T, f around) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder()
	x, y := b.Input("x", format.Float32, dimB, dimT, four), b.Input("y", format.Float32, dimB, dimT, four)
	ids := b.Input("ids", format.Int64, dimB, dimT)
	b.Output("out", f(b, x, y, ids))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// agree runs g in ONNX Runtime, in two sizes, and compares it with the oracle.
func agree(t *testing.T, g *graph.Graph, opset int) {
	t.Helper()
	data, err := export.Bytes(g, nil, export.Plain{Opset: opset})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.OpenBytes(data, ort.Options{Library: onnxRuntime(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, size := range [][2]int{{2, 3}, {1, 1}} {
		n := size[0] * size[1]
		v := make([]float32, 8*n)
		ids := make([]int64, n)
		for i := range v {
			v[i] = 0.25 + float32(i*i%11)/8 // positive: Log and Sqrt are among the operators
		}
		for i := range ids {
			ids[i] = int64(i % 2)
		}
		shape := []int{size[0], size[1], 4}
		in := map[string]format.Tensor{
			"x": format.FromFloat32s("x", shape, v[:4*n]), "y": format.FromFloat32s("y", shape, v[4*n:]), "ids": format.FromInt64s("ids", shape[:2], ids),
		}
		want, got := run(t, oracle(t, g, nil), in), run(t, s, in)
		for name := range want {
			within(t, fmt.Sprintf("%s, B and T %v", name, size), want[name], got[name])
		}
	}
}

// Every operator is a leaf, has a node, or is written with others; and what is
// written means the same, in the first opset and the last.
func TestEveryOperator(t *testing.T) {
	for _, op := range graph.Operators() {
		switch op.(type) {
		case graph.Input, graph.Param, graph.Const:
			continue
		}
		name := op.Name()
		t.Run(name, func(t *testing.T) {
			f := one[name]
			if f == nil {
				t.Fatalf("%s is forgotten here: give it a graph", name)
			}
			g := build(t, f)
			m, err := export.Model(g, nil, export.Plain{})
			if err != nil {
				t.Fatalf("%s is forgotten in ops.go: %v", name, err)
			}
			found := false
			for _, n := range m.Graph.Nodes {
				found = found || n.Op == name
			}
			if found == lowered[name] {
				t.Errorf("%s has a node: %v, and is said to be written with others: %v", name, found, lowered[name])
			}
			for _, opset := range []int{17, 21} {
				agree(t, g, opset)
			}
		})
	}
}

// What the nodes of a graph look like in a file, and that they mean the same.
func TestSpecialForms(t *testing.T) {
	for _, c := range []struct {
		name string
		f    around
		want string // a line of the printed model
	}{
		{"reshape keeps open axes by 0", one["Reshape"], "out = Reshape(x, int64.0.0.2.2)"},
		{"reshape moves one open axis", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(x, dimB, graph.N(2), dimT, graph.N(2))
		}, "out = Reshape(x, int64.0.2.-1.2)"},
		{"reshape to a rank beyond the argument's", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(ids, dimB, graph.N(1), graph.N(1), dimT)
		}, "out = Reshape(ids, int64.0.1.1.-1)"},
		{"reshape moves two open axes", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(x, dimT, dimB, four)
		}, `out = Reshape(x, "shape.(T,B,4)")`},
		{"reshape of a matrix of all tokens", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			rows := b.Name("rows", b.Reshape(x, dimB.Mul(dimT), four))
			return b.Reshape(b.Exp(rows), dimB, dimT, four)
		}, `out = Reshape(exp_1, "shape.(B,T,4)")`},
		{"reshape puts in dimensions of size 1", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(x, graph.N(1), dimB, graph.N(1), dimT, four)
		}, "out = Unsqueeze(x, int64.0.2)"},
		{"reshape takes out dimensions of size 1", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(b.Softmax(b.Reshape(x, graph.N(1), dimB, graph.N(1), dimT, four), 3), dimB, dimT, four)
		}, "out = Squeeze(softmax_1, int64.0.2)"},
		{"split, results out of order, one unused, one twice", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			p := b.Split(x, 2, 1, 1, 1, 1)
			q := b.Split(x, 2, 1, 1, 1, 1)
			return b.Concat(2, p[3], p[0], q[3], p[1])
		}, "split_1, split_2, split_3, split_4 = Split(x, int64.1.1.1.1) axis=2"},
		{"split of other sizes", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Concat(2, b.Split(x, 2, 1, 3)[1], b.Split(x, 2, 3, 1)[0], b.Split(y, 2, 3, 1)[1])
		}, "Split(y, int64.3.1) axis=2"},
		{"slice up to an open size", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			m := b.Const(format.FromFloat32s("table", []int{9, 2}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}))
			return b.Slice(m, 0, graph.N(0), dimT)
		}, "out = Slice(table, int64.0, size.sequence_length, int64.0)"},
		{"slice from an open size", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			m := b.Const(format.FromFloat32s("table", []int{9}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}))
			return b.Slice(m, 0, dimB, dimT.Add(dimB))
		}, "out = Slice(table, size.batch_size, size.batch_size + sequence_length, int64.0)"},
		{"a sum that broadcasts", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Add(b.Reshape(x, dimB, graph.N(1), dimT, four), b.Slice(y, 0, graph.N(0), graph.N(1)))
		}, "out = Add(reshape_1, slice_1)"},
		{"matrix of all tokens", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(x, dimB.Mul(dimT), four)
		}, "out = Reshape(x, int64.-1.4)"},
		{"a product of sizes", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.ConstantOfShape(0.5, dimB.Mul(dimT).Add(dimB).Add(graph.N(2)))
		}, "Mul(size.batch_size, size.sequence_length)"},
		{"slice from the size of no input", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Slice(b.Const(format.FromFloat32s("table", []int{1}, []float32{1})), 0, graph.N(0), graph.Sym("Z"))
		}, ""},
		{"an output that is an input", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return x }, "out = Identity(x)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := build(t, func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
				v := c.f(b, x, y, ids)
				if v.Leaf() {
					return v
				}
				return b.Name("out", v)
			})
			m, err := export.Model(g, nil, export.Plain{})
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), "is not the size of any input's dimension") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if err := onnx.Print(&text, m); err != nil || !strings.Contains(text.String(), c.want) {
				t.Errorf("%q is not in\n%s", c.want, &text)
			}
			agree(t, g, 0)
		})
	}
}

func TestReshapeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		f    around
		want string
	}{
		"an empty axis": {func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(b.Slice(x, 2, graph.N(1), graph.N(1)), dimB, dimT, graph.N(0), graph.N(1))
		}, "empty axis"},
	} {
		_, err := export.Model(build(t, c.f), nil, export.Plain{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Reshape") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
