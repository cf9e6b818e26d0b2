package format_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/attnx/attnx/format"
)

func TestDiff(t *testing.T) {
	nan := float32(math.NaN())
	a := []format.Tensor{
		format.FromFloat32s("w", []int{2, 2}, []float32{3, 4, nan, 0}),
		format.FromFloat32s("same", []int{1}, []float32{nan}),
		format.FromFloat32s("shape", []int{2}, []float32{1, 2}),
		format.FromFloat32s("gone", []int{1}, []float32{1}),
		format.FromUint8s("attnx.blob.x", []int{2}, []byte{1, 200}),
	}
	b := []format.Tensor{
		format.FromFloat32s("w", []int{2, 2}, []float32{0, 4, nan, 4}),
		format.FromFloat32s("same", []int{1}, []float32{nan}),
		format.FromFloat32s("shape", []int{1, 2}, []float32{1, 2}),
		format.FromFloat32s("new", []int{1}, []float32{nan}),
		format.FromUint8s("attnx.blob.x", []int{2}, []byte{1, 100}),
	}
	open := func(b []byte) (*format.Reader, *counting) {
		c := &counting{ReaderAt: bytes.NewReader(b)}
		r, err := format.NewReader(c, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		c.bytes.Store(0)
		return r, c
	}
	want := map[string]string{"w": format.Changed, "same": format.Equal, "shape": format.Reshaped, "gone": format.OnlyA, "new": format.OnlyB, "attnx.blob.x": format.Changed}
	for _, c := range []struct {
		name           string
		a, b           []byte
		values, sealed bool
	}{
		{"sealed", sealed(t, nil, a...), sealed(t, nil, b...), false, true},
		{"sealed, values", sealed(t, nil, a...), sealed(t, nil, b...), true, true},
		{"plain", write(t, nil, a...), write(t, nil, b...), false, false},
		{"mixed, values", sealed(t, nil, a...), write(t, nil, b...), true, false},
	} {
		ra, ca := open(c.a)
		rb, cb := open(c.b)
		got, err := format.Diff(ra, rb, c.values)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %v, %v", c.name, got, err)
		}
		for _, d := range got {
			if d.State != want[d.Name] {
				t.Errorf("%s: %s is %q, want %q", c.name, d.Name, d.State, want[d.Name])
			}
			if d.Name == "w" && c.values && (d.Changed != 2 || d.MaxAbs != 4 || d.Norm != 5) {
				t.Errorf("%s: %+v", c.name, d)
			}
			if d.Name == "attnx.blob.x" && c.values && d.MaxAbs != 100 {
				t.Errorf("%s: %+v", c.name, d)
			}
		}
		if read := ca.bytes.Load() + cb.bytes.Load(); c.sealed && !c.values && read > 0 {
			t.Errorf("%s: %d bytes of data were read", c.name, read)
		}
	}
	x, _ := open(sealed(t, nil, format.FromFloat32s("w", []int{1}, []float32{1})))
	y, _ := open(sealed(t, nil, format.FromFloat32s("w", []int{1}, []float32{nan})))
	if d, err := format.Diff(x, y, true); err != nil || !math.IsInf(d[0].MaxAbs, 1) {
		t.Errorf("to no number: %+v, %v", d, err)
	}
}
