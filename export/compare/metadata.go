package compare

import (
	"maps"
	"slices"
	"strings"
)

// Metadata compares the metadata of a file with those that export writes. A
// value that is a JSON object is compared field by field. Of the keys that
// export does not write, those with the given prefix are departures, but for
// the excepted ones.
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
