package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Metadata compares the metadata of a file with what export writes. It
// compares JSON objects field by field. An unknown key is a departure only if
// it has the given prefix and is not in except.
func Metadata(have, want map[string]string, prefix string, except ...string) Part {
	p := Part{Compared: len(want), Total: len(want)}
	depart := func(place, text string) { p.Departures = append(p.Departures, Departure{Place: place, Text: text}) }
	for _, key := range slices.Sorted(maps.Keys(want)) {
		h, ok := have[key]
		w := want[key]
		switch {
		case h == w:
		case !ok:
			depart(key, "is missing")
		case strings.HasPrefix(w, "{"):
			for _, d := range JSON([]byte(h), []byte(w), Fields{}) {
				depart(key+": "+d.Place, d.Text)
			}
		default:
			from := differ(h, w)
			depart(key, "is "+shown(h[from:])+", export writes "+shown(w[from:])+place(from))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[key]; !ok && strings.HasPrefix(key, prefix) && !slices.Contains(except, key) {
			depart(key, "is "+shown(have[key])+", export does not write it")
		}
	}
	return p
}

// contextBytes are the bytes before a difference that are shown with it.
const contextBytes = 24

// differ returns where two texts are shown from: a little before they differ, or 0 for short
// ones.
func differ(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	if n = max(0, n-contextBytes); n < contextBytes {
		return 0
	}
	for n < min(len(a), len(b)) && !utf8.RuneStart(a[n]) {
		n++
	}
	return n
}

// place says where a text is shown from.
func place(from int) string {
	if from == 0 {
		return ""
	}
	return fmt.Sprintf(", from byte %d on", from)
}
