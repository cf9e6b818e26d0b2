package format

import (
	"encoding/binary"
	"math"
)

// AsFloat64s returns a copy of the elements, of any type, as float64. Every
// floating-point type widens exactly; an Int64 or Uint64 beyond 2^53 rounds; a
// Bool is 0 or 1.
func (t Tensor) AsFloat64s() ([]float64, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	out := make([]float64, t.Elements())
	size, widen := t.DType.Size(), wideners[t.DType]
	for i := range out {
		out[i] = widen(t.Data[i*size:])
	}
	return out, nil
}

// wideners read the element at the start of b. The index is the element type.
var wideners = [...]func(b []byte) float64{
	Float64: func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) },
	Float32: func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) },
	Float16: func(b []byte) float64 { return float16(binary.LittleEndian.Uint16(b)) },
	BFloat16: func(b []byte) float64 {
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	},
	Int64:  func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) },
	Int32:  func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) },
	Int16:  func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) },
	Int8:   func(b []byte) float64 { return float64(int8(b[0])) },
	Uint64: func(b []byte) float64 { return float64(binary.LittleEndian.Uint64(b)) },
	Uint32: func(b []byte) float64 { return float64(binary.LittleEndian.Uint32(b)) },
	Uint16: func(b []byte) float64 { return float64(binary.LittleEndian.Uint16(b)) },
	Uint8:  func(b []byte) float64 { return float64(b[0]) },
	Bool:   func(b []byte) float64 { return float64(min(b[0], 1)) },

	Float8E4M3FN:   smallFloats[Float8E4M3FN].widen,
	Float8E4M3FNUZ: smallFloats[Float8E4M3FNUZ].widen,
	Float8E5M2:     smallFloats[Float8E5M2].widen,
	Float8E5M2FNUZ: smallFloats[Float8E5M2FNUZ].widen,
	Float8E8M0:     smallFloats[Float8E8M0].widen,
	Float4E2M1:     smallFloats[Float4E2M1].widen,
	Int4:           func(b []byte) float64 { return float64(int8(b[0]<<4) >> 4) },
	Uint4:          func(b []byte) float64 { return float64(b[0] & 15) },
	Int2:           func(b []byte) float64 { return float64(int8(b[0]<<6) >> 6) },
	Uint2:          func(b []byte) float64 { return float64(b[0] & 3) },
}

// float16 widens an IEEE 754 binary16: 1 sign bit, 5 of exponent, 10 of fraction.
func float16(b uint16) float64 {
	sign, exponent, fraction := b>>15, int(b>>10&0x1f), float64(b&0x3ff)
	var v float64
	switch {
	case exponent == 0: // zero and subnormal numbers
		v = math.Ldexp(fraction, -24)
	case exponent < 0x1f:
		v = math.Ldexp(1024+fraction, exponent-25)
	case fraction == 0:
		v = math.Inf(1)
	default:
		return math.NaN()
	}
	if sign == 1 {
		return math.Copysign(v, -1)
	}
	return v
}
