package export_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/flat"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// width is the width of the networks that are made flat.
const width = 16

// flatConfigs are networks in which every width that a head cuts is another.
func flatConfigs() map[string]nn.Network {
	configs := map[string]nn.Network{}
	for _, name := range []string{gpt2, simple} {
		for _, heads := range []int{1, 2, 4} {
			configs[fmt.Sprintf("%s H=%d", name, heads)] = sized(name, heads, width, 24)
		}
	}
	configs["simple without positions"] = arch.Simple{Vocab: vocab, Context: longest, Width: width, Heads: 2, Inner: 24}
	return configs
}

// oneHot returns the float32 rows (T,V) of ids.
func oneHot(ids []int64) format.Tensor {
	v := make([]float32, len(ids)*vocab)
	for t, id := range ids {
		v[t*vocab+int(id)] = 1
	}
	return format.FromFloat32s(flat.OneHotInput, []int{len(ids), vocab}, v)
}

// The flat graph computes what the plain one does. Both run in float64; what
// is left is that the plain one takes the constants of GELU and the norm's 1/C
// and ε as they are, the flat one as float32: 6e-8 relative, a few times over
// in each layer, on logits of size 10.
func TestFlatEqualsPlain(t *testing.T) {
	const bound = 1e-6
	for name, c := range flatConfigs() {
		t.Run(name, func(t *testing.T) {
			g, w := network(t, c)
			plain := oracle(t, g, w)
			for _, length := range []int{1, 5, longest} {
				matrices, made, err := flat.Write(g, w, length)
				if err != nil {
					t.Fatal(err)
				}
				ids := make([]int64, length)
				for i := range ids {
					ids[i] = int64((i*i*7 + 30) % vocab)
				}
				want := run(t, plain, map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{1, length}, ids)})["logits"]
				got := run(t, oracle(t, matrices, made), map[string]format.Tensor{flat.OneHotInput: oneHot(ids)})["logits"]
				x, err := want.Float64s()
				if err != nil {
					t.Fatal(err)
				}
				y, err := got.Float64s()
				if err != nil || len(x) != len(y) || !slices.Equal(got.Shape, []int{length, vocab}) {
					t.Fatalf("T=%d: logits %v: %v", length, got.Shape, err)
				}
				worst, size := 0.0, 0.0
				for i := range x {
					worst, size = max(worst, math.Abs(x[i]-y[i])), max(size, math.Abs(x[i]))
				}
				if !(worst <= bound) || size < 1 {
					t.Errorf("T=%d: off by %g on logits up to %g", length, worst, size)
				}
			}
		})
	}
}

// flatOps are the operators that stock onnx-go runs on matrices: TestFlatForms and
// the tests of runtime/onnxgo run them all.
var flatOps = []string{
	"MatMul", "Add", "Sub", "Mul", "Div", "Sqrt", "Tanh", "Exp", "Relu", "Identity", "Transpose", "Softmax", "Concat",
	"Sigmoid", "Neg", "Abs", "Log", "Sin", "Cos",
}

// The traps of onnx-go, each of which it falls into in silence or with an
// error far from the cause.
func TestFlatForm(t *testing.T) {
	for name, c := range flatConfigs() {
		t.Run(name, func(t *testing.T) {
			g, w := network(t, c)
			for _, length := range []int{1, width, longest} { // T = C is where a bias of one axis would go wrong
				if length > longest {
					continue
				}
				matrices, _, err := flat.Write(g, w, length)
				if err != nil {
					t.Fatal(err)
				}
				for v := range matrices.Values() {
					if _, fixed := v.Shape.Numbers(); !fixed || len(v.Shape) != 2 || v.DType != format.Float32 {
						t.Errorf("%s %s is %s%s, not a float32 matrix", v.Op().Name(), v.Name, v.DType, v.Shape)
					}
				}
				m, err := export.Model(g, w, export.Flat{Length: length})
				if err != nil {
					t.Fatal(err)
				}
				flatForm(t, m)
			}
		})
	}
}

