package export_test

import (
	"fmt"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
)

// primitives are normalizations and other parts of networks that are written
// from operators of one step each. What they read is up to some thousands: its
// squares and its sums are beyond float16.
var primitives = map[string]func(b *nn.Builder, x, scale, bias *graph.Value) *graph.Value{
	"layer norm": func(b *nn.Builder, x, scale, bias *graph.Value) *graph.Value {
		d := b.Sub(x, b.ReduceMean(x, true, -1))
		variance := b.ReduceMean(b.Mul(d, d), true, -1)
		return b.Add(b.Mul(b.Div(d, b.Sqrt(b.Add(variance, b.Scalar(1e-5)))), scale), bias)
	},
	"layer norm of moments": func(b *nn.Builder, x, scale, bias *graph.Value) *graph.Value {
		mean := b.ReduceMean(x, true, -1)
		variance := b.Sub(b.ReduceMean(b.Mul(x, x), true, -1), b.Mul(mean, mean))
		inverse := b.Reciprocal(b.Sqrt(b.Add(variance, b.Scalar(1e-5))))
		return b.Add(b.Mul(b.Mul(b.Sub(x, mean), inverse), scale), bias)
	},
	"RMS norm by a power": func(b *nn.Builder, x, scale, _ *graph.Value) *graph.Value {
		square := b.ReduceMean(b.Pow(x, b.Scalar(2)), true, -1)
		return b.Mul(scale, b.Mul(x, b.Pow(b.Add(square, b.Scalar(1e-5)), b.Scalar(-0.5))))
	},
	"RMS norm of a sum": func(b *nn.Builder, x, scale, _ *graph.Value) *graph.Value {
		sum := b.ReduceSum(b.Mul(x, x), false, -1) // (B,T)
		mean := b.Reshape(b.Mul(sum, b.Scalar(1./16)), graph.Sym("B"), graph.Sym("T"), graph.N(1))
		return b.Mul(b.Div(x, b.Sqrt(mean)), scale)
	},
	"length": func(b *nn.Builder, x, scale, _ *graph.Value) *graph.Value {
		length := b.Max(b.Sqrt(b.ReduceSum(b.Mul(x, x), true, -1)), b.Scalar(1e-6))
		return b.Mul(b.Div(x, length), b.Mul(scale, b.Scalar(4)))
	},
	"norm of groups": func(b *nn.Builder, x, scale, bias *graph.Value) *graph.Value {
		groups := b.Transpose(b.Reshape(b.Mul(x, x), graph.Sym("B"), graph.Sym("T"), graph.N(4), graph.N(4)), 0, 1, 3, 2)
		square := b.ReduceMean(groups, true, 2) // (B,T,1,4)
		y := b.Div(b.Reshape(x, graph.Sym("B"), graph.Sym("T"), graph.N(4), graph.N(4)), b.Sqrt(b.Transpose(square, 0, 1, 3, 2)))
		return b.Add(b.Mul(b.Reshape(y, graph.Sym("B"), graph.Sym("T"), graph.N(16)), scale), bias)
	},
	"softmax": func(b *nn.Builder, x, scale, _ *graph.Value) *graph.Value {
		x = b.Mul(x, b.Scalar(1./512))
		hidden := b.Where(b.Greater(b.Reshape(scale, graph.N(1), graph.N(1), graph.N(16)), b.Scalar(0)), b.Scalar(-1e9), b.Scalar(0))
		x = b.Add(x, hidden)
		e := b.Exp(b.Sub(x, b.ReduceMax(x, true, -1)))
		return b.Mul(b.Div(e, b.ReduceSum(e, true, -1)), b.Scalar(16))
	},
	"softplus and sigmoid": func(b *nn.Builder, x, scale, bias *graph.Value) *graph.Value {
		x = b.Mul(x, b.Scalar(1./128)) // up to some 30: its exponential is beyond float16
		e := b.Exp(x)
		sigmoid := b.Div(e, b.Add(e, b.Scalar(1)))
		return b.Mul(b.Log(b.Add(e, b.Scalar(1))), sigmoid)
	},
}

