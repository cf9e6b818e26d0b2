package format

import "fmt"

// Blocks is a matrix (rows,columns) of integers, with a scale and an offset for each
// block of Size elements of a row. Element (r,c), in block b, is
//
//	Scales[r,b] · (q[r,c] - zero) + Offsets[b,r]
//
// where q has 4 bits and zero is 8, or, if Wide is set, q has 8 bits and zero is 128.
//
// Integers has Size/2 bytes for a block of integers of 4 bits, the lower half of a
// byte first: q[r,2i] and q[r,2i+1]. Those of 8 bits are stored as two of 4 bits, in
// twice the blocks: first those of the upper halves of a row, q>>4, then those of the
// lower halves, q&15.
type Blocks struct {
	Rows, Columns int
	Size          int // 16 or 32
	Wide          bool
	Integers      []byte    // (Rows, Columns/Size, Size/2), if Wide (Rows, 2, Columns/Size, Size/2)
	Scales        []float32 // (Rows, Columns/Size)
	Offsets       []float32 // (Columns/Size, Rows); nil: 0
}

// Count returns the number of blocks of a row.
func (b Blocks) Count() int { return b.Columns / b.Size }

// Check returns an error if the slices have other lengths than the matrix needs.
func (b Blocks) Check() error {
	if b.Size != 16 && b.Size != 32 {
		return fmt.Errorf("format: blocks of %d elements, expected 16 or 32", b.Size)
	}
	n := b.Rows * b.Count()
	bytes := n * b.Size / 2
	if b.Wide {
		bytes *= 2
	}
	if b.Rows < 1 || b.Columns < 1 || b.Columns%b.Size != 0 || len(b.Scales) != n || len(b.Integers) != bytes || b.Offsets != nil && len(b.Offsets) != n {
		return fmt.Errorf("format: %d bytes of integers, %d scales and %d offsets are no matrix [%d %d] in blocks of %d", len(b.Integers), len(b.Scales), len(b.Offsets), b.Rows, b.Columns, b.Size)
	}
	return nil
}