func flatForm(t *testing.T, m *onnx.Model) {
	t.Helper()
	var outputs []string
	for _, o := range m.Graph.Outputs {
		outputs = append(outputs, o.Name)
	}
	for _, n := range m.Graph.Nodes {
		if !slices.Contains(flatOps, n.Op) {
			t.Errorf("%s is an operator that onnx-go lacks", n.Op)
		}
		for i, in := range n.Inputs {
			if slices.Contains(n.Inputs[:i], in) {
				t.Errorf("%s takes %s twice", n.Name, in)
			}
			if slices.Contains(outputs, in) {
				t.Errorf("%s reads the output %s", n.Name, in)
			}
		}
		for _, a := range n.Attributes {
			if (n.Op == "Softmax" || n.Op == "Concat") && a.Name == "axis" && a.Int != 1 {
				t.Errorf("%s %s runs over axis %d", n.Op, n.Name, a.Int)
			}
		}
		if n.Op == "Transpose" && len(n.Attributes) != 1 {
			t.Errorf("Transpose %s has no perm", n.Name)
		}
	}
	for _, x := range m.Graph.Initializers {
		if x.DataType != onnx.Float || len(x.Dims) != 2 {
			t.Errorf("initializer %s is %s%v", x.Name, x.DataType, x.Dims)
		}
	}
	if len(m.Graph.Inputs) != 1 || m.Graph.Inputs[0].Name != flat.OneHotInput {
		t.Errorf("inputs %v", m.Graph.Inputs)
	}
}

