package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// decoders write the elements of one block, as ggml-quants.c does
// (dequantize_row_*): with float32 operations, each rounded. The conversions
// around products keep the compiler from fusing them with a sum.
var decoders = map[Type]func(y []float32, block []byte){
	F32:  func(y []float32, b []byte) { y[0] = math.Float32frombits(binary.LittleEndian.Uint32(b)) },
	F16:  func(y []float32, b []byte) { y[0] = half(b) },
	BF16: func(y []float32, b []byte) { y[0] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16) },
	Q4_0: func(y []float32, b []byte) {
		d := half(b)
		for i, q := range b[2:18] {
			y[i], y[i+16] = d*float32(int(q&15)-8), d*float32(int(q>>4)-8)
		}
	},
	Q4_1: func(y []float32, b []byte) {
		d, m := half(b), half(b[2:])
		for i, q := range b[4:20] {
			y[i], y[i+16] = float32(d*float32(q&15))+m, float32(d*float32(q>>4))+m
		}
	},
	Q5_0: func(y []float32, b []byte) {
		d, high := half(b), binary.LittleEndian.Uint32(b[2:])
		for i, q := range b[6:22] {
			y[i], y[i+16] = d*float32(int(fifth(q&15, high, i))-16), d*float32(int(fifth(q>>4, high, i+16))-16)
		}
	},
	Q5_1: func(y []float32, b []byte) {
		d, m, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
		for i, q := range b[8:24] {
			y[i], y[i+16] = float32(d*float32(fifth(q&15, high, i)))+m, float32(d*float32(fifth(q>>4, high, i+16)))+m
		}
	},
	Q8_0: func(y []float32, b []byte) {
		d := half(b)
		for i, q := range b[2:34] {
			y[i] = float32(int8(q)) * d
		}
	},
	Q4_K: func(y []float32, b []byte) {
		d, low, scales, qs := half(b), half(b[2:]), b[4:16], b[16:144]
		for k := range 4 { // 64 elements from 32 bytes
			s1, m1 := scaleAndMin(scales, 2*k)
			s2, m2 := scaleAndMin(scales, 2*k+1)
			d1, d2, o1, o2 := d*s1, d*s2, low*m1, low*m2
			for i, q := range qs[32*k : 32*k+32] {
				y[64*k+i] = float32(d1*float32(q&15)) - o1
				y[64*k+32+i] = float32(d2*float32(q>>4)) - o2
			}
		}
	},
	Q5_K: func(y []float32, b []byte) {
		d, low, scales, high, qs := half(b), half(b[2:]), b[4:16], b[16:48], b[48:176]
		for k := range 4 {
			s1, m1 := scaleAndMin(scales, 2*k)
			s2, m2 := scaleAndMin(scales, 2*k+1)
			d1, d2, o1, o2 := d*s1, d*s2, low*m1, low*m2
			for i, q := range qs[32*k : 32*k+32] {
				h := high[i] >> (2 * k)
				y[64*k+i] = float32(d1*float32(q&15|h&1<<4)) - o1
				y[64*k+32+i] = float32(d2*float32(q>>4|h>>1&1<<4)) - o2
			}
		}
	},
	Q6_K: func(y []float32, b []byte) {
		low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
		for k := range 2 { // 128 elements from 64 bytes
			y, low, high, scales := y[128*k:], low[64*k:], high[32*k:], scales[8*k:]
			for i := range 32 {
				h, s := high[i], i/16
				y[i] = float32(d*float32(int8(scales[s]))) * float32(int(low[i]&15|h&3<<4)-32)
				y[i+32] = float32(d*float32(int8(scales[s+2]))) * float32(int(low[i+32]&15|h>>2&3<<4)-32)
				y[i+64] = float32(d*float32(int8(scales[s+4]))) * float32(int(low[i]>>4|h>>4&3<<4)-32)
				y[i+96] = float32(d*float32(int8(scales[s+6]))) * float32(int(low[i+32]>>4|h>>6<<4)-32)
			}
		}
	},
}

// Dequantize writes the elements that data holds, whole blocks of a type, to
// values: bit for bit those of ggml and of the Python package gguf.
func Dequantize(t Type, values []float32, data []byte) error {
	decode := decoders[t]
	if decode == nil {
		return fmt.Errorf("elements of type %s cannot be read", t)
	}
	block, size := t.Block()
	if len(values)%block != 0 || len(data) != len(values)/block*size {
		return fmt.Errorf("%d bytes are not %d elements of type %s", len(data), len(values), t)
	}
	for ; len(values) > 0; values, data = values[block:], data[size:] {
		decode(values[:block], data[:size])
	}
	return nil
}

// fifth adds bit i of high to a number of four bits.
func fifth(q byte, high uint32, i int) byte { return q | byte(high>>i&1)<<4 }

// scaleAndMin returns the six bits of the scale and of the minimum of part i of
// eight.
func scaleAndMin(packed []byte, i int) (scale, least float32) {
	if i < 4 {
		return float32(packed[i] & 63), float32(packed[i+4] & 63)
	}
	return float32(packed[i+4]&15 | packed[i-4]>>6<<4), float32(packed[i+4]>>4 | packed[i]>>6<<4)
}

// half returns the float16 that b starts with.
func half(b []byte) float32 {
	u := uint32(b[0]) | uint32(b[1])<<8
	x := math.Float32bits(math.Float32frombits(u&0x7fff<<13) * 0x1p112) // the exponent counts from -15, not from -127
	if u&0x7c00 == 0x7c00 {
		x = 0x7f800000 | u&1023<<13 // infinite, or no number
	}
	return math.Float32frombits(x | u>>15<<31)
}
