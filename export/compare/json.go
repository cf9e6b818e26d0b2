package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepartures bounds what JSON lists: one field moved may shift thousands.
const maxDepartures = 20

// Fields say which documents count as the same. The zero Fields allows no
// difference but in the order of fields and the spelling of numbers.
type Fields struct {
	// Extra reports whether a document may have the field at a place, such as
	// "model.decoder.layers", which export does not write.
	Extra func(place string) bool
	// Same reports whether two values at a place mean the same; nil is a field
	// that is missing.
	Same func(place string, have, want any) bool
	// Alias gives another name of a field, by its place.
	Alias map[string]string
}

// JSON compares a document with the one that export writes, field by field. A
// document that cannot be read departs as a whole.
func JSON(have, want []byte, f Fields) []Departure {
	if bytes.Equal(have, want) {
		return nil
	}
	w, err := parse(want)
	if err != nil { // what is no JSON is compared as bytes
		return []Departure{{Place: "the document", Text: "is another than export writes"}}
	}
	h, err := parse(have)
	if err != nil {
		return []Departure{{Place: "the document", Text: "is not valid JSON: " + strings.TrimPrefix(err.Error(), "jsontext: ")}}
	}
	d := documents{Fields: f}
	d.compare("", h, w)
	return d.found
}

// parse reads a document. Two fields of one name, of which readers take
// different ones, are an error.
func parse(text []byte) (v any, err error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("it is empty")
	}
	strict := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err = strict.ReadValue(); err == nil {
		if _, more := strict.ReadToken(); more != io.EOF {
			err = errors.New("something follows the document")
		}
	}
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// documents is a comparison of two documents under way.
type documents struct {
	Fields
	found []Departure
}

func (d *documents) depart(path, format string, args ...any) {
	if path == "" {
		path = "the document"
	}
	if len(d.found) < maxDepartures {
		d.found = append(d.found, Departure{Place: path, Text: fmt.Sprintf(format, args...)})
	}
}

func (d *documents) compare(path string, have, want any) {
	if d.Same != nil && d.Same(path, have, want) {
		return
	}
	switch w := want.(type) {
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			d.objects(path, h, w)
			return
		}
	case []any:
		if h, ok := have.([]any); ok {
			d.lists(path, h, w)
			return
		}
	case json.Number:
		if h, ok := have.(json.Number); ok && equal(h, w) {
			return
		}
	default:
		if have == want {
			return
		}
	}
	d.depart(path, "is %s, export writes %s", shown(have), shown(want))
}

func (d *documents) objects(path string, have, want map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		at := join(path, key)
		h, ok := have[key]
		if alias := d.Alias[at]; !ok && alias != "" {
			h, ok = have[alias]
		}
		switch {
		case ok:
			d.compare(at, h, want[key])
		case d.Same == nil || !d.Same(at, nil, want[key]):
			d.depart(at, "is missing, export writes %s", shown(want[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		at := join(path, key)
		if _, ok := want[key]; !ok && (d.Extra == nil || !d.Extra(at)) {
			d.depart(at, "is %s, export does not write it", shown(have[key]))
		}
	}
}

func (d *documents) lists(path string, have, want []any) {
	if len(have) != len(want) {
		d.depart(path, "has %d elements, export writes %d", len(have), len(want))
	}
	for i := range min(len(have), len(want)) {
		d.compare(path+"["+strconv.Itoa(i)+"]", have[i], want[i])
	}
}

// equal reports whether two numbers are the same, however they are written.
func equal(a, b json.Number) bool {
	if a == b {
		return true
	}
	if len(a) > 64 || len(b) > 64 {
		return false
	}
	x, err := strconv.ParseFloat(string(a), 64)
	y, err2 := strconv.ParseFloat(string(b), 64)
	if err != nil || err2 != nil || x != y {
		return false
	}
	i, whole := new(big.Int).SetString(string(a), 10)
	j, whole2 := new(big.Int).SetString(string(b), 10)
	return !whole || !whole2 || i.Cmp(j) == 0 // integers beyond 2^53
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// shown returns a value as text of at most some 60 bytes.
func shown(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if r := []rune(string(text)); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return string(text)
}
