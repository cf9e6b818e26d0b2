package gguf

import (
	"encoding/binary"
	"fmt"

	"github.com/attnx/attnx/format"
)

// packer is how the blocks of a type become those of format.Blocks.
type packer struct {
	size    int // elements with a scale of their own
	wide    bool
	offsets bool
	// take writes what a block holds: its integers, one a byte, and for each size of
	// them a scale and an offset. nil: pack4 or pack8 takes whole rows.
	take func(block, integers []byte, scales, offsets []float32)
}

var packers = map[Type]packer{
	Q4_0: {size: 32},
	Q4_1: {size: 32, offsets: true},
	Q5_0: {32, true, false, func(b, q []byte, s, _ []float32) {
		s[0] = half(b)
		fifths(q, b[6:22], binary.LittleEndian.Uint32(b[2:]), 128-16)
	}},
	Q5_1: {32, true, true, func(b, q []byte, s, o []float32) {
		s[0], o[0] = half(b), half(b[2:])
		fifths(q, b[8:24], binary.LittleEndian.Uint32(b[4:]), 128)
	}},
	Q8_0: {size: 32, wide: true},
	Q4_K: {32, false, true, func(b, q []byte, s, o []float32) {
		d, low := half(b), half(b[2:])
		for k := range 8 {
			scale, least := scaleAndMin(b[4:16], k)
			s[k] = d * scale
			o[k] = 8*s[k] - float32(low*least)
		}
		for k := range 4 {
			for i, x := range b[16+32*k:][:32] {
				q[64*k+i], q[64*k+32+i] = x&15, x>>4
			}
		}
	}},
	Q5_K: {32, true, true, func(b, q []byte, s, o []float32) {
		d, low, high := half(b), half(b[2:]), b[16:48]
		for k := range 8 {
			scale, least := scaleAndMin(b[4:16], k)
			s[k], o[k] = d*scale, -(low * least)
		}
		for k := range 4 {
			for i, x := range b[48+32*k:][:32] {
				h := high[i] >> (2 * k)
				q[64*k+i], q[64*k+32+i] = 128+(x&15|h&1<<4), 128+(x>>4|h>>1&1<<4)
			}
		}
	}},
	Q6_K: {16, true, false, func(b, q []byte, s, _ []float32) {
		low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
		for k := range s {
			s[k] = d * float32(int8(scales[k]))
		}
		for k := range 2 {
			q, low, high := q[128*k:], low[64*k:], high[32*k:]
			for i := range 32 {
				h := high[i]
				q[i], q[i+32] = 96+(low[i]&15|h&3<<4), 96+(low[i+32]&15|h>>2&3<<4)
				q[i+64], q[i+96] = 96+(low[i]>>4|h>>4&3<<4), 96+(low[i+32]>>4|h>>6<<4)
			}
		}
	}},
}

// Packs reports whether Pack takes the blocks of a type.
func Packs(t Type) bool { return packers[t].size > 0 }

// PackedSize returns the bytes of a matrix of so many elements after Pack.
func PackedSize(t Type, elements int64) int64 {
	p, ok := packers[t]
	if !ok {
		return 0
	}
	n := elements / int64(p.size) // blocks
	bytes := n * int64(p.size) / 2
	if p.wide {
		bytes *= 2
	}
	return bytes + 8*n
}

