package gguf

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/attnx/attnx/format"
)

// elements returns the elements of a matrix in blocks, and for each the size of the
// terms that make it.
func elements(b format.Blocks) (values, sizes []float64) {
	for r := range b.Rows {
		for c := range b.Columns {
			integer := func(half, halves int) float64 {
				i := (r*halves+half)*b.Columns + c
				return float64(b.Integers[i/2] >> (4 * (i % 2)) & 15)
			}
			block := c / b.Size
			q := integer(0, 1) - 8
			if b.Wide {
				q = 16*integer(0, 2) + integer(1, 2) - 128
			}
			s := float64(b.Scales[r*b.Count()+block])
			x, size := s*q, math.Abs(s)*128
			if b.Offsets != nil {
				o := float64(b.Offsets[block*b.Rows+r])
				x, size = x+o, size+math.Abs(o)
			}
			values, sizes = append(values, x), append(sizes, size)
		}
	}
	return values, sizes
}

// Packed elements are those of ggml's blocks: Dequantize's, which are held to the
// package gguf. With an offset they are the same real number, rounded elsewhere.
func TestPack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	halves := map[Type][]int{ // where float16 numbers end in a block, which are to be finite
		Q4_0: {1}, Q4_1: {1, 3}, Q5_0: {1}, Q5_1: {1, 3}, Q8_0: {1}, Q4_K: {1, 3}, Q5_K: {1, 3}, Q6_K: {209},
	}
	if len(halves) != len(packers) {
		t.Fatalf("%d types are tested, %d are packed", len(halves), len(packers))
	}
	for typ, ends := range halves {
		const rows, columns = 3, 768
		block, size := typ.Block()
		data := make([]byte, rows*columns/block*size)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		for b := 0; b < len(data); b += size {
			for _, end := range ends {
				data[b+end] &= 0xbb
			}
		}
		want := make([]float32, rows*columns)
		if err := Dequantize(typ, want, data); err != nil {
			t.Fatal(err)
		}
		got, err := Pack(typ, rows, columns, data)
		if err != nil || got.Check() != nil {
			t.Fatal(err, got.Check())
		}
		if n := int64(len(got.Integers) + 4*len(got.Scales) + 4*len(got.Offsets)); PackedSize(typ, rows*columns) < n || PackedSize(typ, rows*columns) > n+n/3 {
			t.Errorf("%s: %d bytes, expected %d", typ, PackedSize(typ, rows*columns), n)
		}
		values, sizes := elements(got)
		for i, w := range want {
			most := 0.0
			if got.Offsets != nil {
				most = 0x1p-22 * sizes[i]
			}
			if math.Abs(values[i]-float64(w)) > most {
				t.Fatalf("%s, element %d: %g, expected %g", typ, i, values[i], w)
			}
		}
		if _, err := Pack(typ, rows, columns, data[1:]); err == nil {
			t.Error("a byte too few was taken")
		}
	}
	if _, err := Pack(F16, 1, 32, make([]byte, 64)); err == nil {
		t.Error("F16 was taken")
	}
}
