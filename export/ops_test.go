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
	letterB, letterT = graph.Sym("B"), graph.Sym("T")
	four             = graph.N(4)
)

// one builds a graph around each operator: x float (B,T,4), y of the same
// shape, ids int64 (B,T).
var one = map[string]func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value{
	"Gather": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Gather(b.Const(format.FromFloat32s("table", []int{2, 4}, make([]float32, 8))), ids)
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
		column := b.Reshape(ids, letterB, letterT, graph.N(1))
		return b.ScatterElements(x, column, b.ReduceSum(y, true, 2), -1)
	},
	"Add":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Add(x, y) },
	"Sub":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Sub(x, y) },
	"Mul":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Mul(x, y) },
	"Div":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Div(x, y) },
	"Sigmoid":    applied(graph.Sigmoid),
	"Erf":        applied(graph.Erf),
	"Sin":        applied(graph.Sin),
	"Cos":        applied(graph.Cos),
	"Abs":        applied(graph.Abs),
	"Sign":       applied(graph.Sign),
	"Floor":      applied(graph.Floor),
	"Ceil":       applied(graph.Ceil),
	"Round":      applied(graph.Round),
	"Reciprocal": applied(graph.Reciprocal),
	"Softplus":   applied(graph.Softplus),
	"Pow":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Apply(graph.Pow, 1, x, y)[0] },
	"Max":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Apply(graph.Max, 1, x, y)[0] },
	"Min":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Apply(graph.Min, 1, x, y)[0] },
	"Less": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.Less, 1, b.Sub(x, y), y)[0]
	},
	"LessOrEqual": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.LessOrEqual, 1, b.Sub(x, y), y)[0]
	},
	"Greater": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.Greater, 1, b.Sub(x, y), y)[0]
	},
	"GreaterOrEqual": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.GreaterOrEqual, 1, b.Sub(x, y), y)[0]
	},
	"And": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.And, 1, b.Less(x, y), b.Less(y, b.Scalar(1)))[0]
	},
	"Or": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.Or, 1, b.Less(x, y), b.Less(y, b.Scalar(1)))[0]
	},
	"Xor": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.Xor, 1, b.Less(x, y), b.Less(y, b.Scalar(1)))[0]
	},
	"Not":       func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Not(b.Less(x, y)) },
	"ReduceMax": applied(graph.Reduce{Kind: graph.ReduceMax, Axes: []int{0, 2}}),
	"ReduceMin": applied(graph.Reduce{Kind: graph.ReduceMin, Axes: []int{1}, KeepDims: true}),
	"ArgMax":    applied(graph.ArgMax{Axis: 2}),
	"CumSum":    applied(graph.CumSum{Axis: 1, Exclusive: true}),
	"Expand": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Apply(graph.Expand{Shape: graph.Shape{letterB, letterT, four}}, 1, b.ReduceSum(x, true, 1))[0]
	},
	"Positions": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Positions(ids) },
	"Swish":     applied(graph.Swish{Alpha: 1.75}),
	"RMSNormalization": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.RMSNormalization(x, b.Const(format.FromFloat32s("row", []int{4}, []float32{1, 2, 3, 4})), 1e-5)
	},
	"RotaryEmbedding": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		q := b.Transpose(b.Reshape(x, letterB, letterT, graph.N(1), four), 0, 2, 1, 3)
		return b.RotaryEmbedding(graph.RotaryEmbedding{Scale: 1}, q, ids, b.Const(format.FromFloat32s("angles", []int{2}, []float32{1, 0.25})))
	},
	"Neg":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Neg(x) },
	"Exp":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Exp(x) },
	"Log":        func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Log(x) },
	"Sqrt":       func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Sqrt(x) },
	"Tanh":       func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Tanh(x) },
	"Relu":       func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Relu(x) },
	"Softmax":    func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Softmax(x, 1) },
	"LogSoftmax": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.LogSoftmax(x, -1) },
	"ReduceSum":  func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.ReduceSum(x, false, 0, 2) },
	"ReduceMean": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.ReduceMean(x, true, -1) },
	"Reshape": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Reshape(x, letterB, letterT, graph.N(2), graph.N(2))
	},
	"Transpose": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Transpose(x, 2, 0, 1) },
	"Concat":    func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Concat(2, x, y, x) },
	"Split":     func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Split(x, -1, 1, 3)[1] },
	"Slice": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Slice(x, 2, graph.N(1), graph.N(3))
	},
	"Identity": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Identity(x) },
	"Cast":     func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Cast(ids, format.Float32) },
	"Equal":    func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Equal(ids, ids) },
	"Where": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.Where(b.Equal(ids, ids), ids, ids)
	},
	"GatherElements": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.GatherElements(x, b.Reshape(ids, letterB, letterT, graph.N(1)), -1)
	},
	"LayerNormalization": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		row := b.Const(format.FromFloat32s("row", []int{4}, []float32{1, 2, 3, 4}))
		return b.LayerNormalization(x, row, row, 1e-5)
	},
	"Gelu": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Gelu(x) },
	"Attention": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		q := b.Reshape(x, letterB, letterT, graph.N(1), four)
		q = b.Transpose(q, 0, 2, 1, 3)
		m := b.Const(format.FromFloat32s("table", []int{9, 9}, make([]float32, 81)))
		mask := b.Slice(b.Slice(m, 0, graph.N(0), letterT), 1, graph.N(0), letterT)
		return b.Attention(graph.Attention{Scale: 0.5}, q, q, q, mask)
	},
	"SoftmaxCrossEntropyLoss": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.SoftmaxCrossEntropyLoss(b.Transpose(x, 0, 2, 1), ids, -100)
	},
	// The operators that make tensors from sizes.
	"Range": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Range(graph.N(0), letterT) },
	"ConstantOfShape": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
		return b.ConstantOfShape(-2.5, letterT, four)
	},
	"Trilu": func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.TriluUpper(x, graph.N(1)) },
}

