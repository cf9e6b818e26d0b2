package graph

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Dim is the size of one dimension: a polynomial with integer coefficients over named
// dimensions, such as 64, T, P+T, B*T or 2*T-1. Two Dims are equal exactly if they are
// ==.
//
// A name that is not an identifier, a coefficient that does not fit in an int, and a
// polynomial beyond maxTerms, maxDegree or maxDimText give the invalid Dim. It prints
// as "invalid", and Verify refuses it.
type Dim struct {
	number  int
	symbols string // the terms with names, in canonical order; "" if there are none
}

// Limits of one Dim, which keep arithmetic on the sizes of a hostile graph
// fast.
const (
	maxTerms  = 32
	maxDegree = 8
)

// invalid is the result of arithmetic without an answer. Arithmetic on it is
// invalid too.
var invalid = Dim{symbols: "invalid dimension"} // no polynomial prints with a space

// Term is one summand of a Dim: Coefficient times the named dimensions.
type Term struct {
	Coefficient int
	Symbols     []string // sorted; a squared name occurs twice; empty for the constant
}

// N returns the number n as a Dim.
func N(n int) Dim { return Dim{number: n} }

// Sym returns the dimension called name, whose size is known only when the
// graph runs.
func Sym(name string) Dim {
	if !identifier(name) {
		return invalid
	}
	return Dim{symbols: name}
}

// Valid reports whether d is a size. The result of an overflow is not.
func (d Dim) Valid() bool { return d != invalid }

// Terms returns the summands of d, those with names first, in the order in
// which String prints them. It leaves out a constant of 0 if there are other
// terms.
func (d Dim) Terms() []Term {
	var terms []Term
	if d.symbols != "" && d.Valid() {
		terms = parseTerms(d.symbols)
	}
	if d.number != 0 || len(terms) == 0 {
		terms = append(terms, Term{Coefficient: d.number})
	}
	return terms
}

// polynomial returns the sum of terms in canonical form.
func polynomial(terms []Term) Dim {
	slices.SortFunc(terms, func(a, b Term) int { return slices.Compare(a.Symbols, b.Symbols) })
	d := Dim{}
	var sb strings.Builder
	kept := 0
	for i := 0; i < len(terms); {
		t, ok := terms[i], true
		for i++; i < len(terms) && slices.Equal(terms[i].Symbols, t.Symbols); i++ {
			if t.Coefficient, ok = add(t.Coefficient, terms[i].Coefficient); !ok {
				return invalid
			}
		}
		switch {
		case len(t.Symbols) == 0:
			d.number = t.Coefficient
			continue
		case t.Coefficient == 0:
			continue
		case len(t.Symbols) > maxDegree:
			return invalid
		}
		if kept++; kept > maxTerms {
			return invalid
		}
		if t.Coefficient < 0 {
			sb.WriteByte('-')
		} else if sb.Len() > 0 {
			sb.WriteByte('+')
		}
		if t.Coefficient != 1 && t.Coefficient != -1 {
			sb.WriteString(strings.TrimPrefix(strconv.Itoa(t.Coefficient), "-") + "*")
		}
		sb.WriteString(strings.Join(t.Symbols, "*"))
	}
	if sb.Len() > maxDimText {
		return invalid
	}
	d.symbols = sb.String()
	return d
}

func add(a, b int) (int, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

func multiply(a, b int) (int, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	product := int(lo)
	if (a < 0) != (b < 0) {
		product = -product
	}
	return product, hi == 0 && (product == 0 || magnitude(product) == lo && (product < 0) == ((a < 0) != (b < 0)))
}

func magnitude(n int) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// Add returns d + e.
func (d Dim) Add(e Dim) Dim {
	if !d.Valid() || !e.Valid() {
		return invalid
	}
	if d.symbols == "" && e.symbols == "" { // most sizes are numbers
		n, ok := add(d.number, e.number)
		if !ok {
			return invalid
		}
		return N(n)
	}
	return polynomial(append(d.Terms(), e.Terms()...))
}

// Sub returns d - e.
func (d Dim) Sub(e Dim) Dim { return d.Add(e.Mul(N(-1))) }

// Mul returns d · e.
func (d Dim) Mul(e Dim) Dim {
	if !d.Valid() || !e.Valid() {
		return invalid
	}
	var terms []Term
	for _, a := range d.Terms() {
		for _, b := range e.Terms() {
			n, ok := multiply(a.Coefficient, b.Coefficient)
			if !ok {
				return invalid
			}
			symbols := slices.Concat(a.Symbols, b.Symbols)
			slices.Sort(symbols)
			terms = append(terms, Term{Coefficient: n, Symbols: symbols})
		}
	}
	return polynomial(terms)
}

// Symbols returns the named dimensions that d depends on, sorted.
func (d Dim) Symbols() []string {
	if d.symbols == "" { // most sizes are numbers
		return nil
	}
	var names []string
	for _, t := range d.Terms() {
		names = append(names, t.Symbols...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Number returns the size of d; ok is false if d depends on a name.
func (d Dim) Number() (n int, ok bool) { return d.number, d.symbols == "" }

// Is reports whether d is the number n.
func (d Dim) Is(n int) bool { return d == N(n) }

// NonNegative reports whether no coefficient is negative, so that d cannot be
// negative for any sizes of its names. The condition is sufficient, not
// necessary.
func (d Dim) NonNegative() bool {
	return d.Valid() && !slices.ContainsFunc(d.Terms(), func(t Term) bool { return t.Coefficient < 0 })
}

// bind replaces the names that sizes holds by their numbers.
func (d Dim) bind(sizes map[string]int) Dim {
	if d.symbols == "" || !d.Valid() {
		return d
	}
	sum := Dim{}
	for _, t := range d.Terms() {
		product := N(t.Coefficient)
		for _, s := range t.Symbols {
			if n, ok := sizes[s]; ok {
				product = product.Mul(N(n))
			} else {
				product = product.Mul(Sym(s))
			}
		}
		sum = sum.Add(product)
	}
	return sum
}

// Eval returns the size of d for the given sizes of its names.
func (d Dim) Eval(sizes map[string]int) (int, error) {
	b := d.bind(sizes)
	if !b.Valid() {
		return 0, fmt.Errorf("graph: dimension %s does not fit in an int", d)
	}
	n, ok := b.Number()
	if !ok {
		return 0, fmt.Errorf("graph: dimension %s has no size yet: bind %s", d, strings.Join(b.Symbols(), ", "))
	}
	return n, nil
}