// Pack returns a matrix (rows,columns) from its bytes in a type of blocks: the
// integers and scales are those of the file, so no element is rounded. A least number
// of a block becomes its offset.
func Pack(t Type, rows, columns int, data []byte) (format.Blocks, error) {
	block, bytes := t.Block()
	p := packers[t]
	if !Packs(t) || rows < 1 || columns < 1 || columns%block != 0 || len(data) != rows*(columns/block)*bytes {
		return format.Blocks{}, fmt.Errorf("gguf: %d bytes are no matrix [%d %d] of type %s", len(data), rows, columns, t)
	}
	out := format.Blocks{Rows: rows, Columns: columns, Size: p.size, Wide: p.wide}
	count, per := out.Count(), block/p.size
	out.Scales = make([]float32, rows*count)
	half := columns / 2 // bytes of a row of 4 bits
	if out.Integers = make([]byte, rows*half); p.wide {
		out.Integers = make([]byte, 2*rows*half)
	}
	if p.offsets {
		out.Offsets = make([]float32, rows*count)
	}
	integers, offsets := make([]byte, block), make([]float32, per)
	for r := range rows {
		scales := out.Scales[r*count:][:count]
		to := out.Integers[r*half:]
		if p.wide {
			to = out.Integers[2*r*half:]
		}
		switch t {
		case Q4_0, Q4_1:
			if p.offsets {
				pack4(to, scales, out.Offsets[r:], rows, data)
			} else {
				pack4(to, scales, nil, rows, data)
			}
			data = data[count*bytes:]
			continue
		case Q8_0:
			pack8(to[:half], to[half:2*half], scales, data)
			data = data[count*bytes:]
			continue
		}
		for k := 0; k < count; k += per {
			p.take(data, integers, scales[k:][:per], offsets)
			data = data[bytes:]
			for i, o := range offsets {
				if p.offsets {
					out.Offsets[(k+i)*rows+r] = o
				}
			}
			at := k * p.size / 2
			if p.wide {
				nibbles(to[at:], integers, 4)
				at += half
			}
			nibbles(to[at:], integers, 0)
		}
	}
	return out, nil
}

// pack4 packs a row of Q4_0, or, with offsets, of Q4_1, as Pack does for any type. The
// offset of block k is offsets[k·stride].
func pack4(to []byte, scales, offsets []float32, stride int, data []byte) {
	for k := range scales {
		s := half(data)
		scales[k] = s
		data = data[2:]
		if offsets != nil { // d·q + m = d·(q-8) + (m+8d)
			offsets[k*stride] = half(data) + 8*s
			data = data[2:]
		}
		for i := 0; i < 16; i += 8 { // elements 0 to 15 in the lower halves, then the others
			x := binary.LittleEndian.Uint64(data[i:])
			binary.LittleEndian.PutUint32(to[i/2:], pairs(x&lowHalves))
			binary.LittleEndian.PutUint32(to[8+i/2:], pairs(x>>4&lowHalves))
		}
		to, data = to[16:], data[16:]
	}
}

// pack8 packs a row of Q8_0: the upper halves of its integers, and the lower.
func pack8(upper, lower []byte, scales []float32, data []byte) {
	for k := range scales {
		scales[k] = half(data)
		data = data[2:]
		for i := 0; i < 32; i += 8 {
			x := binary.LittleEndian.Uint64(data[i:]) ^ 0x8080808080808080
			binary.LittleEndian.PutUint32(upper[i/2:], pairs(x>>4&lowHalves))
			binary.LittleEndian.PutUint32(lower[i/2:], pairs(x&lowHalves))
		}
		upper, lower, data = upper[16:], lower[16:], data[32:]
	}
}

// pairs returns the lower halves of eight bytes, whose upper are 0, two a byte.
func pairs(x uint64) uint32 {
	x = (x | x>>4) & evenBytes
	x = (x | x>>8) & evenPairs
	return uint32(x | x>>16)
}

// Of each byte in a word.
const (
	lowHalves = 0x0f0f0f0f0f0f0f0f
	evenBytes = 0x00ff00ff00ff00ff
	evenPairs = 0x0000ffff0000ffff
)

// nibbles writes four bits of each integer, from bit shift on, two a byte.
func nibbles(to, integers []byte, shift int) {
	for i := 0; i < len(integers); i += 8 {
		binary.LittleEndian.PutUint32(to[i/2:], pairs(binary.LittleEndian.Uint64(integers[i:])>>shift&lowHalves))
	}
}

// fifths writes 32 integers of five bits, each with more added.
func fifths(q, packed []byte, high uint32, more byte) {
	for i, x := range packed {
		q[i], q[i+16] = more+fifth(x&15, high, i), more+fifth(x>>4, high, i+16)
	}
}
