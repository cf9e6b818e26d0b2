package runtime_test

import (
	"math"
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
	for _, c := range []struct {
		dtype format.DType
		off   float64
		bends bool
	}{
		{format.Float32, 0.2, false},
		{format.BFloat16, 0.2, true},
		{format.BFloat16, 1e3, false}, // no rounding leads there
	} {
		candidate := changed(g, w, offBy(t, c.off))
		candidate.DType = c.dtype
		report := verified(t, oracle, cases, candidate)
		want := runtime.StatusFail
		if c.bends {
			want = runtime.StatusUncertified
		}
		x := report.Results[0]
		if report.Verdict != runtime.Fail || x.Status != want || strings.Contains(x.Reason, "roundings are not small") != c.bends {
			t.Errorf("%s: %+v", c.dtype, x)
		}
	}
}

// cancelling loses all digits of its input in float32, where numbers around 1e9 are 64 apart.
type cancelling struct{ far float32 }

func (cancelling) Architecture() string { return "test/cancelling" }
func (c cancelling) Forward(b *nn.Builder) {
	far := b.Const(format.FromFloat32s("far", nil, []float32{c.far}))
	x := b.InputFor(role.Of(role.Features), format.Float32, nn.B, graph.N(6))
	b.OutputFor(role.Of(role.Prediction), b.Name("prediction", b.Sub(b.Add(x, far), far)))
}

// An output of which rounding leaves no digit is not certified: its negative is within the
// bounds too. What is exactly the oracle's is, and what has digits.
func TestVerifyNoDigit(t *testing.T) {
	negated := func(out map[string]format.Tensor) {
		for name, y := range out {
			v, err := y.Float64s()
			if err != nil {
				t.Fatal(err)
			}
			v = append([]float64(nil), v...)
			for i := range v {
				v[i] = -v[i]
			}
			out[name] = format.FromFloat64s(name, y.Shape, v)
		}
	}
	for _, c := range []struct {
		far    float32
		change func(map[string]format.Tensor)
		want   runtime.Status
	}{
		{1e9, negated, runtime.StatusUncertified},
		{1e9, func(map[string]format.Tensor) {}, runtime.StatusOK},
		{1e3, negated, runtime.StatusFail},
		{1e3, offBy(t, 1e-5), runtime.StatusOK},
	} {
		g, w, cases := built(t, cancelling{c.far})
		oracle, err := ref.New(g, w)
		if err != nil {
			t.Fatal(err)
		}
		candidate := changed(g, w, c.change)
		candidate.DType = format.Float32
		x := verified(t, oracle, cases, candidate).Results[0]
		if x.Status != c.want || strings.Contains(x.Reason, "F32 gives no digit of prediction") != (c.want == runtime.StatusUncertified) {
			t.Errorf("%g: %+v", c.far, x)
		}
	}
}

// underflowing takes the logarithm of what is 0 in float32.
type underflowing struct{}

func (underflowing) Architecture() string { return "test/underflowing" }
func (underflowing) Forward(b *nn.Builder) {
	x := b.InputFor(role.Of(role.Features), format.Float32, nn.B, graph.N(6))
	far := b.Const(format.FromFloat32s("far", nil, []float32{-200}))
	b.OutputFor(role.Of(role.Prediction), b.Name("prediction", b.Log(b.Exp(b.Add(b.Tanh(x), far)))))
}

// A runtime that gives an infinity where float32 must is not certified. Where it must not, it
// failed.
func TestVerifyInfinities(t *testing.T) {
	for _, n := range []nn.Network{underflowing{}, cancelling{1}} {
		g, w, cases := built(t, n)
		oracle, err := ref.New(g, w)
		if err != nil {
			t.Fatal(err)
		}
		candidate := changed(g, w, offBy(t, math.Inf(-1)))
		candidate.DType = format.Float32
		want, why := runtime.StatusFail, "prediction[0,5] is -Inf"
		if _, must := n.(underflowing); must {
			want, why = runtime.StatusUncertified, "prediction of Log: rounding may bring"
		}
		if x := verified(t, oracle, cases, candidate).Results[0]; x.Status != want || !strings.Contains(x.Reason, why) {
			t.Errorf("%s: %+v", n.Architecture(), x)
		}
	}
}
