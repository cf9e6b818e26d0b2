package attnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// converted converts an array to the type of its input, if that keeps every number:
// NumPy's integers have 64 bits or 32, and its numbers float64, where nobody asks
// for another type. Numbers never become integers: that would hide a mistake.
func converted(file string, t format.Tensor, to format.DType) (format.Tensor, error) {
	if err := t.Check(); err != nil {
		return t, err
	}
	changed := 0
	bits, _ := to.Integer()
	switch {
	case t.DType == to:
		return t, nil
	case t.DType.Float() && to.Float():
		out, rounding, err := t.Convert(to)
		if err != nil {
			return t, fmt.Errorf("%s: %w", file, err)
		}
		t, changed = out, rounding.Changed
	case !whole(t.DType) || !whole(to) && !to.Float() || bits > 0 && bits < 8:
		return t, nil // what it is and what the input takes are compared later
	default:
		out := format.Tensor{Name: t.Name, DType: to, Shape: t.Shape}
		var numbers []float64
		for i := range t.Elements() {
			v, negative := element(t, i)
			if to.Float() {
				x := float64(v)
				if negative {
					x = float64(int64(v))
				}
				if y := to.Round(x); y != x || x >= 1<<64 || uint64(math.Abs(x)) != magnitude(v, negative) {
					changed++
				}
				numbers = append(numbers, x)
				continue
			}
			if !holds(to, v, negative) {
				changed++
			}
			out.Data = appendInteger(out.Data, to, v)
		}
		if to.Float() {
			var err error
			if out, _, err = format.FromFloat64s(t.Name, t.Shape, numbers).Convert(to); err != nil {
				return t, fmt.Errorf("%s: %w", file, err)
			}
		}
		t = out
	}
	if changed > 0 {
		of, do := fmt.Sprintf("%d of its numbers are", changed), "give numbers within it"
		if changed == 1 {
			of = "one of its numbers is"
		}
		switch {
		case to == format.Bool:
			return t, fmt.Errorf("%s: %s neither 0 nor 1, which %s has: give a mask of these", file, of, to)
		case to.Float():
			return t, fmt.Errorf("%s: %s not in %s: round them first", file, of, to)
		}
		return t, fmt.Errorf("%s: %s beyond the range of %s: %s", file, of, to, do)
	}
	return t, nil
}

// whole reports a type of integers or truth values.
func whole(d format.DType) bool {
	bits, _ := d.Integer()
	return bits > 0 || d == format.Bool
}

// element returns an integer or a truth value of 8 bits or more, sign-extended to 64.
func element(t format.Tensor, i int) (v uint64, negative bool) {
	size := t.DType.Size()
	var b [8]byte
	copy(b[:], t.Data[i*size:(i+1)*size])
	v = binary.LittleEndian.Uint64(b[:])
	if _, signed := t.DType.Integer(); signed {
		v = uint64(int64(v<<(64-8*size)) >> (64 - 8*size))
		negative = int64(v) < 0
	}
	return v, negative
}

func magnitude(v uint64, negative bool) uint64 {
	if negative {
		return -v
	}
	return v
}

// holds reports whether a type of integers or truth values has a number.
func holds(d format.DType, v uint64, negative bool) bool {
	bits, signed := d.Integer()
	switch {
	case d == format.Bool:
		return v <= 1
	case !signed:
		return !negative && v <= math.MaxUint64>>(64-bits)
	case negative:
		return int64(v) >= -1<<(bits-1)
	}
	return v <= 1<<(bits-1)-1
}
