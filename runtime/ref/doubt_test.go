package ref_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// An integer that rounding may change makes unknown what is read with it, and
// nothing else: where another one is chosen, the bound is known. T5 computes the distance of
// near tokens so, by logarithms that it does not use.
func TestDoubtsFollowWhatIsChosen(t *testing.T) {
	for name, near := range map[string]bool{"chosen": false, "not chosen": true} {
		b := graph.NewBuilder()
		x := b.Input("x", format.Float32, graph.N(3))
		far := b.Cast(b.Exp(b.Log(x)), format.Int64) // 2 or 1, 4 or 3 and so on
		far = b.Apply(graph.Min, 1, b.Add(far, b.Cast(b.Not(b.Less(x, x)), format.Int64)), b.Range(graph.N(9), graph.N(10)))[0]
		far = b.Concat(0, b.Slice(far, 0, graph.N(0), graph.N(1)), b.Slice(far, 0, graph.N(1), graph.N(3)))
		limit := b.Scalar(0)
		if near {
			limit = b.Scalar(100)
		}
		ids := b.Where(b.Less(x, limit), b.Range(graph.N(0), graph.N(3)), far)
		table := b.Reshape(b.Cast(b.Range(graph.N(0), graph.N(10)), format.Float32), graph.N(10), graph.N(1))
		b.Output("y", b.Mul(b.Gather(table, ids), b.Exp(b.Reshape(x, graph.N(3), graph.N(1)))))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := ref.New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.Bounds(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{3}, []float32{2, 4, 8})}, runtime.Numbers{DType: format.Float32})
		if err != nil {
			t.Fatal(err)
		}
		bounds, err := got.Bounds[0].Of["y"].AsFloat64s()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range bounds {
			if known := v < 1; known != near {
				t.Errorf("%s: a bound of %g, unknown because %q", name, v, got.Bounds[0].Unknown)
			}
		}
	}
}

// An LSTM that rounds its factors to 8 bits is bounded for runtimes that do not. Its
// decomposition rounds as it does.
func TestQuantizedLSTMIsBounded(t *testing.T) {
	const T, B, I, H = 5, 3, 4, 6
	rng := rand.New(rand.NewPCG(1, 2))
	inputs := map[string]format.Tensor{"lengths": format.FromInt64s("lengths", []int{B}, []int64{T, 3, 4})}
	build := func(quantized bool) *ref.Oracle {
		b := graph.NewBuilder()
		var args []*graph.Value
		for _, s := range []struct {
			name  string
			scale float64
			shape []int
		}{{"x", 2, []int{T, B, I}}, {"w", 0.5, []int{4 * H, I}}, {"r", 0.5, []int{4 * H, H}}, {"biases", 0.1, []int{8 * H}}, {"lengths", 0, []int{B}},
			{"h", 0.3, []int{B, H}}, {"c", 0.3, []int{B, H}}, {"peepholes", 0.1, []int{3 * H}}} {
			shape := graph.Shape{}
			for _, n := range s.shape {
				shape = append(shape, graph.N(n))
			}
			if s.name == "lengths" {
				args = append(args, b.Input(s.name, format.Int64, shape...))
				continue
			}
			args = append(args, b.Input(s.name, format.Float32, shape...))
			if _, drawn := inputs[s.name]; !drawn {
				n, _ := format.Elements(s.shape)
				numbers := make([]float32, n)
				for i := range numbers {
					numbers[i] = float32(s.scale * rng.NormFloat64())
				}
				inputs[s.name] = format.FromFloat32s(s.name, s.shape, numbers)
			}
		}
		b.Output("y", b.Apply(graph.LSTM{Activations: "Sigmoid Tanh Tanh", Quantized: quantized}, 3, args...)[0])
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := ref.New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	rounded, err := build(true).Bounds(inputs, runtime.Numbers{DType: format.Float32})
	if err != nil || rounded.Bounds[0].Unknown != "" {
		t.Fatalf("%q, %v", rounded.Bounds[0].Unknown, err)
	}
	run, err := build(true).Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := build(false).Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	numbers := func(x format.Tensor) []float64 {
		n, err := x.AsFloat64s()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	steps, whole, bounds := numbers(rounded.Outputs["y"]), numbers(plain["y"]), numbers(rounded.Bounds[0].Of["y"])
	closest := math.Inf(1)
	for i, y := range numbers(run["y"]) {
		if math.Abs(steps[i]-y) > 1e-6 {
			t.Errorf("element %d: %g step by step, %g at once", i, steps[i], y)
		}
		if y != whole[i] {
			closest = min(closest, bounds[i]/math.Abs(y-whole[i]))
		}
	}
	if closest < 1 || closest > 20 {
		t.Errorf("bound/error of an LSTM that rounds nothing is at least %.3g", closest)
	}
}