// applied is an operator of x alone.
func applied(op graph.Op) func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
	return func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value { return b.Apply(op, 1, x)[0] }
}

// lowered are the operators that have no node of their own in any opset that
// is written.
var lowered = map[string]bool{"Gelu": true, "Swish": true, "RMSNormalization": true, "RotaryEmbedding": true, "Positions": true, "Attention": true, "SoftmaxCrossEntropyLoss": true}

// build makes a graph around one operator.
func build(t *testing.T, f func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder()
	x, y := b.Input("x", format.Float32, letterB, letterT, four), b.Input("y", format.Float32, letterB, letterT, four)
	ids := b.Input("ids", format.Int64, letterB, letterT)
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
	data, err := export.Bytes(g, nil, export.Options{Profile: export.Plain, Opset: opset})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.OpenBytes(data, ort.Options{Library: library(t)})
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
			m, err := export.Model(g, nil, export.Options{Profile: export.Plain})
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
	type build3 = func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value
	for _, c := range []struct {
		name string
		f    build3
		want string // a line of the printed model
	}{
		{"reshape keeps open axes by 0", one["Reshape"], "out = Reshape(x, int64.0.0.2.2)"},
		{"reshape moves one open axis", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(x, letterB, graph.N(2), letterT, graph.N(2))
		}, "out = Reshape(x, int64.0.2.-1.2)"},
		{"reshape to a rank beyond the argument's", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(ids, letterB, graph.N(1), graph.N(1), letterT)
		}, "out = Reshape(ids, int64.0.1.1.-1)"},
		{"split, results out of order, one unused, one twice", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			p := b.Split(x, 2, 1, 1, 1, 1)
			q := b.Split(x, 2, 1, 1, 1, 1)
			return b.Concat(2, p[3], p[0], q[3], p[1])
		}, "Concat(split_4, split_1, split_4, split_2)"},
		{"split of other sizes", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Concat(2, b.Split(x, 2, 1, 3)[1], b.Split(x, 2, 3, 1)[0], b.Split(y, 2, 3, 1)[1])
		}, "Split(y, int64.3.1) axis=2"},
		{"slice up to an open size", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			m := b.Const(format.FromFloat32s("table", []int{9, 2}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}))
			return b.Slice(m, 0, graph.N(0), letterT)
		}, "out = Slice(table, int64.0, size.sequence_length, int64.0)"},
		{"slice from an open size", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			m := b.Const(format.FromFloat32s("table", []int{9}, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}))
			return b.Slice(m, 0, letterB, letterT.Add(letterB))
		}, "out = Slice(table, size.batch_size, size.batch_size + sequence_length, int64.0)"},
		{"matrix of all tokens", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(x, letterB.Mul(letterT), four)
		}, "out = Reshape(x, int64.-1.4)"},
		{"a product of sizes", func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.ConstantOfShape(0.5, letterB.Mul(letterT).Add(letterB).Add(graph.N(2)))
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
			m, err := export.Model(g, nil, export.Options{Profile: export.Plain})
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), "is the size of no input's dimension") {
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
		f    func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value
		want string
	}{
		"two axes move": {func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(x, letterT, letterB, four)
		}, "more than one open axis moves"},
		"an empty axis": {func(b *graph.Builder, x, y, ids *graph.Value) *graph.Value {
			return b.Reshape(b.Slice(x, 2, graph.N(1), graph.N(1)), letterB, letterT, graph.N(0), graph.N(1))
		}, "empty axis"},
	} {
		_, err := export.Model(build(t, c.f), nil, export.Options{Profile: export.Plain})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Reshape") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
