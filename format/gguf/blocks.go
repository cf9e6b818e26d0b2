package gguf

import "fmt"

// Splits reports whether Split takes the blocks of a type.
func Splits(t Type) bool { return t == Q4_0 || t == Q4_1 || t == Q8_0 }

// Split returns the parts of blocks of 32 elements, without changing a bit of them: the
// integers of each (16 bytes in Q4, of which the lower halves come first; in Q8_0 32
// bytes, to which 128 is added), its scale and, in Q4_1, its offset, both float16.
func Split(t Type, data []byte) (integers, scales, offsets []byte, err error) {
	_, size := t.Block()
	if !Splits(t) || len(data)%size != 0 {
		return nil, nil, nil, fmt.Errorf("gguf: %d bytes are no blocks of type %s that are kept: these are Q4_0, Q4_1 and Q8_0", len(data), t)
	}
	n := len(data) / size
	head := 2
	if t == Q4_1 {
		head, offsets = 4, make([]byte, 0, 2*n)
	}
	integers, scales = make([]byte, 0, n*(size-head)), make([]byte, 0, 2*n)
	for ; len(data) > 0; data = data[size:] {
		scales = append(scales, data[:2]...)
		if t == Q4_1 {
			offsets = append(offsets, data[2:4]...)
		}
		integers = append(integers, data[head:size]...)
	}
	if t == Q8_0 {
		for i := range integers {
			integers[i] ^= 0x80 // q+128
		}
	}
	return integers, scales, offsets, nil
}
