package ref

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
)

// TestBothWays holds the two ways to a bound against one another: the variance from
// perturbed copies, and the one from the derivatives. On average over elements they
// differ by at most a third of the standard deviation, which is what eight samples of
// correlated elements are off by.
func TestBothWays(t *testing.T) {
	llama := arch.Llama{Vocab: 29, Context: 16, Width: 16, Inner: 24, Layers: 2, Heads: 4, KVHeads: 2, HeadWidth: 4, Activation: "silu", Epsilon: 1e-5, Rope: arch.Rope{Type: "default", Theta: 10000}}
	for name, net := range map[string]nn.Network{
		"gpt2":   arch.GPT2{Vocab: 29, Context: 16, Layers: 2, Heads: 2, Width: 16, Inner: 32, Epsilon: 1e-5},
		"simple": arch.Simple{Vocab: 29, Context: 16, Heads: 2, Width: 16, Inner: 32, Positions: true},
		"llama":  llama,
	} {
		c, err := model.New(net, 5)
		if err != nil {
			t.Fatal(err)
		}
		o, err := New(c.Graph, c.Weights)
		if err != nil {
			t.Fatal(err)
		}
		k := runtime.NewCase(2, 8, 29, 1)
		for what, numbers := range map[string]runtime.Numbers{
			"float32": {DType: format.Float32}, "float16": {DType: format.Float16}, "bfloat16": {DType: format.BFloat16}, "TF32": {TF32: true},
		} {
			forth, back := bothWays(t, o, k, numbers)
			if ratio := math.Sqrt(forth / back); !(ratio > 1/1.35 && ratio < 1.35) {
				t.Errorf("%s in %s: the copies deviate by %.3g times what the derivatives say", name, what, ratio)
			}
		}
	}
}

