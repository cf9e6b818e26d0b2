package format_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// TestNarrowEveryValue rounds, for each pair of neighbours of a 16-bit type,
// the float64 halfway between them and its own neighbours: the halfway one goes
// to the even neighbour, the others to the nearer. Rounding is monotone, so
// these are all the places where it can go wrong.
func TestNarrowEveryValue(t *testing.T) {
	for _, d := range []format.DType{format.Float16, format.BFloat16} {
		infinity := map[format.DType]uint16{format.Float16: 0x7c00, format.BFloat16: 0x7f80}[d]
		value := func(bits uint16) float64 {
			v, err := (format.Tensor{Name: "v", DType: d, Shape: []int{}, Data: binary.LittleEndian.AppendUint16(nil, bits)}).AsFloat64s()
			if err != nil {
				t.Fatal(err)
			}
			return v[0]
		}
		var in []float64
		var want []uint16
		add := func(x float64, bits uint16) {
			in, want = append(in, x, -x), append(want, bits, bits|0x8000)
		}
		for bits := uint16(0); bits < infinity; bits++ {
			a, b := value(bits), value(bits+1)
			if bits+1 == infinity { // beyond the largest the next step counts as a number
				b = 2*a - value(bits-1)
			}
			half := (a + b) / 2
			even := bits + bits&1
			add(a, bits)
			add(half, even)
			add(math.Nextafter(half, 0), bits)
			add(math.Nextafter(half, math.Inf(1)), bits+1)
		}
		add(math.Inf(1), infinity)
		add(math.MaxFloat64, infinity)
		add(5e-324, 0)
		out, r, err := format.FromFloat64s("x", []int{len(in)}, in).Convert(d)
		if err != nil {
			t.Fatal(err)
		}
		wrong := 0
		for i, x := range in {
			if got := binary.LittleEndian.Uint16(out.Data[2*i:]); got != want[i] && wrong < 10 {
				wrong++
				t.Errorf("%s: %g (%x) became %#04x, want %#04x", d, x, x, got, want[i])
			}
		}
		if r.Elements != len(in) || r.Overflowed != 6 || r.Changed <= len(in)/2 {
			t.Errorf("%s: %+v of %d", d, r, len(in))
		}
		unit := map[format.DType]float64{format.Float16: 0x1p-11, format.BFloat16: 0x1p-8}[d]
		if !(r.MaxRel <= unit && r.MaxRel > 0.99*unit) {
			t.Errorf("%s: the largest relative error is %g, half a unit of the last place is %g", d, r.MaxRel, unit)
		}
	}
}

func TestConvert(t *testing.T) {
	x := format.FromFloat32s("x", []int{4}, []float32{1, 1e6, float32(math.NaN()), float32(math.Inf(-1))})
	half, r, err := x.Convert(format.Float16)
	if err != nil || r.Overflowed != 1 || r.Changed != 1 || r.MaxAbs != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	back, _, err := half.Convert(format.Float32)
	if err != nil {
		t.Fatal(err)
	}
	v, err := back.Float32s()
	if err != nil || v[0] != 1 || !math.IsInf(float64(v[1]), 1) || v[2] == v[2] || !math.IsInf(float64(v[3]), -1) {
		t.Errorf("%v, %v", v, err)
	}
	if same, r, err := x.Convert(format.Float32); err != nil || r.Changed != 0 || &same.Data[0] != &x.Data[0] {
		t.Errorf("to its own type: %+v, %v", r, err)
	}
	if _, r, err := format.FromFloat64s("y", []int{1}, []float64{1 + 0x1p-30}).Convert(format.Float32); err != nil || r.Changed != 1 || r.MaxAbs != 0x1p-30 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, _, err := format.FromInt64s("i", []int{1}, []int64{1}).Convert(format.Float32); err == nil || !strings.Contains(err.Error(), "I64 cannot become F32") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkConvert(b *testing.B) {
	v := make([]float32, 1<<22)
	for i := range v {
		v[i] = float32(math.Sin(float64(i)) / 50) // as large as a trained model's weights
	}
	x := format.FromFloat32s("x", []int{len(v)}, v)
	for _, to := range []format.DType{format.Float16, format.BFloat16} {
		b.Run(to.String(), func(b *testing.B) {
			b.SetBytes(int64(len(x.Data)))
			for b.Loop() {
				if _, _, err := x.Convert(to); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
