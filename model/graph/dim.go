package graph

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Dim is the size of one dimension: a polynomial with integer coefficients over
// named dimensions, such as 64, T, P+T, B*T or 2*T-1. Two Dims are equal
// exactly when they are ==.
//
// A name that is not an identifier, a coefficient that does not fit in an int
// and a polynomial beyond maxTerms, maxDegree or maxDimText give the invalid Dim, which
// prints as "invalid"; Verify refuses it.
type Dim struct {
	number  int
	symbols string // the terms that have names, in canonical order; "" if there are none
}

// What one Dim may hold. A hostile graph cannot make arithmetic on sizes slow.
const (
	maxTerms  = 32
	maxDegree = 8
)

// invalid is the result of arithmetic that has no answer; it absorbs.
var invalid = Dim{symbols: "invalid dimension"} // no polynomial prints with a space

// Term is one summand of a Dim: Coefficient times the named dimensions.
type Term struct {
	Coefficient int
	Symbols     []string // sorted; one that is squared comes twice; empty for the constant
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

// identifier reports whether name is a letter or underscore followed by
// letters, digits, underscores and dots, all ASCII.
func identifier(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '.' && (r < '0' || r > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= 256
}

// Valid reports whether d is a size, and not the result of arithmetic that
// overflowed.
func (d Dim) Valid() bool { return d != invalid }

// Terms returns the summands of d, those with names first, in the order in
// which String prints them. The constant is left out where it is 0 and there
// are others.
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

// parseTerms reads what format wrote.
func parseTerms(text string) (terms []Term) {
	for len(text) > 0 {
		end := len(text)
		if i := strings.IndexAny(text[1:], "+-"); i >= 0 {
			end = i + 1
		}
		factors := strings.Split(strings.TrimPrefix(text[:end], "+"), "*")
		t := Term{Coefficient: 1}
		if n, err := strconv.Atoi(factors[0]); err == nil { // with its sign: the least int has no magnitude
			t.Coefficient, factors = n, factors[1:]
		} else if name, negative := strings.CutPrefix(factors[0], "-"); negative {
			t.Coefficient, factors[0] = -1, name
		}
		t.Symbols, text = factors, text[end:]
		terms = append(terms, t)
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
	var names []string
	for _, t := range d.Terms() {
		names = append(names, t.Symbols...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Number returns the size of d; ok is false while d depends on a name.
func (d Dim) Number() (n int, ok bool) { return d.number, d.symbols == "" }

// Is reports whether d is the number n.
func (d Dim) Is(n int) bool { return d == N(n) }

// NonNegative reports whether d cannot be negative whatever the sizes of its
// names: no coefficient is negative. That is sufficient, not necessary.
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

// String returns d as "64", "T", "P+T", "2*B*T" or "T-1".
func (d Dim) String() string {
	switch {
	case !d.Valid():
		return "invalid"
	case d.symbols == "":
		return strconv.Itoa(d.number)
	case d.number == 0:
		return d.symbols
	}
	return fmt.Sprintf("%s%+d", d.symbols, d.number)
}

// ParseDim reads what String writes.
func ParseDim(text string) (Dim, error) {
	if len(text) > maxDimText+maxDigits {
		return Dim{}, fmt.Errorf("graph: a dimension of %d characters: at most %d", len(text), maxDimText+maxDigits)
	}
	var terms []Term
	for rest := text; ; {
		end := len(rest)
		if i := strings.IndexAny(rest[min(1, len(rest)):], "+-"); i >= 0 {
			end = i + 1
		}
		t, err := parseTerm(rest[:end], len(terms) == 0)
		if err != nil {
			return Dim{}, fmt.Errorf("graph: dimension %.80q: %w", text, err)
		}
		terms = append(terms, t)
		if rest = rest[end:]; rest == "" {
			break
		}
	}
	d := polynomial(terms)
	if d.String() != text {
		return Dim{}, fmt.Errorf("graph: dimension %.80q is not in its canonical form %.80q", text, d)
	}
	return d, nil
}

// maxDimText bounds the text of the terms with names: it is room for maxTerms
// of them with names of a usual length. maxDigits is room for the constant.
const (
	maxDimText = 4096
	maxDigits  = 20
)

// parseTerm reads one summand, with its sign unless it is the first.
func parseTerm(text string, first bool) (Term, error) {
	t := Term{Coefficient: 1}
	sign, body := "", text
	switch {
	case strings.HasPrefix(text, "-"):
		sign, body, t.Coefficient = "-", text[1:], -1
	case strings.HasPrefix(text, "+") && !first:
		body = text[1:]
	}
	for i, factor := range strings.Split(body, "*") {
		switch {
		case identifier(factor):
			t.Symbols = append(t.Symbols, factor)
		case i == 0 && factor != "" && strings.Trim(factor, "0123456789") == "":
			n, err := strconv.Atoi(sign + factor)
			if err != nil {
				return t, fmt.Errorf("%.80q does not fit in an int", sign+factor)
			}
			t.Coefficient = n
		default:
			return t, fmt.Errorf("%.80q is neither a number nor a name", factor)
		}
	}
	return t, nil
}

// Shape is the sizes of a tensor's dimensions; empty for a scalar.
type Shape []Dim

// Numbers returns the shape of n sizes that are known.
func Numbers(n ...int) Shape {
	s := make(Shape, len(n))
	for i, d := range n {
		s[i] = N(d)
	}
	return s
}

// Equal reports whether s and t have the same axes.
func (s Shape) Equal(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if s[i] != t[i] {
			return false
		}
	}
	return true
}

// Numbers returns the sizes of s; ok is false while one of them depends on a
// name.
func (s Shape) Numbers() (n []int, ok bool) {
	n = make([]int, len(s))
	for i, d := range s {
		if n[i], ok = d.Number(); !ok {
			return nil, false
		}
	}
	return n, true
}

// Eval returns the sizes of s for the given sizes of its names.
func (s Shape) Eval(sizes map[string]int) ([]int, error) {
	n := make([]int, len(s))
	for i, d := range s {
		var err error
		if n[i], err = d.Eval(sizes); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Elements returns the product of the sizes: 1 for a scalar.
func (s Shape) Elements() Dim {
	product := N(1)
	for _, d := range s {
		product = product.Mul(d)
	}
	return product
}

func (s Shape) bind(sizes map[string]int) Shape {
	if s == nil {
		return nil
	}
	t := make(Shape, len(s))
	for i, d := range s {
		t[i] = d.bind(sizes)
	}
	return t
}

// with returns a copy of s whose axis i is d.
func (s Shape) with(i int, d Dim) Shape {
	t := append(Shape(nil), s...)
	t[i] = d
	return t
}

// into reports whether a tensor of shape s broadcasts into one of shape t
// without changing t: aligned at the last axis, every axis of s is 1 or t's.
func (s Shape) into(t Shape) bool {
	if len(s) > len(t) {
		return false
	}
	for i, d := range s {
		if !d.Is(1) && d != t[len(t)-len(s)+i] {
			return false
		}
	}
	return true
}

// String returns s as "(B,T,64)".
func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// ParseShape reads what Shape's String writes.
func ParseShape(text string) (Shape, error) {
	inner, open := strings.CutPrefix(text, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !open || !closed {
		return nil, fmt.Errorf("graph: %s is not a shape in parentheses", shorten(text))
	}
	s := Shape{}
	if inner == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(inner, ",") {
		if len(s) == maxRank {
			return nil, fmt.Errorf("graph: a shape of more than %d dimensions", maxRank)
		}
		d, err := ParseDim(part)
		if err != nil {
			return nil, err
		}
		s = append(s, d)
	}
	return s, nil
}