// primitive is a network around one of them.
func primitive(name string) nn.Network {
	return made(func(b *nn.Builder) {
		x := b.Embedding("table", b.Tokens(longest), vocab, 16, graph.Normal(2000)) // (B,T,C)
		scale, bias := b.Param("scale", graph.Normal(0.5), 16), b.Param("bias", graph.Normal(0.5), 16)
		y := primitives[name](b, x, scale, bias)
		b.Logits(b.Project("head", b.Name("normal", b.Add(y, b.Project("more", y, 16, 16, graph.Normal(0.2)))), 16, vocab, graph.Normal(0.2)))
	})
}

// In float16 a normalization that is written from operators of one step each is
// as right as one operator, at every level of optimization.
func TestHalfOfPrimitives(t *testing.T) {
	for name := range primitives {
		t.Run(name, func(t *testing.T) {
			g, w := network(t, primitive(name))
			c := runtime.NewCase(3, 7, vocab, 1)
			want := run(t, oracle(t, g, w), c.Inputs())["logits"]
			m := written(t, g, w, export.Plain{DType: format.Float16})
			for _, level := range []ort.Optimization{ort.OptimizeNone, ort.OptimizeAll} {
				got := run(t, openAt(t, m, level), c.Inputs())["logits"]
				if d := runtime.CompareWithin(4e-2, want, got); !d.Within {
					t.Errorf("optimization %d: %v %s", level, d.FirstBad, d.Reason)
				}
			}
		})
	}
}

// In bfloat16, in which ONNX Runtime's CPU multiplies no matrices, a network of a
// normalization alone is right.
func TestBFloat16OfPrimitives(t *testing.T) {
	for name, part := range primitives {
		t.Run(name, func(t *testing.T) {
			g, w := network(t, made(func(b *nn.Builder) {
				x := b.Embedding("table", b.Tokens(longest), vocab, 16, graph.Normal(2000)) // (B,T,C)
				b.Logits(part(b, x, b.Param("scale", graph.Normal(0.5), 16), b.Param("bias", graph.Normal(0.5), 16)))
			}))
			c := runtime.NewCase(3, 7, vocab, 1)
			want := run(t, oracle(t, g, w), c.Inputs())["logits"]
			m := written(t, g, w, export.Plain{DType: format.BFloat16})
			got := run(t, open(t, m), c.Inputs())["logits"]
			if d := runtime.CompareWithin(3.2e-1, want, got); !d.Within {
				t.Errorf("%v %s", d.FirstBad, d.Reason)
			}
		})
	}
}

// A layer normalization keeps float32 in the same places, however it is written:
// what it reads and the products behind it have 16 bits, what it gives has 32.
func TestHalfTypesOfPrimitives(t *testing.T) {
	for _, to := range []format.DType{format.Float16, format.BFloat16} {
		var types []map[string]onnx.DataType
		for _, part := range []func(b *nn.Builder, x, scale, bias *graph.Value) *graph.Value{
			primitives["layer norm"],
			func(b *nn.Builder, x, scale, bias *graph.Value) *graph.Value {
				return b.LayerNormalization(x, scale, bias, 1e-5)
			},
		} {
			g, w := network(t, made(func(b *nn.Builder) {
				x := b.Embedding("table", b.Tokens(longest), vocab, 16, graph.Normal(2000))
				for i := range 2 {
					b := b.Scope(fmt.Sprint(i))
					y := b.Name("norm", part(b, x, b.Param("scale", graph.Normal(1), 16), b.Param("bias", graph.Normal(1), 16)))
					x = b.Name("out", b.Add(x, b.Project("project", y, 16, 16, graph.Normal(1))))
				}
				y := b.Name("norm", part(b, x, b.Param("scale", graph.Normal(1), 16), b.Param("bias", graph.Normal(1), 16)))
				b.Logits(b.Project("head", y, 16, vocab, graph.Normal(1)))
			}))
			types = append(types, typesOf(written(t, g, w, export.Plain{DType: to})))
		}
		for name, want := range types[1] {
			if got, ok := types[0][name]; ok && got != want {
				t.Errorf("%s: %s is %s, expected %s", to, name, got, want)
			}
		}
		if types[1]["0.norm"] != onnx.Float || types[1]["1.out"] == onnx.Float || types[1]["table"] == onnx.Float {
			t.Errorf("%s: %v", to, types[1])
		}
	}
}
