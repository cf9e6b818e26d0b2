package runtime

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// pair returns an oracle (2,3) of float64 and float32 values of our own next
// to it, which the test changes.
func pair() (oracle []float64, got []float32) {
	oracle = []float64{1, 2, 3, -4, 0.5, 4000}
	got = make([]float32, len(oracle))
	for i, x := range oracle {
		got[i] = float32(x)
	}
	return oracle, got
}

func compared(oracle []float64, got []float32) Difference {
	shape := []int{len(oracle) / 3, 3}
	return CompareWithin(1e-4, format.FromFloat64s("logits", shape, oracle), format.FromFloat32s("logits", shape, got))
}

func TestCompareEqual(t *testing.T) {
	d := compared(pair())
	if !d.Within || d.MaxAbs != 0 || d.MaxRel != 0 || d.Elements != 6 || d.FirstBad != nil ||
		d.ArgmaxChecked != 2 || d.ArgmaxAgreement() != 1 {
		t.Errorf("equal tensors: %+v", d)
	}
}

// The bound for float32 is 1e-4·max(1,|x|).
func TestFloat32Bound(t *testing.T) {
	for _, c := range []struct {
		name   string
		index  int
		error  float64
		within bool
	}{
		{"half the bound", 4, 5e-5, true},
		{"twice the bound", 4, 2e-4, false},
		{"twice the bound, below", 4, -2e-4, false},
		{"a value below 1 has the bound of 1", 4, 0.9e-4, true},
		{"the bound grows with the value", 5, 0.2, true},
		{"and ends", 5, 0.8, false},
		{"a negative value", 3, 3e-4, true},
		{"NaN", 2, math.NaN(), false},
		{"infinity", 2, math.Inf(1), false},
		{"minus infinity", 0, math.Inf(-1), false},
	} {
		oracle, got := pair()
		got[c.index] = float32(oracle[c.index] + c.error)
		d := compared(oracle, got)
		if d.Within != c.within {
			t.Errorf("%s: within is %t: %+v", c.name, d.Within, d)
		}
		if !slices.Equal(d.WorstIndex, []int{c.index / 3, c.index % 3}) {
			t.Errorf("%s: worst at %v", c.name, d.WorstIndex)
		}
		if (d.FirstBad == nil) != c.within {
			t.Errorf("%s: first bad value %v", c.name, d.FirstBad)
		}
		want := math.Abs(float64(got[c.index]) - oracle[c.index])
		if !finite(c.error) {
			want = math.Inf(1)
		}
		if d.MaxAbs != want {
			t.Errorf("%s: max abs %g, want %g", c.name, d.MaxAbs, want)
		}
	}
}

