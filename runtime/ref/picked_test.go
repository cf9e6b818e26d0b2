package ref

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// What is selected of an output has the values that the whole output has, and bounds of the
// same size: other signs are drawn.
func TestPickedIsTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	const rows, depth, width = 24, 48, 500
	drawn := func(shape ...int) format.Tensor {
		n, _ := format.Elements(shape)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return format.FromFloat32s("", shape, x)
	}
	for name, build := range map[string]func(b *graph.Builder, x *graph.Value) *graph.Value{
		"MatMul": func(b *graph.Builder, x *graph.Value) *graph.Value { return b.MatMul(x, b.Const(drawn(depth, width))) },
		"turned": func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.MatMul(x, b.Transpose(b.Const(drawn(width, depth)), 1, 0))
		},
		"Gemm": func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Gemm(x, b.Const(drawn(depth, width)), b.Const(drawn(width)), false, false)
		},
		"Gemm turned": func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Gemm(x, b.Const(drawn(width, depth)), b.Const(drawn(1, width)), false, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := graph.NewBuilder()
			x := b.Input("x", format.Float32, graph.N(rows), graph.N(depth))
			b.Output("y", build(b, b.Mul(x, x)))
			g, err := b.Graph()
			if err != nil {
				t.Fatal(err)
			}
			o, err := New(g, nil)
			if err != nil {
				t.Fatal(err)
			}
			inputs := map[string]format.Tensor{"x": drawn(rows, depth).WithName("x")}
			whole, err := o.Bounds(inputs, runtime.Numbers{})
			if err != nil {
				t.Fatal(err)
			}
			var selected runtime.Selection
			part, err := o.BoundsOf(inputs, func(shapes map[string][]int) map[string]runtime.Selection {
				all := runtime.Select(shapes, rows*width/3)
				selected = all["y"]
				return all
			}, runtime.Numbers{})
			if err != nil {
				t.Fatal(err)
			}
			want, got := floats64(t, whole.Outputs["y"]), floats64(t, part.Outputs["y"])
			limits, gotLimits := floats64(t, whole.Bounds[0].Of["y"]), floats64(t, part.Bounds[0].Of["y"])
			at, sums := 0, [2]float64{}
			columns := map[int]bool{}
			for l := range selected.Lines() {
				for i := range l.N {
					j := l.Row*width + l.First + i*l.Step
					columns[j%width] = true
					if got[at] != want[j] {
						t.Fatalf("element %d is %g, want %g", j, got[at], want[j])
					}
					sums[0] += square(limits[j])
					sums[1] += square(gotLimits[at])
					at++
				}
			}
			if at != len(got) || at != len(gotLimits) || at >= len(want) || len(columns) != width {
				t.Errorf("%d of %d elements and %d columns are selected; the oracle gives %d", at, len(want), len(columns), len(got))
			}
			if ratio := math.Sqrt(sums[1] / sums[0]); !(ratio > 0.95 && ratio < 1.05) {
				t.Errorf("bounds are %.3f of those of the whole", ratio)
			}
		})
	}
}

func floats64(t *testing.T, x format.Tensor) []float64 {
	t.Helper()
	v, err := x.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(v)
}

// The copies of a product by differences are those of the product of each copy.
func TestProductCopies(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for _, scale := range []float64{1, 1e-30, 1e30} {
		x, w := filled(func() float64 { return r.NormFloat64() * scale }, 5, 70), filled(func() float64 { return float64(float32(r.NormFloat64())) }, 70, 33)
		clear(x.f[:70])
		exact := matMul(x, w, []int{5, 33})
		const copies = manyCopies
		stack := repeated(copies, x)
		for i := range stack.f {
			stack.f[i] += stack.f[i] * noiseUnit * (r.Float64() - 0.5)
		}
		got := productCopies(w, x, stack, exact)
		for k := range copies {
			for j, y := range matMul(layer(stack, k), w, []int{5, 33}).f {
				want, z := y-exact.f[j], layer(got, k).f[j]-exact.f[j]
				if math.Abs(z-want) > 1e-4*noiseUnit*scale*math.Sqrt(70) {
					t.Fatalf("scale %g, copy %d, element %d: differs by %g, want %g", scale, k, j, z, want)
				}
			}
		}
		stack.f[71] = math.NaN()
		if got := productCopies(w, x, stack, exact); !math.IsNaN(got.f[33]) || got.f[0] != exact.f[0] {
			t.Errorf("scale %g: NaN is lost, or spreads to other rows: %v", scale, got.f[:40])
		}
	}
}
