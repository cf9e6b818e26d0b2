package runtime

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// Roundings are what the roundings of all values do to one number, such as a logit or
// the difference of two, to first order. All numbers are in its unit. They are +Inf if
// nothing is known.
type Roundings struct {
	Worst     float64 // at most, in any order of summation
	Executed  float64 // at most, in sums from the first term to the last
	Deviation float64 // standard deviation, of independent roundings
	Parts     []Part  // of the values, those with the largest share first
	Unknown   string  // why numbers are infinite, "" if they are not
}

// Part is what the roundings of one value do to a number.
type Part struct {
	Value     string  `json:"value"`
	Op        string  `json:"op"`    // the operator that computes it
	Share     Number  `json:"share"` // of the variance
	Deviation float64 `json:"-"`
	Worst     float64 `json:"-"`
	Executed  float64 `json:"-"`
}

// Sum adds up the parts, and sorts them by their share.
func (r *Roundings) Sum() {
	variance := 0.0
	for _, p := range r.Parts {
		variance += p.Deviation * p.Deviation
		r.Worst += p.Worst
		r.Executed += p.Executed
	}
	r.Deviation = math.Sqrt(variance)
	for _, x := range []*float64{&r.Worst, &r.Executed, &r.Deviation} {
		if math.IsNaN(*x) {
			*x = math.Inf(1)
		}
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		p.Share = Number(p.Deviation * p.Deviation / variance)
	}
	slices.SortStableFunc(r.Parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(b.Deviation, a.Deviation), cmp.Compare(b.Worst, a.Worst))
	})
}

// Top returns the n parts with the largest shares.
func (r Roundings) Top(n int) []Part { return r.Parts[:min(n, len(r.Parts))] }

// WriteParts writes parts as a sentence's end: "h.0.mlp (MatMul) 31 %, ...".
func WriteParts(w io.Writer, parts []Part) {
	for i, p := range parts {
		if i > 0 {
			io.WriteString(w, ", ")
		}
		fmt.Fprintf(w, "%s (%s)", quote.Line(p.Value, 60), p.Op)
		if share := float64(p.Share); !math.IsNaN(share) { // without a finite variance there are no shares
			if percent := 100 * share; percent >= 10 { // two digits of 99.9 would be an exponent
				fmt.Fprintf(w, " %.0f %%", percent)
			} else {
				fmt.Fprintf(w, " %.2g %%", percent)
			}
		}
	}
}

// Attributor is an oracle that says where the rounding errors of one number come
// from.
type Attributor interface {
	// AttributeAt bounds the error of an element of an output.
	AttributeAt(inputs map[string]format.Tensor, n Numbers, output string, index []int) (Roundings, error)
}

// Certificate says how firmly a row's highest value is the highest.
type Certificate struct {
	Margin // of the rival that comes closest in the probabilistic reading
	// The error of the lead over the rival that comes closest in any order: at most in
	// any order, at most in sums from the first term to the last, and its standard deviation. NaN if
	// they were not derived.
	Worst, Executed, Deviation float64
	Closest                    int     // that rival
	ClosestLead                float64 // the highest value less that rival's
	Rivals                     int     // the number of rivals for which these were derived
	Any, Ordered               bool    // the highest value leads every rival beyond the reading
	Parts                      []Part  // of the lead over that rival, those with the largest share
	Unknown                    string  // why a reading is infinite
}

// The readings of a certificate, from the firmest.
const (
	ReadingAny      = "any"      // certain in any order of summation
	ReadingOrdered  = "ordered"  // certain in sums from the first term to the last
	ReadingProbable = "probable" // beyond 6 standard deviations of independent roundings
	ReadingRounding = "rounding" // a matter of rounding
)

// Reading returns the firmest reading that holds.
func (c Certificate) Reading() string {
	switch {
	case !c.Certain():
		return ReadingRounding
	case c.Any:
		return ReadingAny
	case c.Ordered:
		return ReadingOrdered
	}
	return ReadingProbable
}

// Bender is an oracle that checks whether its bounds hold to more than first order.
type Bender interface {
	// Bends returns why errors of the size of the roundings may have led to all of the given values, which
	// are beyond their bounds: they do more than the bounds say, to an output as a whole or to the row
	// of a value, and as much as the value is off. "": they cannot have.
	Bends(inputs map[string]format.Tensor, n Numbers, bad ...BadValue) (string, error)
}