func TestBoundOfOtherTypes(t *testing.T) {
	oracle := format.FromFloat64s("x", []int{1}, []float64{1})
	for _, c := range []struct {
		name   string
		oracle format.Tensor
		got    format.Tensor
		within bool
	}{
		{"float64 within", oracle, format.FromFloat64s("x", []int{1}, []float64{1 + 5e-10}), true},
		{"float64 that went through float32", oracle, format.FromFloat64s("x", []int{1}, []float64{1 + 0x1p-24}), false},
		{"int64 equal", format.FromInt64s("x", []int{2}, []int64{1, 7}), format.FromInt64s("x", []int{2}, []int64{1, 7}), true},
		{"int64 off by one", format.FromInt64s("x", []int{2}, []int64{1, 7}), format.FromInt64s("x", []int{2}, []int64{1, 8}), false},
		{"scalar", format.FromFloat64s("loss", nil, []float64{2}), format.FromFloat32s("loss", nil, []float32{2}), true},
		{"empty", format.FromFloat64s("x", []int{0, 3}, nil), format.FromFloat32s("x", []int{0, 3}, nil), true},
	} {
		if d := CompareWithin(1e-9, c.oracle, c.got); d.Within != c.within {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

func TestCannotCompare(t *testing.T) {
	oracle := format.FromFloat64s("logits", []int{2, 2}, make([]float64, 4))
	for _, c := range []struct {
		got  format.Tensor
		want string
	}{
		{format.FromFloat32s("logits", []int{4}, make([]float32, 4)), "logits has shape [4], the oracle's has [2 2]"},
		{format.FromFloat32s("logits", []int{2, 3}, make([]float32, 6)), "shape [2 3]"},
		{format.FromInt64s("logits", []int{2, 2}, make([]int64, 4)), "holds I64, the oracle's holds F64"},
		{format.Tensor{Name: "logits", DType: format.Float8E5M2, Shape: []int{2, 2}, Data: make([]byte, 4)}, "comparing it is not supported"},
		{format.Tensor{Name: "logits", DType: format.Float32, Shape: []int{2, 2}, Data: make([]byte, 8)}, "expects 16 bytes"},
	} {
		d := CompareWithin(1e-4, oracle, c.got)
		if d.Within || !strings.Contains(d.Reason, c.want) {
			t.Errorf("within %t, reason %q, want one with %q", d.Within, d.Reason, c.want)
		}
		if merged := compared(pair()).Merge(d); merged.Within || merged.Reason == "" {
			t.Errorf("merging hides the reason %q: %+v", d.Reason, merged)
		}
	}
	for _, v := range []float64{math.Inf(1), math.NaN()} {
		same := format.FromFloat64s("x", []int{1}, []float64{v})
		if d := CompareWithin(1e-4, same, same); d.FirstBad != nil || d.Unknown != 1 || d.MaxAbs != 0 {
			t.Errorf("%g beside itself: %+v", v, d)
		}
		if d := CompareWithin(1e-4, same, format.FromFloat64s("x", []int{1}, []float64{math.Inf(-1)})); d.FirstBad == nil || d.Unknown != 0 {
			t.Errorf("%g beside -Inf: %+v", v, d)
		}
	}
	if bad := CompareWithin(1e-4, oracle.WithName("x"), format.FromFloat64s("x", []int{2, 2}, []float64{0, 0, 0, 1})).FirstBad; bad.String() != "x[1,1] is 1, the oracle says 0: off by 1.00e+00, where rounding explains 1.00e-04" {
		t.Errorf("the first bad value reads %q", bad)
	}
}

func TestArgmax(t *testing.T) {
	for _, c := range []struct {
		name            string
		oracle          []float64
		got             []float32
		agreed, checked int
		within          bool
	}{
		{"a lead smaller than twice the error may flip", []float64{0, 1, 1 + 4e-5}, []float32{0, 1 + 4e-5, 1}, 0, 0, true},
		{"a larger one may not", []float64{0, 1, 1.5}, []float32{0, 1.5, 1}, 0, 1, false},
		{"and is decided even if the error is larger still", []float64{0, 1, 1.5}, []float32{0, 9, 1.5}, 0, 1, false},
		{"a tie is not decided", []float64{1, 1, 0}, []float32{1, 1, 0}, 0, 0, true},
		{"the error that is allowed grows with the values", []float64{0, 1000, 1000.1}, []float32{0, 1000.09, 1000.01}, 0, 0, true},
		{"rows are counted one by one", []float64{3, 0, 0, 0, 3, 0}, []float32{3, 0, 0, 3, 0, 0}, 1, 2, false},
		{"NaN agrees with nothing", []float64{0, 0, 3}, []float32{float32(math.NaN()), 0, 3}, 0, 1, false},
	} {
		d := compared(c.oracle, c.got)
		if d.ArgmaxAgreed != c.agreed || d.ArgmaxChecked != c.checked || d.Within != c.within {
			t.Errorf("%s: %d of %d rows agree, within %t; want %d of %d, %t",
				c.name, d.ArgmaxAgreed, d.ArgmaxChecked, d.Within, c.agreed, c.checked, c.within)
		}
	}
}

// A result within the tolerance agrees in every row whose lead is more than
// twice its largest error, whatever the values.
func TestWithinImpliesAgreement(t *testing.T) {
	const rows, width = 2000, 5
	oracle, got := make([]float64, rows*width), make([]float32, rows*width)
	for i := range oracle {
		// Values on a grid of 1e-4: many rows are nearly tied.
		oracle[i] = float64(splitMix(uint64(i))%4) * 1e-4
		got[i] = float32(oracle[i] + (float64(splitMix(uint64(-i))%1000)/1000-0.5)*1.6e-4)
	}
	shape := []int{rows, width}
	d := CompareWithin(1e-4, format.FromFloat64s("x", shape, oracle), format.FromFloat32s("x", shape, got))
	if !d.Within || d.ArgmaxChecked == 0 || d.ArgmaxChecked == rows || d.ArgmaxAgreed != d.ArgmaxChecked {
		t.Errorf("within %t, %d of %d rows agree", d.Within, d.ArgmaxAgreed, d.ArgmaxChecked)
	}
}

// By hand: the root mean square of (3, 0, 4) is √(25/3) = 2.887, so an error of
// 0.1 at the 0 counts 0.1/2.887, and one of 0.1 at the 4 counts 0.1/4.
func TestMaxRel(t *testing.T) {
	for _, c := range []struct {
		got  []float64
		want float64
	}{
		{[]float64{3, 0.1, 4}, 0.1 / math.Sqrt(25.0/3)},
		{[]float64{3, 0, 4.1}, 0.1 / 4},
	} {
		d := CompareWithin(1e-9, format.FromFloat64s("x", []int{3}, []float64{3, 0, 4}), format.FromFloat64s("x", []int{3}, c.got))
		if math.Abs(d.MaxRel-c.want) > 1e-12 {
			t.Errorf("max rel of %v is %g, want %g", c.got, d.MaxRel, c.want)
		}
	}
}

func TestMerge(t *testing.T) {
	oracle, got := pair()
	good := compared(oracle, got)
	got[1], got[4] = 2.5, 0.75
	bad := compared(oracle, got)
	for name, d := range map[string]Difference{
		"bad last":  Difference{}.Merge(good).Merge(bad),
		"bad first": bad.Merge(good).Merge(Difference{}),
	} {
		if d.Within || d.MaxAbs != 0.5 || d.MaxRel != bad.MaxRel || !slices.Equal(d.WorstIndex, []int{0, 1}) || d.FirstBad == nil ||
			d.FirstBad.Got != 2.5 || d.Elements != 12 || d.ArgmaxChecked != 4 || d.ArgmaxAgreed != 4 {
			t.Errorf("%s: %+v, %v", name, d, d.FirstBad)
		}
	}
	if d := compared([]float64{1, 1, 1}, []float32{1, 1, 1}); !math.IsNaN(d.ArgmaxAgreement()) {
		t.Errorf("no row is decided, yet %g of them agree", d.ArgmaxAgreement())
	}
	if !good.Merge(good).Within {
		t.Error("two good comparisons are not good")
	}
	if !good.Merge(Difference{}).Within {
		t.Error("merging with nothing spoils a good comparison")
	}
	if (Difference{}).Within || (Difference{}).Merge(Difference{}).Within {
		t.Error("nothing compared counts as within")
	}
}

func TestFirstDifference(t *testing.T) {
	value := func(name string, x float64) format.Tensor { return format.FromFloat64s(name, []int{1}, []float64{x}) }
	oracle := []format.Tensor{value("embedding", 1), value("fused", 2), value("h.0.attn.scores", 3), value("logits", 4)}
	for _, c := range []struct {
		got  []format.Tensor
		want string
	}{
		{[]format.Tensor{value("logits", 5), value("h.0.attn.scores", 3.1), value("embedding", 1)}, "h.0.attn.scores"},
		{[]format.Tensor{value("logits", 5), value("h.0.attn.scores", 3), value("embedding", 1)}, "logits"},
		{oracle, ""},
		{nil, ""},
	} {
		if name := FirstDifference(oracle, Bounds{}, c.got); name != c.want {
			t.Errorf("first difference is %q, want %q", name, c.want)
		}
	}
}

// Each element has its own bound, to which the rounding to the result's type is
// added. Where no bound is known, nothing is within.
func TestCompareByBounds(t *testing.T) {
	oracle := format.FromFloat64s("x", []int{2, 2}, []float64{1, 100, 3, 0})
	bound := format.FromFloat64s("x", []int{2, 2}, []float64{1e-6, 1e-3, 0, 0})
	for _, c := range []struct {
		name   string
		got    []float32
		within bool
	}{
		{"equal", []float32{1, 100, 3, 0}, true},
		{"within", []float32{1 + 8e-7, 100.0009, 3, 0}, true},
		{"the first beyond its own", []float32{1.0001, 100, 3, 0}, false},
		{"without a bound, by more than the type's rounding", []float32{1, 100, 3.000001, 0}, false},
		{"zero by anything", []float32{1, 100, 3, 1e-30}, false},
	} {
		d := Compare(oracle, format.FromFloat32s("x", []int{2, 2}, c.got), bound)
		if d.Within != c.within || (d.FirstBad == nil) != c.within || d.Unknown > 0 {
			t.Errorf("%s: %+v, %v", c.name, d, d.FirstBad)
		}
	}
	d := Compare(oracle, format.FromFloat32s("x", []int{2, 2}, []float32{1, 100.00049, 3, 0}), bound)
	if math.Abs(d.Used-0.49) > 0.01 || math.Abs(d.Bound-1e-3) > 1e-5 {
		t.Errorf("%g of %g used", d.Used, d.Bound)
	}
	bound = format.FromFloat64s("x", []int{2, 2}, []float64{1e-6, math.Inf(1), math.NaN(), 0})
	d = Compare(oracle, format.FromFloat32s("x", []int{2, 2}, []float32{1, 7, 3, 0}), bound)
	if d.Within || d.FirstBad != nil || d.Unknown != 2 || !slices.Equal(d.FirstUnknown, []int{0, 1}) {
		t.Errorf("unknown bounds: %+v", d)
	}
	if d := Compare(oracle, format.FromFloat32s("x", []int{2, 2}, []float32{2, 7, 3, 0}), bound); d.FirstBad == nil || d.Within {
		t.Errorf("a value beyond its bound next to unknown ones: %+v", d)
	}
	if d := Compare(oracle, format.FromFloat32s("x", []int{2, 2}, []float32{1, float32(math.NaN()), 3, 0}), bound); d.FirstBad != nil || d.Unknown != 2 || d.Within {
		t.Errorf("NaN where no bound is known: %+v", d)
	}
	if d := Compare(oracle, oracle, format.FromFloat64s("x", []int{3}, make([]float64, 3))); d.Within || d.Reason == "" {
		t.Errorf("bounds of another tensor: %+v", d)
	}
	ids := format.FromInt64s("x", []int{2}, []int64{1, 7})
	if d := Compare(ids, format.FromInt64s("x", []int{2}, []int64{1, 8}), format.Tensor{}); d.Within || d.FirstBad == nil {
		t.Errorf("integers are exact: %+v", d)
	}
	if d := Compare(ids, ids, format.FromFloat64s("x", []int{2}, []float64{0, math.Inf(1)})); d.Within || d.Unknown != 1 {
		t.Errorf("an integer that rounding may change: %+v", d)
	}
}

// The worst value beyond its bound is kept beside the first, with what no bound allows above all.
func TestWorstBad(t *testing.T) {
	x, bound := format.FromFloat64s("x", []int{4}, make([]float64, 4)), format.FromFloat64s("x", []int{4}, []float64{1, 1, 1, 1})
	of := func(y ...float64) Difference { return Compare(x, format.FromFloat64s("x", []int{4}, y), bound) }
	for worst, d := range map[int]Difference{
		0: of(3, 2, 0, 0),
		1: of(2, 3, 0, 0),
		2: of(2, 3, 0, 0).Merge(of(0, 0, 4, 0)),
		3: of(2, 0, 1e9, math.NaN()),
	} {
		if d.FirstBad == nil || d.FirstBad.Index[0] != 0 || d.WorstBad == nil || d.WorstBad.Index[0] != worst {
			t.Errorf("%d: %+v, %+v", worst, d.FirstBad, d.WorstBad)
		}
	}
}

// A runtime whose outputs have no known bound is neither a pass nor a difference.
func TestUncertified(t *testing.T) {
	o := boundless{&fake{vocab: vocab, double: true}}
	r, err := Verify(t.Context(), o, []Candidate{candidate("good", nil), candidate("bad", func(v []float64) { v[0] = math.Inf(1) })}, Cases(vocab, 4, 1))
	if err != nil || r.Verdict != Fail || r.Results[0].Status != StatusUncertified || !strings.Contains(r.Results[0].Reason, "a sum of nothing") {
		t.Errorf("%+v, %v", r, err)
	}
	if r.Results[1].Status != StatusUncertified { // where float32 overflows, a right runtime gives an infinity
		t.Errorf("%+v", r.Results[1])
	}
}

// boundless is an oracle that knows no bound.
type boundless struct{ *fake }

func (b boundless) Bounds(inputs map[string]format.Tensor, numbers ...Numbers) (Bounded, error) {
	x, err := b.fake.Bounds(inputs, numbers...)
	for i := range x.Bounds {
		for name, t := range x.Bounds[i].Of {
			v, _ := t.Float64s()
			for j := range v {
				v[j] = math.Inf(1)
			}
			x.Bounds[i].Of[name] = format.FromFloat64s(name, t.Shape, v)
		}
		x.Bounds[i].Unknown = "a sum of nothing"
	}
	return x, err
}
