package format_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

func TestDTypes(t *testing.T) {
	for _, d := range dtypes() {
		if got, ok := format.ParseDType(d.String()); !ok || got != d {
			t.Errorf("%v is parsed as %v, %v", d, got, ok)
		}
		// F64 has 64 bits, and so on; BOOL is the one name without its size.
		if bits := strings.TrimLeft(d.String(), "BFIU"); bits != "OOL" {
			if want := map[string]int{"64": 8, "32": 4, "16": 2, "8": 1}[bits]; d.Size() != want {
				t.Errorf("%v has %d bytes, want %d", d, d.Size(), want)
			}
		}
		if want := strings.Contains(d.String(), "F"); d.Float() != want {
			t.Errorf("%v: Float is %v", d, d.Float())
		}
	}
	for _, name := range []string{"", "f32", "invalid", "F8"} {
		if d, ok := format.ParseDType(name); ok {
			t.Errorf("%q is parsed as %v", name, d)
		}
	}
	if beyond := format.DType(200); beyond.Size() != 0 || beyond.String() != "DType(200)" {
		t.Errorf("DType(200) has size %d and name %s", beyond.Size(), beyond)
	}
}

func TestElements(t *testing.T) {
	for _, c := range []struct {
		shape []int
		n     int
		ok    bool
	}{
		{nil, 1, true},
		{[]int{2, 3, 4}, 24, true},
		{[]int{2, 0, 4}, 0, true},
		{[]int{math.MaxInt}, math.MaxInt, true},
		{[]int{-1}, 0, false},
		{[]int{0, -1}, 0, false},
		{[]int{-1, -1}, 0, false},
		{[]int{2, math.MaxInt}, 0, false},
		{[]int{math.MaxInt, math.MaxInt}, 0, false},
		{[]int{0, math.MaxInt, math.MaxInt}, 0, false},
	} {
		if n, ok := format.Elements(c.shape); n != c.n || ok != c.ok {
			t.Errorf("%v: got %d, %v, want %d, %v", c.shape, n, ok, c.n, c.ok)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		x    format.Tensor
		want string // "" for no error
	}{
		{format.Tensor{Name: "x", DType: format.Float32, Shape: []int{2, 1}, Data: make([]byte, 8)}, ""},
		{format.Tensor{Name: "x", DType: format.Float32, Shape: []int{0}}, ""},
		{format.Tensor{Name: "x", DType: format.Float32, Data: make([]byte, 4)}, ""},
		{format.Tensor{Name: "x", Data: make([]byte, 4)}, "unknown element type"},
		{format.Tensor{Name: "x", DType: 99, Data: make([]byte, 4)}, "unknown element type"},
		{format.Tensor{Name: "x", DType: format.Float32, Shape: []int{2}, Data: make([]byte, 4)}, "expects 8 bytes, has 4"},
		{format.Tensor{Name: "x", DType: format.Float32, Shape: []int{-1}}, "negative or too large"},
		{format.Tensor{Name: "x", DType: format.Float64, Shape: []int{math.MaxInt/4 + 1}}, "negative or too large"},
	} {
		err := c.x.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: got %v, want %q", c.x, err, c.want)
		}
	}
}

func TestViews(t *testing.T) {
	values := []float32{1, -2, float32(math.Inf(1))}
	x := format.FromFloat32s("x", []int{3}, values)
	y := x.WithName("y")
	v, err := y.Float32s()
	if err != nil || y.Name != "y" || x.Name != "x" {
		t.Fatalf("%v %v %v", x, y, err)
	}
	if v[0] = 7; values[0] != 7 {
		t.Error("the view does not share the memory it was made from")
	}
	if _, err := x.Int64s(); err == nil || !strings.Contains(err.Error(), `"x" holds F32, not I64`) {
		t.Errorf("a view of another type: got %v", err)
	}
	short := x
	short.Data = short.Data[:8]
	if _, err := short.Float32s(); err == nil {
		t.Error("a view of too few bytes is given")
	}
	odd := format.Tensor{Name: "x", DType: format.Int64, Shape: []int{1}, Data: append(make([]byte, 1, 16), 5, 0, 0, 0, 0, 0, 0, 0x80)[1:]}
	if n, err := odd.Int64s(); err != nil || n[0] != math.MinInt64+5 {
		t.Errorf("bytes at an odd address: got %v, %v", n, err)
	}
	if n, err := format.FromFloat64s("x", []int{0}, nil).Float64s(); err != nil || n == nil || len(n) != 0 {
		t.Errorf("no elements: got %v, %v", n, err)
	}
}

