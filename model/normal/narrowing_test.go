package normal_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/normal"
)

// What a second graph rounds to a type of fewer digits, or of a smaller range, beside what the first rounds to it.
func TestNarrowed(t *testing.T) {
	cast := func(b *graph.Builder, v *graph.Value, types ...format.DType) *graph.Value {
		for _, d := range types {
			v = b.Cast(v, d)
		}
		return v
	}
	const f16, bf16, f32 = format.Float16, format.BFloat16, format.Float32
	type build func(b *graph.Builder, x *graph.Value) *graph.Value
	tanh := func(b *graph.Builder, x, y *graph.Value) *graph.Value {
		return b.Add(b.Exp(y), cast(b, b.Tanh(x), f16, f32))
	}
	for name, c := range map[string]struct {
		first, second build
		want          string
	}{
		"one more": {
			func(b *graph.Builder, x *graph.Value) *graph.Value { return tanh(b, x, x) },
			func(b *graph.Builder, x *graph.Value) *graph.Value { return tanh(b, x, cast(b, x, f16, f32)) }, "Cast to F16",
		},
		"a smaller range": {
			func(b *graph.Builder, x *graph.Value) *graph.Value { return cast(b, x, bf16, f32) },
			func(b *graph.Builder, x *graph.Value) *graph.Value { return cast(b, x, bf16, f16, f32) }, "Cast to F16",
		},
		"another place": {
			func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Exp(cast(b, x, f16, f32)) },
			func(b *graph.Builder, x *graph.Value) *graph.Value { return cast(b, b.Exp(x), f16, f32) }, "",
		},
		"parts": {
			func(b *graph.Builder, x *graph.Value) *graph.Value {
				return cast(b, b.Concat(0, x, b.Tanh(x)), f16, f32)
			},
			func(b *graph.Builder, x *graph.Value) *graph.Value {
				return cast(b, b.Concat(0, cast(b, x, f16), cast(b, b.Tanh(x), f16)), f32)
			}, "",
		},
		"computed in it": { // a tool computes in float32 what the first computes in float16
			func(b *graph.Builder, x *graph.Value) *graph.Value {
				return cast(b, b.Exp(b.Tanh(cast(b, x, f16))), f32)
			},
			func(b *graph.Builder, x *graph.Value) *graph.Value {
				return cast(b, b.Exp(cast(b, x, f16, f32)), f16, f32)
			}, "",
		},
	} {
		of := func(f build) normal.Model {
			b := graph.NewBuilder()
			b.Output("y", f(b, b.Input("x", f32, graph.N(2), graph.N(3))))
			g, err := b.Graph()
			if err != nil {
				t.Fatal(err)
			}
			return normal.Model{Graph: g}
		}
		r, err := normal.Identical(of(c.first), of(c.second), normal.Options{})
		if err != nil || r.Identical || r.Narrowed != c.want {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
}
