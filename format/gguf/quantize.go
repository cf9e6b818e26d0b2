package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// encoders write one block of elements, as gguf.quants.quantize of the Python
// package does: with float32 operations, each rounded. They report whether the
// block can hold the elements.
var encoders = map[Type]func(block []byte, x []float32) bool{
	F32: func(b []byte, x []float32) bool {
		binary.LittleEndian.PutUint32(b, math.Float32bits(x[0]))
		return true
	},
	F16: func(b []byte, x []float32) bool { return putHalf(b, x[0]) || math.IsInf(float64(x[0]), 0) },
	BF16: func(b []byte, x []float32) bool {
		u := math.Float32bits(x[0])
		if u&0x7fffffff > 0x7f800000 {
			u = u&0xffff0000 | 64<<16 // a quiet NaN
		}
		u = uint32((uint64(u) + 0x7fff + uint64(u>>16&1)) >> 16)
		binary.LittleEndian.PutUint16(b, uint16(u))
		return true
	},
	Q8_0: func(b []byte, x []float32) bool {
		largest := float32(0)
		for _, v := range x {
			largest = max(largest, abs(v))
		}
		d := largest / 127
		inverse := reciprocal(d)
		for i, v := range x {
			a := abs(v * inverse)
			whole := floor(a)
			q := int8(whole + floor(2*(a-whole))) // half away from zero
			if math.Signbit(float64(v)) {
				q = -q
			}
			b[2+i] = byte(q)
		}
		return putHalf(b, d)
	},
	Q4_K: putQ4K,
	Q5_0: func(b []byte, x []float32) bool {
		far := farthest(x)
		d := far / -16
		inverse := reciprocal(d)
		q := func(v float32) byte { return byte(min(int(float32(v*inverse)+16.5), 31)) }
		high := uint32(0)
		for i := range 16 {
			low, up := q(x[i]), q(x[i+16])
			b[6+i] = low&15 | up&15<<4
			high |= uint32(low>>4)<<i | uint32(up>>4)<<(i+16)
		}
		binary.LittleEndian.PutUint32(b[2:], high)
		return putHalf(b, d)
	},
	Q4_0: func(b []byte, x []float32) bool {
		d := farthest(x) / -8
		inverse := reciprocal(d)
		q := func(v float32) byte { return byte(min(int(float32(v*inverse)+8.5), 15)) }
		for i := range 16 {
			b[2+i] = q(x[i]) | q(x[i+16])<<4
		}
		return putHalf(b, d)
	},
}

// farthest returns the element with the largest magnitude, the first of several.
func farthest(x []float32) float32 {
	far := x[0]
	for _, v := range x {
		if abs(v) > abs(far) {
			far = v
		}
	}
	return far
}

// Writable reports whether elements of the type can be written: see Quantize.
func (t Type) Writable() bool { return encoders[t] != nil }

// Writables lists the names of the types that can be written.
func Writables() []string { return names(encoders) }

// Quantize returns the elements of rows as whole blocks of a type: bit for bit
// those of gguf.quants.quantize. It rejects elements that the type cannot hold:
// blocks have no NaN and no infinity.
func Quantize(t Type, values []float32) ([]byte, error) {
	encode := encoders[t]
	if encode == nil {
		return nil, fmt.Errorf("elements of type %s cannot be written: take %s", t, quote.Or(names(encoders)))
	}
	block, size := t.Block()
	if len(values)%block != 0 {
		return nil, fmt.Errorf("%d elements are not whole blocks of %d: take F16 for this tensor", len(values), block)
	}
	data := make([]byte, len(values)/block*size)
	for i := 0; i < len(values); i += block {
		x := values[i : i+block]
		if block > 1 {
			for k, v := range x {
				if v-v != 0 {
					return nil, fmt.Errorf("element %d is %g, which %s cannot hold: mend the weights", i+k, v, t)
				}
			}
		}
		if !encode(data[i/block*size:(i/block+1)*size], x) {
			return nil, fmt.Errorf("element %d or one in its block is too large for %s: take BF16 or F32", i, t)
		}
	}
	return data, nil
}

// putHalf writes x as a float16, rounded to nearest, ties to even. It reports
// whether a finite x stays finite.
func putHalf(b []byte, x float32) bool {
	u := math.Float32bits(x)
	sign, magnitude := uint16(u>>16&0x8000), u&0x7fffffff
	var h uint16
	switch {
	case magnitude > 0x7f800000: // NaN: its first bits, and not all zero
		if h = 0x7c00 | uint16(magnitude>>13&1023); h == 0x7c00 {
			h++
		}
	case magnitude >= 0x477ff000: // rounds beyond 65504
		h = 0x7c00
	case magnitude < 0x38800000: // subnormal: a multiple of 2^-24
		h = uint16(math.RoundToEven(float64(math.Float32frombits(magnitude)) * 0x1p24))
	default:
		h = uint16((magnitude + 0xfff + magnitude>>13&1 - 112<<23) >> 13)
	}
	binary.LittleEndian.PutUint16(b, sign|h)
	return h != 0x7c00
}

func abs(x float32) float32   { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }
func floor(x float32) float32 { return float32(math.Floor(float64(x))) }

// reciprocal returns 1/d, and 0 for a d so small that it is 0 as a float16 and
// its reciprocal infinite: such a block is read as zeros whatever is in it.
func reciprocal(d float32) float32 {
	if r := 1 / d; d != 0 && r-r == 0 {
		return r
	}
	return 0
}

// Tensor is a tensor as a file holds it. Its offset follows from its place.
type Tensor struct {
	Info
	Data []byte // Size bytes
}

// Encode returns a tensor of numbers with elements of the given type.
func Encode(t format.Tensor, typ Type) (Tensor, error) {
	wide, _, err := t.Convert(format.Float32)
	if err != nil {
		return Tensor{}, err
	}
	values, err := wide.Float32s()
	if err != nil {
		return Tensor{}, err
	}
	block, _ := typ.Block()
	if block > 1 && (len(t.Shape) == 0 || t.Shape[len(t.Shape)-1]%block != 0) {
		return Tensor{}, &FormatError{"", t.Name, -1, fmt.Sprintf("its shape is %v, and rows of %s are a multiple of %d elements: take F16 for this tensor", t.Shape, typ, block)}
	}
	data, err := Quantize(typ, values)
	if err != nil {
		return Tensor{}, &FormatError{"", t.Name, -1, err.Error()}
	}
	return Tensor{Info{Name: t.Name, Type: typ, Shape: t.Shape, Size: int64(len(data))}, data}, nil
}
