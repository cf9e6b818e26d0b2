package format

import (
	"bytes"
	"slices"
	"testing"
)

// TestBigEndian turns on what a big-endian machine does. On a little-endian one
// it reverses the bytes of every element, and reverses them back.
func TestBigEndian(t *testing.T) {
	defer func(was bool) { littleEndian = was }(littleEndian)
	x := FromFloat32s("x", []int{2}, []float32{1, -2})
	littleEndian = !littleEndian
	y := FromFloat32s("x", []int{2}, []float32{1, -2})
	for i := 0; i < len(x.Data); i += 4 {
		want := slices.Clone(x.Data[i : i+4])
		slices.Reverse(want)
		if !bytes.Equal(y.Data[i:i+4], want) {
			t.Errorf("element %d is % x, want % x", i/4, y.Data[i:i+4], want)
		}
	}
	if v, err := y.Float32s(); err != nil || v[0] != 1 || v[1] != -2 {
		t.Errorf("read back as %v, %v", v, err)
	}
}
