package compare

import (
	"maps"
	"slices"
	"strings"
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
			depart(key, "is "+shown(h)+", export writes "+shown(w))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[key]; !ok && strings.HasPrefix(key, prefix) && !slices.Contains(except, key) {
			depart(key, "is "+shown(have[key])+", export does not write it")
		}
	}
	return p
}
