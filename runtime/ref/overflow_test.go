package ref_test

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// boundsOf returns the bounds of a graph's output y, the reason why they are unknown, and the
// certificates of its rows, for an input x.
func boundsOf(t *testing.T, d format.DType, x []float64, build func(b *graph.Builder, x *graph.Value) *graph.Value) ([]float64, string, []runtime.Certificate) {
	t.Helper()
	b := graph.NewBuilder()
	b.Output("y", build(b, b.Input("x", d, graph.N(1), graph.N(len(x)))))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	o, err := ref.New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, _, err := format.FromFloat64s("x", []int{1, len(x)}, x).Convert(d)
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]format.Tensor{"x": in}
	got, err := o.Bounds(inputs, runtime.Numbers{DType: d})
	if err != nil {
		t.Fatal(err)
	}
	limits := make([]float64, len(x))
	if of, ok := got.Bounds[0].Of["y"]; ok {
		if limits, err = of.AsFloat64s(); err != nil {
			t.Fatal(err)
		}
	}
	certificates, err := o.Certificates(inputs, runtime.Numbers{DType: d}, "y", nil)
	if err != nil {
		t.Fatal(err)
	}
	return limits, got.Bounds[0].Unknown, certificates
}

// scalar is a number of x's type.
func scalar(b *graph.Builder, x *graph.Value, v float64) *graph.Value {
	c, _, err := format.FromFloat64s("", []int{}, []float64{v}).Convert(x.DType)
	if err != nil {
		panic(err)
	}
	return b.Const(c)
}

// matrix is a matrix (3,3) of x's type.
func matrix(b *graph.Builder, x *graph.Value, v ...float64) *graph.Value {
	c, _, err := format.FromFloat64s("", []int{3, 3}, v).Convert(x.DType)
	if err != nil {
		panic(err)
	}
	return b.Const(c)
}

// attendToItself is the attention of three tokens of one element to one another.
func attendToItself(b *graph.Builder, x *graph.Value) *graph.Value {
	y := b.Reshape(x, graph.N(1), graph.N(1), graph.N(3), graph.N(1))
	return b.Reshape(b.Name("far", b.Apply(graph.Attention{Scale: 1}, 1, y, b.Mul(y, scalar(b, x, 2)), y)[0]), graph.N(1), graph.N(3))
}

// A number beyond the largest of its type makes what depends on it unknown, and names the node. One
// that does not reach the output changes nothing: masks add to infinities all the time.
func TestOverflow(t *testing.T) {
	for name, c := range map[string]struct {
		d     format.DType
		known bool
		build func(b *graph.Builder, x *graph.Value) *graph.Value
	}{
		"float32, there and back": {format.Float32, false, func(b *graph.Builder, x *graph.Value) *graph.Value {
			far := scalar(b, x, 1e30)
			return b.Div(b.Div(b.Name("far", b.Mul(b.Mul(x, far), far)), far), far)
		}},
		"float16, there and back": {format.Float16, false, func(b *graph.Builder, x *graph.Value) *graph.Value {
			far := scalar(b, x, 500)
			return b.Div(b.Div(b.Name("far", b.Mul(b.Mul(x, far), far)), far), far)
		}},
		"float32 holds it": {format.Float32, true, func(b *graph.Builder, x *graph.Value) *graph.Value {
			far := scalar(b, x, 500)
			return b.Div(b.Div(b.Name("far", b.Mul(b.Mul(x, far), far)), far), far)
		}},
		"a softmax of masked scores": {format.Float32, true, func(b *graph.Builder, x *graph.Value) *graph.Value {
			masked := b.Mul(b.Relu(x), scalar(b, x, -math.MaxFloat32))
			return b.Softmax(b.Add(b.Add(masked, masked), x), -1)
		}},
		"a comparison": {format.Float32, false, func(b *graph.Builder, x *graph.Value) *graph.Value {
			far := scalar(b, x, 1e30)
			back := b.Name("far", b.Mul(b.Mul(x, far), far))
			return b.Where(b.Less(back, b.Mul(back, scalar(b, x, 2))), x, b.Neg(x))
		}},
		"the squares of a norm": {format.Float32, false, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Name("far", b.Apply(graph.RMSNormalization{Epsilon: 1e-5}, 1, b.Mul(x, scalar(b, x, 1e20)), b.Const(format.FromFloat32s("", []int{3}, []float32{1, 1, 1})))[0])
		}},
		"float16, partial sums that cancel": {format.Float16, false, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Name("far", b.MatMul(b.Mul(x, scalar(b, x, 300)), matrix(b, x, 300, 300, 300, 150, 150, 150, 0, 0, 3)))
		}},
		"float16, partial sums that stay small": {format.Float16, true, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.MatMul(x, matrix(b, x, 300, 300, 300, 150, 150, 150, 0, 0, 3))
		}},
		"float32 holds the partial sums": {format.Float32, true, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.MatMul(b.Mul(x, scalar(b, x, 300)), matrix(b, x, 300, 300, 300, 150, 150, 150, 0, 0, 3))
		}},
		"float16, a mean of large numbers": {format.Float16, false, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Add(x, b.Name("far", b.ReduceMean(b.Add(b.Mul(x, scalar(b, x, 1)), scalar(b, x, 30000)), true, -1)))
		}},
		"float16, scores of attention": {format.Float16, false, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return attendToItself(b, b.Mul(x, scalar(b, x, 150)))
		}},
		"float16, scores of attention that fit": {format.Float16, true, func(b *graph.Builder, x *graph.Value) *graph.Value {
			return attendToItself(b, x)
		}},
	} {
		limits, why, certificates := boundsOf(t, c.d, []float64{-1, 2, 0.5}, c.build)
		inf := 0
		for _, l := range limits {
			if math.IsInf(l, 0) {
				inf++
			}
		}
		certain := certificates[0].Certain() && certificates[0].Any
		if (inf == 0) != c.known && name != "a comparison" || certain != c.known {
			t.Errorf("%s: bounds %v, %q, %+v", name, limits, why, certificates[0])
		}
		if !c.known && name == "float32, there and back" && !strings.Contains(why+certificates[0].Unknown, "far of Mul") {
			t.Errorf("%s: %q, %+v", name, why, certificates[0])
		}
	}
}
