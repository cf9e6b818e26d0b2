package graph

import (
	"fmt"
	"strconv"
	"strings"
)

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

// parseTerms parses the output of format.
func parseTerms(text string) (terms []Term) {
	for len(text) > 0 {
		end := len(text)
		if i := strings.IndexAny(text[1:], "+-"); i >= 0 {
			end = i + 1
		}
		factors := strings.Split(strings.TrimPrefix(text[:end], "+"), "*")
		t := Term{Coefficient: 1}
		if n, err := strconv.Atoi(factors[0]); err == nil { // with its sign: the smallest int has no positive counterpart
			t.Coefficient, factors = n, factors[1:]
		} else if name, negative := strings.CutPrefix(factors[0], "-"); negative {
			t.Coefficient, factors[0] = -1, name
		}
		t.Symbols, text = factors, text[end:]
		terms = append(terms, t)
	}
	return terms
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

// parseDim parses the output of String.
func parseDim(text string) (Dim, error) {
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

// maxDimText bounds the text of the terms with names: room for maxTerms of them
// with names of usual length. maxDigits is room for the constant.
const (
	maxDimText = 4096
	maxDigits  = 20
)
