package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepartures bounds the departures that JSON lists: moving one field may
// shift thousands.
const maxDepartures = 20

// Fields are the differences that JSON allows. The zero Fields allows only
// another order of fields and another notation of numbers.
type Fields struct {
	// Extra reports whether a document may have a field that export does not
	// write, such as "model.decoder.layers".
	Extra func(place string) bool
	// Same reports whether two values at a place mean the same; nil is a
	// missing field in either document.
	Same func(place string, have, want any) bool
	// Alias gives another name for a field, by its place. A document may have
	// either, or both with the same value.
	Alias map[string]string
}

// JSON compares a document with the one that export writes, field by field. A
// document that is not valid JSON is one departure.
func JSON(have, want []byte, f Fields) []Departure {
	if bytes.Equal(have, want) {
		return nil
	}
	whole := func(text string) []Departure { return []Departure{{Place: "the document", Text: text}} }
	written, err := tokens(want, math.MaxInt)
	if err != nil { // compare invalid JSON as bytes
		return whole("differs from what export writes")
	}
	most := more*written + someTokens
	found, err := tokens(have, most)
	if err == nil && found > most {
		return whole(fmt.Sprintf("has more than %d names and values, export writes %d", most, written))
	}
	if err != nil {
		return whole("is not valid JSON: " + strings.TrimPrefix(err.Error(), "jsontext: "))
	}
	d := documents{Fields: f}
	d.compare("", parse(have), parse(want))
	return d.found
}

// A document may have this many times the names and values that export writes,
// plus some: others write a tokenizer merge, one text, as a list of two, and
// add fields. Each takes about 60 bytes.
const more, someTokens = 5, 10_000

// tokens counts the names, values and brackets of a document, up to the limit.
// Duplicate fields are an error, because readers disagree on which one counts.
func tokens(text []byte, most int) (n int, err error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return 0, errors.New("it is empty")
	}
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for n <= most {
		_, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if n++; d.StackDepth() == 0 {
			if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
				return n, errors.New("something follows the document")
			}
			return n, nil
		}
	}
	return n, nil
}

// parse reads a document that tokens accepts.
func parse(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// documents is a comparison of two documents in progress.
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
		if alias := d.Alias[at]; alias != "" {
			if other, too := have[alias]; too && ok {
				d.compare(join(path, alias), other, want[key])
			} else if too {
				h, ok = other, true
			}
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
		if _, ok := want[key]; !ok && (d.Extra == nil || !d.Extra(at)) && (d.Same == nil || !d.Same(at, have[key], nil)) {
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

// equal reports whether two numbers have the same value.
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

// shown formats a value in about 60 bytes at most.
func shown(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if r := []rune(string(text[:min(len(text), 300)])); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return string(text)
}
