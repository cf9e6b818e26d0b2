package graph

import "slices"

// Quotient returns d / e if the division has no remainder for any sizes of the
// names; ok is false otherwise. e must be one term, such as 2*T, or equal to d.
func (d Dim) Quotient(e Dim) (q Dim, ok bool) {
	divisor := e.Terms()
	switch {
	case !d.Valid() || !e.Valid() || e.Is(0):
		return invalid, false
	case d == e:
		return N(1), true
	case len(divisor) != 1:
		return invalid, false
	}
	var terms []Term
	for _, t := range d.Terms() {
		if t.Coefficient%divisor[0].Coefficient != 0 {
			return invalid, false
		}
		rest := slices.Clone(t.Symbols)
		for _, s := range divisor[0].Symbols {
			i := slices.Index(rest, s)
			if i < 0 && t.Coefficient != 0 {
				return invalid, false
			} else if i >= 0 {
				rest = slices.Delete(rest, i, i+1)
			}
		}
		terms = append(terms, Term{Coefficient: t.Coefficient / divisor[0].Coefficient, Symbols: rest})
	}
	q = polynomial(terms)
	return q, q.Valid()
}