// bothWays returns the sums of the variances of some logits, from copies and from
// derivatives.
func bothWays(t *testing.T, o *Oracle, k runtime.Case, numbers runtime.Numbers) (forth, back float64) {
	t.Helper()
	c, sizes, err := o.certified(k.Inputs())
	if err != nil {
		t.Fatal(err)
	}
	v := c.graph.Lookup("logits")
	s, err := c.shake(k.Inputs(), sizes, numbers, map[string]*graph.Value{"logits": v}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := o.backward(k.Inputs(), numbers, "logits")
	if err != nil {
		t.Fatal(err)
	}
	steps := 37
	if fixtures.Exhaustive() {
		steps = 5
	}
	for at := 0; at < len(s.squares[v].sums); at += steps {
		r, _, err := b.of(map[int]float64{at: 1})
		if err != nil || r.Unknown != "" || len(r.Parts) < 6 {
			t.Fatalf("%+v, %v", r, err)
		}
		one := s.squares[v].sums[at] / float64(s.copies) / square(s.shrink)
		if ratio := one / square(r.Deviation); !(ratio > 0.05 && ratio < 4) {
			t.Errorf("element %d: variance %.3g times that of the derivatives", at, ratio)
		}
		if !(r.Deviation < r.Executed && r.Executed <= r.Worst) {
			t.Errorf("element %d: %.3g, executed %.3g, worst %.3g", at, r.Deviation, r.Executed, r.Worst)
		}
		forth += one
		back += square(r.Deviation)
	}
	return forth, back
}

// TestLargestErrors adds the products of a row and a column in every order, with and
// without fused steps, and asks for no more than the worst case and, in order, the
// reading in order. The worst of many rows comes to a fair share of both.
func TestLargestErrors(t *testing.T) {
	const n = 6
	random := rand.New(rand.NewPCG(1, 2))
	var orders [][]int
	permute(make([]int, 0, n), n, func(p []int) { orders = append(orders, append([]int(nil), p...)) })
	closest, closestOrdered := 0.0, 0.0
	for range 200 {
		x, y := make([]float32, n), make([]float32, n)
		exact := 0.0
		for i := range n {
			x[i], y[i] = float32(random.NormFloat64()), float32(random.NormFloat64())
			exact += float64(x[i]) * float64(y[i])
		}
		b := graph.NewBuilder()
		b.Output("y", b.MatMul(b.Const(format.FromFloat32s("x", []int{1, n}, x)), b.Const(format.FromFloat32s("w", []int{n, 1}, y))))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := o.AttributeAt(nil, runtime.Numbers{}, "y", []int{0, 0})
		if err != nil || len(r.Parts) != 1 || r.Parts[0].Value != b.Recorded()[2].Results[0].Name {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, p := range orders {
			for _, fused := range []bool{false, true} {
				sum := float32(0)
				for _, i := range p {
					if fused {
						sum = float32(math.FMA(float64(x[i]), float64(y[i]), float64(sum)))
					} else {
						sum += x[i] * y[i]
					}
				}
				off := math.Abs(float64(sum) - exact)
				if off > r.Worst {
					t.Fatalf("order %v is off by %.3g, the worst case is %.3g", p, off, r.Worst)
				}
				closest = max(closest, off/r.Worst)
				if &p[0] == &orders[0][0] {
					if off > r.Executed {
						t.Fatalf("in order it is off by %.3g, at most %.3g", off, r.Executed)
					}
					closestOrdered = max(closestOrdered, off/r.Executed)
				}
			}
		}
	}
	if closest < 0.15 || closestOrdered < 0.3 {
		t.Errorf("no order comes closer to the worst case than %.2f, none in order closer than %.2f", closest, closestOrdered)
	}
}

// permute calls f with every order of 0 to n-1.
func permute(p []int, n int, f func([]int)) {
	if len(p) == n {
		f(p)
		return
	}
next:
	for i := range n {
		for _, j := range p {
			if i == j {
				continue next
			}
		}
		permute(append(p, i), n, f)
	}
}

// TestNotLinear has networks for which no worst case is known: roundings of bfloat16 that
// move a tanh from one flat end to the other, and a comparison of rounded numbers.
func TestNotLinear(t *testing.T) {
	scores := func(b *graph.Builder, size float64) *graph.Value {
		x := b.MatMul(b.Input("x", format.Float32, graph.N(2), graph.N(3)), b.Const(format.FromFloat32s("w", []int{3, 4}, []float32{1, 2, 3, 4, 3, 1, 2, 1, 2, 2, 1, 5})))
		return b.Mul(x, b.Const(format.FromFloat32s("size", nil, []float32{float32(size)})))
	}
	for name, c := range map[string]struct {
		any   bool
		why   string
		build func(b *graph.Builder) *graph.Value
	}{
		"small scores": {true, "", func(b *graph.Builder) *graph.Value { return b.Softmax(scores(b, 0.25), 1) }},
		"flat ends of tanh": {false, "not linear", func(b *graph.Builder) *graph.Value {
			far := b.Const(format.FromFloat32s("far", nil, []float32{1000})) // sums with it are off by 4
			s := b.Sub(b.Add(scores(b, 0.5), far), far)
			return b.Tanh(b.Mul(s, b.Const(format.FromFloat32s("signs", []int{4}, []float32{2, -2, -3, -4}))))
		}},
		"a comparison": {false, "a comparison of rounded numbers", func(b *graph.Builder) *graph.Value {
			s := scores(b, 0.25)
			return b.Where(b.Greater(s, b.Const(format.FromFloat32s("edge", nil, []float32{-7}))), s, b.Neg(s))
		}},
	} {
		b := graph.NewBuilder()
		b.Output("y", c.build(b))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]format.Tensor{"x": format.FromFloat32s("x", []int{2, 3}, []float32{0.5, 0.25, 1.1, 0.3, 0.2, 0.7})}
		all, err := o.Certificates(in, runtime.Numbers{DType: format.BFloat16}, "y", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range all {
			if !x.Certain() || x.Any != c.any || (x.Unknown == "") != (c.why == "") || !strings.Contains(x.Unknown, c.why) || math.IsInf(x.Worst, 1) != (c.why != "") {
				t.Errorf("%s, row %d: %+v", name, i, x)
			}
		}
	}
}
