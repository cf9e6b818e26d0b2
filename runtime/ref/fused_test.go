package ref

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// fusedCases are graphs of one operator with a fused rule, on inputs that have copies.
var fusedCases = map[string]func(b *graph.Builder, x func(shape ...int) *graph.Value) *graph.Value{
	"Gelu": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value { return b.Gelu(x(40, 70)) },
	"Gelu tanh": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.Gelu{Approximate: "tanh"}, x(40, 70))
	},
	"Swish": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.Swish{Alpha: 1}, x(40, 70))
	},
	"Swish 1.7": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.Swish{Alpha: 1.7}, x(40, 70))
	},
	"LayerNorm": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.LayerNormalization{Epsilon: 1e-5}, x(200, 20), x(20), x(20))
	},
	"LayerNorm far": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.LayerNormalization{Epsilon: 1e-5}, b.Add(x(300, 65), far(b)), x(65))
	},
	"RMSNorm": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.RMSNormalization{Epsilon: 1e-5}, x(200, 20), x(20))
	},
	"Attention": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.Attention{Scale: 0.3}, x(2, 4, 9, 8), x(2, 4, 13, 8), x(2, 4, 13, 5))
	},
	"causal, grouped": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.Attention{Scale: 0.25, Causal: true, Window: 5}, x(2, 4, 70, 16), x(2, 2, 75, 16), x(2, 2, 75, 6))
	},
	"numbers as mask": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.Attention{Scale: 1, Causal: true}, x(2, 3, 9, 8), x(2, 3, 13, 8), x(2, 3, 13, 5), x(2, 1, 9, 13))
	},
	"truth as mask": func(b *graph.Builder, x func(...int) *graph.Value) *graph.Value {
		return one(b, graph.Attention{Scale: 1}, x(2, 3, 9, 8), x(2, 3, 13, 8), x(2, 3, 13, 5), b.Const(falseBelow(13, 4)))
	},
}

func one(b *graph.Builder, op graph.Op, args ...*graph.Value) *graph.Value {
	return b.Apply(op, 1, args...)[0]
}

func far(b *graph.Builder) *graph.Value {
	return b.Const(format.FromFloat32s("", []int{}, []float32{30}))
}

func falseBelow(n, first int) format.Tensor {
	data := make([]byte, n)
	for i := first; i < n; i++ {
		data[i] = 1
	}
	return format.Tensor{DType: format.Bool, Shape: []int{1, 1, 1, n}, Data: data}
}

// A fused rule gives the variance that the decomposition gives, with the errors of the
// arguments and without, in every arithmetic.
func TestFusedRulesAreTheDecompositions(t *testing.T) {
	for name, build := range fusedCases {
		for _, numbers := range []runtime.Numbers{{}, {DType: format.Float16}, {TF32: true}} {
			for _, moved := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", numbers, " ", moved), func(t *testing.T) {
					ratio := fusedRatio(t, build, numbers, moved)
					high := 1.18
					if name == "causal, grouped" && numbers.DType != format.Invalid { // the decomposition ends with a Reshape, which rounds nothing
						high = 1.3
					}
					if math.IsNaN(ratio) || ratio < 0.85 || ratio > high {
						t.Errorf("its deviation is %.3f of the decomposition's", ratio)
					}
				})
			}
		}
	}
}

// fusedRatio returns the deviation of a fused operator's results as a share of that of
// its decomposition. With moved its arguments have errors.
func fusedRatio(t *testing.T, build func(*graph.Builder, func(...int) *graph.Value) *graph.Value, numbers runtime.Numbers, moved bool) float64 {
	t.Helper()
	b := graph.NewBuilder()
	inputs := map[string]format.Tensor{}
	draw := rand.New(rand.NewPCG(1, 2))
	x := func(shape ...int) *graph.Value {
		name := fmt.Sprintf("x%d", len(inputs))
		n, _ := format.Elements(shape)
		data := make([]float32, n)
		for i := range data {
			data[i] = float32(draw.NormFloat64())
		}
		inputs[name] = format.FromFloat32s(name, shape, data)
		var dims graph.Shape
		for _, d := range shape {
			dims = append(dims, graph.N(d))
		}
		v := b.Input(name, format.Float32, dims...)
		if moved {
			v = b.Mul(v, b.Const(format.FromFloat32s("", []int{}, []float32{1.1})))
		}
		return v
	}
	b.Output("y", build(b, x))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sums [2]float64
	whole, sizes, err := o.certified(inputs)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := newCertified(o, singlePass, graph.Decompose(ruled))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []*certified{whole, parts} {
		v := c.graph.Outputs[0].Value
		s, err := c.shake(inputs, sizes, numbers, map[string]*graph.Value{"y": v}, nil)
		if err != nil || s.unknown != "" {
			t.Fatal(err, s.unknown)
		}
		for _, sq := range s.squares[v].sums {
			sums[i] += sq
		}
	}
	return math.Sqrt(sums[0] / sums[1])
}
