package gguf

import (
	"math"
	"testing"

	"github.com/attnx/attnx/format"
)

// half of each of the 65,536 numbers is what format makes of it.
func TestHalf(t *testing.T) {
	all := format.Tensor{DType: format.Float16, Shape: []int{1 << 16}, Data: make([]byte, 1<<17)}
	for u := range 1 << 16 {
		all.Data[2*u], all.Data[2*u+1] = byte(u), byte(u>>8)
	}
	want, err := all.AsFloat64s()
	if err != nil {
		t.Fatal(err)
	}
	for u, w := range want {
		got := float64(half(all.Data[2*u:]))
		if math.Float64bits(got) != math.Float64bits(w) && !(math.IsNaN(got) && math.IsNaN(w)) {
			t.Fatalf("%#04x is %v, expected %v", u, got, w)
		}
	}
}
