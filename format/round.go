package format

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
)

// Rounding describes the effect of a conversion on the values of one or more
// tensors.
type Rounding struct {
	Elements   int     // converted
	Changed    int     // not exactly as before
	Overflowed int     // finite before, infinite after
	MaxAbs     float64 // largest |new - old| where both are finite
	MaxRel     float64 // largest |new - old| / |old| where both are finite and old is a normal number of the new type
}

// Add adds the counts of o to r and takes the larger errors.
func (r *Rounding) Add(o Rounding) {
	r.Elements += o.Elements
	r.Changed += o.Changed
	r.Overflowed += o.Overflowed
	r.MaxAbs = max(r.MaxAbs, o.MaxAbs)
	r.MaxRel = max(r.MaxRel, o.MaxRel)
}

// Convert returns a floating-point tensor in another floating-point type,
// rounded to nearest, ties to even, as in IEEE 754: overflow gives infinity,
// NaN stays NaN. It returns t itself if the type is the same.
func (t Tensor) Convert(to DType) (Tensor, Rounding, error) {
	if err := t.Check(); err != nil {
		return Tensor{}, Rounding{}, err
	}
	if !t.DType.Float() || !to.Float() {
		return Tensor{}, Rounding{}, fmt.Errorf("tensor %.80q: %s cannot become %s: both must be floating-point types", t.Name, t.DType, to)
	}
	n := t.Elements()
	if t.DType == to {
		return t, Rounding{Elements: n}, nil
	}
	out := Tensor{Name: t.Name, DType: to, Shape: t.Shape, Data: make([]byte, n*to.Size())}
	from, into := t.DType.Size(), to.Size()
	widen, round, smallest := wideners[t.DType], narrowers[to], smallestNormal[to]
	total := Rounding{Elements: n}
	var mu sync.Mutex
	const block = 1 << 16 // elements
	err := each((n+block-1)/block, func(b int) error {
		var r Rounding
		for i := b * block; i < min(n, (b+1)*block); i++ {
			x := widen(t.Data[i*from:])
			y := round(x, out.Data[i*into:])
			if x == y || math.IsNaN(x) {
				continue
			}
			r.Changed++
			if math.IsInf(y, 0) {
				r.Overflowed++
				continue
			}
			d := math.Abs(y - x)
			r.MaxAbs = max(r.MaxAbs, d)
			if math.Abs(x) >= smallest {
				r.MaxRel = max(r.MaxRel, d/math.Abs(x))
			}
		}
		mu.Lock()
		total.Add(r)
		mu.Unlock()
		return nil
	})
	return out, total, err
}

// narrowers write x at the start of b and return the value written. The index
// is the element type.
var narrowers = [...]func(x float64, b []byte) float64{
	Float64: func(x float64, b []byte) float64 {
		binary.LittleEndian.PutUint64(b, math.Float64bits(x))
		return x
	},
	Float32: func(x float64, b []byte) float64 {
		y := float32(x)
		binary.LittleEndian.PutUint32(b, math.Float32bits(y))
		return float64(y)
	},
	Float16: func(x float64, b []byte) float64 {
		bits, y := narrow(x, 5, 10)
		binary.LittleEndian.PutUint16(b, bits)
		return y
	},
	BFloat16: func(x float64, b []byte) float64 {
		bits, y := narrow(x, 8, 7)
		binary.LittleEndian.PutUint16(b, bits)
		return y
	},

	Float8E4M3FN:   smallFloats[Float8E4M3FN].narrow,
	Float8E4M3FNUZ: smallFloats[Float8E4M3FNUZ].narrow,
	Float8E5M2:     smallFloats[Float8E5M2].narrow,
	Float8E5M2FNUZ: smallFloats[Float8E5M2FNUZ].narrow,
	Float8E8M0:     smallFloats[Float8E8M0].narrow,
	Float4E2M1:     smallFloats[Float4E2M1].narrow,
}

var smallestNormal = [...]float64{
	Float64: 0x1p-1022, Float32: 0x1p-126, Float16: 0x1p-14, BFloat16: 0x1p-126, Float8E4M3FN: 0x1p-6, Float8E4M3FNUZ: 0x1p-7,
	Float8E5M2: 0x1p-14, Float8E5M2FNUZ: 0x1p-15, Float8E8M0: 0x1p-127, Float4E2M1: 1,
}

// Round returns x rounded to a floating-point type, to nearest, ties to even.
// Overflow gives infinity, or NaN in a type without infinities.
func (d DType) Round(x float64) float64 {
	var b [8]byte
	return narrowers[d](x, b[:])
}

// Largest returns the largest finite number of a floating-point type.
func (d DType) Largest() float64 {
	switch d {
	case Float64:
		return math.MaxFloat64
	case Float32:
		return math.MaxFloat32
	case Float16:
		return 65504
	case BFloat16:
		return 0x1.fep127
	}
	s := smallFloats[d]
	return s.values[s.last]
}

// narrow rounds x to a 16-bit type with the given bits of exponent and
// fraction. It returns the bits and their value.
func narrow(x float64, exponentBits, fractionBits int) (uint16, float64) {
	sign := uint16(math.Float64bits(x) >> 48 & 0x8000)
	most := 1<<exponentBits - 1 // the exponent of infinities and NaN
	if math.IsNaN(x) {
		return sign | uint16(most<<fractionBits) | 1<<(fractionBits-1), x
	}
	bias := most / 2
	e := int(math.Float64bits(x)>>52&0x7ff) - 1023 // |x| is in [2^e, 2^(e+1)), or subnormal
	if e > bias {
		return sign | uint16(most<<fractionBits), math.Inf(1 - 2*int(sign>>15))
	}
	e = max(e, 1-bias) // the exponent of the smallest normal number is that of the subnormal ones
	// The last place of the sum is the last place of the new type: the
	// addition rounds, and the sum's fraction counts in units of that place.
	shift := math.Float64frombits(uint64(e-fractionBits+52+1023) << 52)
	sum := math.Abs(x) + shift
	steps := int(math.Float64bits(sum) & (1<<52 - 1))
	// If rounding up fills the fraction, this addition carries into the
	// exponent.
	bits := (e+bias-1)<<fractionBits + steps
	if bits >= most<<fractionBits {
		return sign | uint16(most<<fractionBits), math.Inf(1 - 2*int(sign>>15))
	}
	return sign | uint16(bits), math.Copysign(sum-shift, x)
}