// What has no flat form is refused: features of more than two dimensions, a text
// of any length, tokens that are mixed, and what a mask chooses from, with the
// place.
func TestFlatRefuses(t *testing.T) {
	for want, forward := range map[string]func(b *nn.Builder){
		"profile flat takes a network that reads tokens or features (B,F): take the profile plain": func(b *nn.Builder) { b.Prediction(b.Tanh(b.Features(4, 3))) },
		"export: flat: chosen (Where)": func(b *nn.Builder) {
			x := b.Embedding("e", b.Tokens(3), 5, 4, graph.Normal(1))
			b.Logits(b.Name("chosen", b.Where(b.Reshape(b.Mask(), nn.B, nn.T, graph.N(1)), x, b.Scalar(0))))
		},
		"export: flat: yes (Cast)": func(b *nn.Builder) {
			x := b.Features(4)
			b.Prediction(b.Where(b.Name("yes", b.Cast(x, format.Bool)), b.Scalar(1), b.Scalar(0)))
		},
		"needs the length of the sequence": func(b *nn.Builder) { b.Logits(b.Embedding("e", b.Tokens(0), 5, 4, graph.Normal(1))) },
		"export: flat: sum (ReduceSum)": func(b *nn.Builder) {
			b.Logits(b.Name("sum", b.ReduceSum(b.Embedding("e", b.Tokens(3), 5, 4, graph.Normal(1)), true, 1)))
		},
	} {
		c, err := model.New(made(forward), 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := export.Model(c.Graph, c.Weights, export.Flat{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
}

// scored returns the network that looks up a row of 16 numbers for each token,
// (B,T,16), makes something of them with f, and scores every token.
func scored(t *testing.T, f func(b *nn.Builder, x *graph.Value) *graph.Value) (*graph.Graph, model.Weights) {
	t.Helper()
	return network(t, made(func(b *nn.Builder) {
		y := f(b, b.Embedding("table", b.Tokens(longest), vocab, 16, graph.Normal(0.5)))
		b.Logits(b.Project("head", y, 16, vocab, graph.Normal(0.5)))
	}))
}

// made is a network that a function writes.
type made func(b *nn.Builder)

func (made) Architecture() string         { return "somebody/made" }
func (f made) Forward(b *nn.Builder)      { f(b) }
func (made) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

// What other networks than ours do with the tokens' numbers has a flat form too:
// columns are cut and put together anew however they were made.
func TestFlatForms(t *testing.T) {
	type form = func(b *nn.Builder, x *graph.Value) *graph.Value
	unary := func(f graph.Unary) form {
		return func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Apply(f, 1, x)[0] }
	}
	positive := func(f graph.Unary) form {
		return func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Apply(f, 1, b.Exp(x))[0] }
	}
	four := graph.N(4)
	forms := map[string]form{
		"Sigmoid": unary(graph.Sigmoid), "Neg": unary(graph.Neg), "Abs": unary(graph.Abs), "Sin": unary(graph.Sin), "Cos": unary(graph.Cos),
		"Exp": unary(graph.Exp), "Tanh": unary(graph.Tanh), "Relu": unary(graph.Relu), "Identity": unary(graph.Identity),
		"Log": positive(graph.Log), "Sqrt": positive(graph.Sqrt),
		"a scalar on the left": func(b *nn.Builder, x *graph.Value) *graph.Value {
			return b.Sub(b.Scalar(1), b.Div(b.Scalar(2), b.Exp(x)))
		},
		"parts of what is no product": func(b *nn.Builder, x *graph.Value) *graph.Value {
			p := b.Split(b.Tanh(x), -1, 4, 8, 4)
			return b.Concat(-1, p[1], p[0], p[2])
		},
		"a slice of columns": func(b *nn.Builder, x *graph.Value) *graph.Value {
			y := b.Slice(x, 2, graph.N(3), graph.N(11))
			return b.Concat(2, y, b.Neg(y))
		},
		"the same twice": func(b *nn.Builder, x *graph.Value) *graph.Value {
			y := b.Slice(x, 2, graph.N(0), graph.N(8))
			return b.Concat(2, y, y)
		},
		"norms of heads": func(b *nn.Builder, x *graph.Value) *graph.Value {
			y := b.Reshape(x, nn.B, nn.T, four, four)
			return b.Reshape(b.RMSNorm("norm", y, 4, 1e-5), nn.B, nn.T, graph.N(16))
		},
		"sums of heads": func(b *nn.Builder, x *graph.Value) *graph.Value {
			y := b.Reshape(x, nn.B, nn.T, four, four)
			return b.Reshape(b.Mul(y, b.ReduceSum(y, true, -1)), nn.B, nn.T, graph.N(16))
		},
		"a row for every head": func(b *nn.Builder, x *graph.Value) *graph.Value {
			y := b.Mul(b.Reshape(x, nn.B, nn.T, four, four), b.Param("scale", graph.Constant(1), 4))
			y = b.Add(y, b.Param("shift", graph.Normal(1), 4, 1))
			return b.Reshape(y, nn.B, nn.T, graph.N(16))
		},
		"a row for every head, apart": func(b *nn.Builder, x *graph.Value) *graph.Value {
			y := b.Transpose(b.Reshape(x, nn.B, nn.T, four, four), 0, 2, 1, 3)
			y = b.Mul(y, b.Param("scale", graph.Normal(1), 4, 1, 4))
			return b.Reshape(b.Transpose(y, 0, 2, 1, 3), nn.B, nn.T, graph.N(16))
		},
		"columns in another order": func(b *nn.Builder, x *graph.Value) *graph.Value {
			y := b.Transpose(b.Reshape(b.Tanh(x), nn.B, nn.T, graph.N(2), graph.N(8)), 0, 1, 3, 2)
			return b.Reshape(y, nn.B, nn.T, graph.N(16))
		},
		"queries, keys and values by a first axis": func(b *nn.Builder, x *graph.Value) *graph.Value {
			y := b.Reshape(b.Linear("qkv", x, 16, 48, graph.Normal(0.3)), nn.B, nn.T, graph.N(3), graph.N(2), graph.N(8))
			y = b.Transpose(y, 2, 0, 3, 1, 4) // (3,B,H,T,D)
			var p [3]*graph.Value
			for i := range p {
				p[i] = b.Reshape(b.Slice(y, 0, graph.N(i), graph.N(i+1)), nn.B, graph.N(2), nn.T, graph.N(8))
			}
			a := b.Builder.Attention(graph.Attention{Scale: 0.3, Causal: true}, p[0], p[1], p[2], nil)
			return b.Reshape(b.Transpose(a, 0, 2, 1, 3), nn.B, nn.T, graph.N(16))
		},
		"a matrix of all tokens": func(b *nn.Builder, x *graph.Value) *graph.Value {
			rows := b.Reshape(x, nn.B.Mul(nn.T), graph.N(16))
			return b.Reshape(b.Linear("rows", rows, 16, 16, graph.Normal(0.3)), nn.B, nn.T, graph.N(16))
		},
		"a table of positions, not from the first on": func(b *nn.Builder, x *graph.Value) *graph.Value {
			table := b.Param("places", graph.Normal(1), longest+2, 16)
			return b.Add(x, b.Slice(table, 0, graph.N(2), nn.T.Add(graph.N(2))))
		},
	}
	for name, f := range forms {
		t.Run(name, func(t *testing.T) {
			g, w := scored(t, f)
			for _, length := range []int{1, 5} {
				flatAgrees(t, g, w, length)
			}
		})
	}
}

// What mixes tokens other than by a product has none.
func TestFlatRefusesTokens(t *testing.T) {
	for name, f := range map[string]func(b *nn.Builder, x *graph.Value) *graph.Value{
		"Softmax": func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Softmax(x, 1) },
		"Slice": func(b *nn.Builder, x *graph.Value) *graph.Value { // of no columns
			return b.Concat(2, b.Slice(x, 2, graph.N(3), graph.N(3)), x)
		},
		"ReduceMean": func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Sub(x, b.ReduceMean(x, true, 1)) },
		"ArgMax": func(b *nn.Builder, x *graph.Value) *graph.Value {
			return b.Add(x, b.Cast(b.Apply(graph.ArgMax{Axis: 2, KeepDims: true}, 1, x)[0], format.Float32))
		},
	} {
		g, w := scored(t, f)
		_, err := export.Model(g, w, export.Flat{Length: 5})
		if err == nil || !strings.Contains(err.Error(), "export: flat: ") || !strings.Contains(err.Error(), "("+name+")") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
