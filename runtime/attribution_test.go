package runtime_test

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// A value beyond its bound comes with the values whose roundings the bound is made of.
func TestVerifyAttributes(t *testing.T) {
	g, w, cases := built(t, regression{})
	oracle, err := ref.New(g, w)
	if err != nil {
		t.Fatal(err)
	}
	x := verified(t, oracle, cases, changed(g, w, offBy(t, 0.01))).Results[0]
	if x.Status != runtime.StatusFail || len(x.Rounding) < 2 || x.Rounding[0].Share < x.Rounding[1].Share || !strings.Contains(x.Reason, "that bound is mostly from "+x.Rounding[0].Value) {
		t.Errorf("%+v", x)
	}
}

// offBy returns a change that adds to the last element of each output.
func offBy(t *testing.T, d float64) func(map[string]format.Tensor) {
	return func(out map[string]format.Tensor) {
		for name, y := range out {
			v, err := y.Float64s()
			if err != nil {
				t.Fatal(err)
			}
			v = append([]float64(nil), v...)
			v[len(v)-1] += d
			out[name] = format.FromFloat64s(name, y.Shape, v)
		}
	}
}

// flat is a network with flat ends, which roundings of bfloat16 leave: sums with 1000
// are off by 4, and to first order that does nothing.
type flat struct{}

func (flat) Architecture() string { return "test/flat" }
func (flat) Forward(b *nn.Builder) {
	far := b.Const(format.FromFloat32s("far", nil, []float32{1000}))
	two := b.Const(format.FromFloat32s("two", nil, []float32{2}))
	x := b.Add(b.Tanh(b.InputFor(role.Of(role.Features), format.Float32, nn.B, graph.N(6))), two) // 1 to 3
	b.OutputFor(role.Of(role.Prediction), b.Name("prediction", b.Tanh(b.Mul(b.Sub(b.Add(b.Mul(x, two), far), far), two))))
}

// Where roundings are not small, a difference is no fault and agreement no pass.
func TestVerifyNotLinear(t *testing.T) {
	g, w, cases := built(t, flat{})
	oracle, err := ref.New(g, w)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []format.DType{format.Float32, format.BFloat16} {
		c := changed(g, w, offBy(t, 0.2))
		c.DType = d
		report := verified(t, oracle, cases, c)
		want := runtime.StatusFail
		if d == format.BFloat16 {
			want = runtime.StatusUncertified
		}
		x := report.Results[0]
		if report.Verdict != runtime.Fail || x.Status != want || strings.Contains(x.Reason, "roundings are not small") != (d == format.BFloat16) {
			t.Errorf("%s: %+v", d, x)
		}
	}
}
