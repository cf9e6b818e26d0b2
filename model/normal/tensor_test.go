package normal

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/attnx/attnx/format"
)

// Moved elements are those that an index in every axis gives, whatever their size, the
// order of the axes and the sizes beside those of a block.
func TestGathered(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		dtype := []format.DType{format.Float32, format.BFloat16, format.Int8, format.Float64}[random.IntN(4)]
		shape, perm := make([]int, 1+random.IntN(4)), []int(nil)
		for i := range shape {
			shape[i] = []int{1, 2, 5, 17, 33}[random.IntN(5)]
		}
		perm = random.Perm(len(shape))
		n, _ := format.Elements(shape)
		x := format.Tensor{DType: dtype, Shape: shape, Data: make([]byte, n*dtype.Size())}
		for i := range x.Data {
			x.Data[i] = byte(random.Uint32())
		}
		moved, ok := transposed(x, perm)
		if !ok {
			t.Fatalf("%v by %v", shape, perm)
		}
		at := make([]int, len(shape)) // of the result
		for i := range n {
			for left, a := i, len(at)-1; a >= 0; a-- {
				at[a], left = left%moved.Shape[a], left/moved.Shape[a]
			}
			from := 0
			for a, size := range shape {
				for to, p := range perm {
					if p == a {
						from = from*size + at[to]
					}
				}
			}
			size := dtype.Size()
			if !bytes.Equal(moved.Data[i*size:(i+1)*size], x.Data[from*size:(from+1)*size]) {
				t.Fatalf("%s%v by %v: element %v", dtype, shape, perm, at)
			}
		}
	}
}
