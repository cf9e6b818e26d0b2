package tokens

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// slowForm normalizes a text as Unicode defines it (Standard Annex 15),
// without a bound on the marks in a row.
func slowForm(f norm.Form, s string) string {
	decompose, compose := norm.NFD, f == norm.NFC || f == norm.NFKC
	if f == norm.NFKC || f == norm.NFKD {
		decompose = norm.NFKD
	}
	var runes []rune
	for _, r := range s {
		runes = append(runes, []rune(decompose.String(string(r)))...)
	}
	class := func(r rune) uint8 { return norm.NFD.PropertiesString(string(r)).CCC() }
	for from := 0; from < len(runes); {
		to := from
		for to < len(runes) && class(runes[to]) != 0 {
			to++
		}
		slices.SortStableFunc(runes[from:to], func(a, b rune) int { return int(class(a)) - int(class(b)) })
		from = to + 1
	}
	if !compose {
		return string(runes)
	}
	out := runes[:0:0]
	starter, last := -1, -1 // index of the last starter; class of the last character after it
	for _, r := range runes {
		c := int(class(r))
		if starter >= 0 && (last < c || last < 0) {
			pair := norm.NFC.String(string([]rune{out[starter], r}))
			// Package norm composes by the lower 16 bits.
			same := norm.NFD.String(pair) == norm.NFD.String(string(out[starter]))+norm.NFD.String(string(r))
			if one, n := utf8.DecodeRuneInString(pair); n == len(pair) && same {
				out[starter] = one
				continue
			}
		}
		if out = append(out, r); c == 0 {
			starter, last = len(out)-1, -1
		} else {
			last = c
		}
	}
	return string(out)
}