// TestAsFloat64s checks elements whose bytes and values are known from IEEE 754
// and two's complement.
func TestAsFloat64s(t *testing.T) {
	for _, c := range []struct {
		dtype format.DType
		data  []byte
		want  []float64
	}{
		{format.Float64, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, []float64{1.5}},
		{format.Float32, []byte{0, 0, 0xc0, 0xbf}, []float64{-1.5}},
		{format.BFloat16, []byte{0xc0, 0xbf, 0x80, 0x7f}, []float64{-1.5, math.Inf(1)}},
		{format.Float16, []byte{
			0x00, 0x3e, 0x00, 0xc0, 0xff, 0x7b, 0x00, 0x04, 0x01, 0x00, 0xff, 0x03, 0x00, 0xfc, 0x55, 0x35,
		}, []float64{1.5, -2, 65504, math.Pow(2, -14), math.Pow(2, -24), 1023 * math.Pow(2, -24), math.Inf(-1), 0.333251953125}},
		{format.Int64, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []float64{-2}},
		{format.Int32, []byte{0, 0, 0, 0x80}, []float64{-2147483648}},
		{format.Int16, []byte{0xfe, 0xff}, []float64{-2}},
		{format.Int8, []byte{0x80, 1}, []float64{-128, 1}},
		{format.Uint64, []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, []float64{9223372036854775808}},
		{format.Uint32, []byte{0xff, 0xff, 0xff, 0xff}, []float64{4294967295}},
		{format.Uint16, []byte{0xfe, 0xff}, []float64{65534}},
		{format.Uint8, []byte{0x80}, []float64{128}},
		{format.Bool, []byte{0, 1, 2}, []float64{0, 1, 1}},
	} {
		x := format.Tensor{Name: "x", DType: c.dtype, Shape: []int{len(c.want)}, Data: c.data}
		if got, err := x.AsFloat64s(); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, %v, want %v", c.dtype, got, err, c.want)
		}
	}
	for _, d := range dtypes() { // a type without a conversion would be a nil function
		if v, err := (format.Tensor{DType: d, Shape: []int{1}, Data: make([]byte, d.Size())}).AsFloat64s(); err != nil || v[0] != 0 {
			t.Errorf("%v: got %v, %v", d, v, err)
		}
	}
	if _, err := (format.Tensor{Name: "x"}).AsFloat64s(); err == nil {
		t.Error("a tensor without a type is converted")
	}
}

// TestFloat16 walks through every binary16: as the bits go up so do the
// numbers, by steps of 2^-24 at first and ending in infinity and NaN.
func TestFloat16(t *testing.T) {
	x := format.Tensor{DType: format.Float16, Shape: []int{1 << 16}, Data: make([]byte, 1<<17)}
	for i := range 1 << 16 {
		x.Data[2*i], x.Data[2*i+1] = byte(i), byte(i>>8)
	}
	v, err := x.AsFloat64s()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 0x7c00; i++ {
		step := math.Pow(2, float64(max(i>>10, 1)-25)) // doubles every 1024 numbers, from the second 1024 on
		if v[i+1]-v[i] != step && i+1 < 0x7c00 {
			t.Fatalf("%#04x is %v and the next %v, want a step of %v", i, v[i], v[i+1], step)
		}
		if v[i|0x8000] != -v[i] || math.Signbit(v[i]) || !math.Signbit(v[i|0x8000]) {
			t.Fatalf("%#04x is %v, with the sign %v", i, v[i], v[i|0x8000])
		}
	}
	for i := 0x7c01; i < 0x8000; i++ {
		if !math.IsNaN(v[i]) || !math.IsNaN(v[i|0x8000]) {
			t.Fatalf("%#04x is %v, want NaN", i, v[i])
		}
	}
	if !math.IsInf(v[0x7c00], 1) {
		t.Errorf("0x7c00 is %v, want infinity", v[0x7c00])
	}
}
