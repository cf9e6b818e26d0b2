package runtime

import (
	"reflect"

	"github.com/attnx/attnx/format"
)

// Numbers is the arithmetic of a runtime, from which its rounding errors follow.
// In the zero value every value has the type that the graph declares.
type Numbers struct {
	DType format.DType // of the values between operators, if less exact than the graph's; zero: the graph's
	Sums  format.DType // of the sums inside an operator; zero: float32, or the values' type if that is more exact
	TF32  bool         // the factors of products are rounded to 10 bits
}

// Oracle is a session in float64 that also derives, for the given inputs, how far
// a correct runtime may be from it.
type Oracle interface {
	Session
	// Bounds returns what Run returns, and the bounds for each of the given
	// arithmetics.
	Bounds(inputs map[string]format.Tensor, numbers ...Numbers) (Bounded, error)
}

// PerCase is an oracle that knows more of a case than its inputs, such as what was
// recorded for it.
type PerCase interface {
	For(Case) Oracle // the oracle for this case
}

// forCase returns the oracle for a case.
func forCase(o Oracle, c Case) Oracle {
	if p, ok := o.(PerCase); ok {
		return p.For(c)
	}
	return o
}

// Bounded holds the outputs of a run and their bounds.
type Bounded struct {
	Outputs map[string]format.Tensor
	Bounds  []Bounds // of each arithmetic
}

// Bounds are the largest differences that rounding explains.
type Bounds struct {
	// Of holds, by output, the largest |x' - x| for each element: F64, in the shape
	// of the output. It is +Inf where no bound is known. An output that is missing
	// here is exact.
	Of map[string]format.Tensor
	// Unknown is why bounds are infinite: the first value and the reason. "" if it
	// has no single cause.
	Unknown string
}

// shares reports whether b and c are the same bounds, in the same memory.
func (b Bounds) shares(c Bounds) bool {
	return b.Of != nil && reflect.ValueOf(b.Of).Pointer() == reflect.ValueOf(c.Of).Pointer()
}

// Margin describes a row of scores: by how much its highest value leads, and how far
// rounding may move that lead.
type Margin struct {
	Best, Rival int     // positions of the highest value, and of the one that rounding brings closest to it
	Lead        float64 // the highest value less the rival's
	Bound       float64 // of the error of that difference; +Inf if it is not known
}

// Certain reports whether rounding leaves the highest value the highest.
func (m Margin) Certain() bool { return m.Lead > m.Bound }

// Unit returns the unit roundoff of a floating-point type: the largest relative
// error of rounding a number to it (IEEE 754-2019, round to nearest; bfloat16 and
// the 8-bit types are defined alike).
func Unit(d format.DType) float64 {
	switch d {
	case format.Float64:
		return 0x1p-53
	case format.Float32:
		return 0x1p-24
	case format.Float16:
		return 0x1p-11
	case format.BFloat16:
		return 0x1p-8
	case format.Float8E4M3FN, format.Float8E4M3FNUZ:
		return 0x1p-4
	case format.Float8E5M2, format.Float8E5M2FNUZ:
		return 0x1p-3
	}
	return 0.5
}
