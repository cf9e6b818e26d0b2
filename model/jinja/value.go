package jinja

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Value is a value of a template: nil (None), bool, int64, float64, string, *List,
// *Dict, or one that only templates make.
type Value any

// List is a list, or a tuple.
type List struct {
	Items []Value
	tuple bool
	names []string // of the elements, if they have any
}

// Dict is a mapping in the order in which it was filled.
type Dict struct {
	keys   []Value
	values map[Value]Value
}

// NewDict returns a mapping of keys and values in turn. Keys are strings, numbers,
// booleans or nil.
func NewDict(pairs ...Value) *Dict {
	d := &Dict{values: map[Value]Value{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		d.Set(pairs[i], pairs[i+1])
	}
	return d
}

// Set adds or replaces an entry.
func (d *Dict) Set(key, value Value) {
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = value
}

// Get returns the value of a key.
func (d *Dict) Get(key Value) (Value, bool) {
	if !hashable(key) {
		return nil, false
	}
	v, ok := d.values[key]
	return v, ok
}

// hashable reports whether a value may be a key.
func hashable(v Value) bool {
	switch v.(type) {
	case nil, bool, int64, float64, string:
		return true
	}
	return false
}

// undefined is what a template reads that is not there.
type undefined struct{ what string }

// namespace is what namespace() returns: its members can be set.
type namespace struct{ *Dict }

// function is what can be called.
type function func(m *machine, args []Value, named map[string]Value) (Value, error)

// truth reports whether a value counts as true.
func truth(v Value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return len(v.keys) > 0
	}
	return true
}

// show returns the text of a value, as Python's str does.
func show(v Value) string {
	switch v := v.(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	return repr(v)
}

// show is show for a text that is not part of a result: its bytes are counted.
func (m *machine) show(v Value) (string, error) {
	s := show(v)
	return s, m.step(0, len(s))
}

// repr returns a value as Python writes it.
func repr(v Value) string {
	var b strings.Builder
	writeRepr(&b, v, 0)
	return b.String()
}

func writeRepr(b *strings.Builder, v Value, depth int) {
	if depth > maxDepth || b.Len() > maxBytes { // the caller counts what was written
		b.WriteString("...")
		return
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(showFloat(v))
	case string:
		b.WriteString(quoted(v))
	case *List:
		open, close := "[", "]"
		if v.tuple {
			open, close = "(", ")"
		}
		b.WriteString(open)
		for i, e := range v.Items {
			if b.Len() > maxBytes {
				break
			}
			if i > 0 {
				b.WriteString(", ")
			}
			writeRepr(b, e, depth+1)
		}
		if v.tuple && len(v.Items) == 1 {
			b.WriteString(",")
		}
		b.WriteString(close)
	case *Dict:
		b.WriteString("{")
		for i, k := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			writeRepr(b, k, depth+1)
			b.WriteString(": ")
			writeRepr(b, v.values[k], depth+1)
		}
		b.WriteString("}")
	case undefined:
		b.WriteString("Undefined")
	default:
		fmt.Fprintf(b, "<%s>", typeName(v))
	}
}

// showFloat formats a number as Python does.
func showFloat(x float64) string {
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 0):
		return strings.TrimPrefix(map[bool]string{true: "-inf", false: "inf"}[x < 0], "+")
	}
	if a := math.Abs(x); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// quoted writes a string as Python's repr does.
func quoted(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte(quote)
	return b.String()
}

// typeName returns the name of a value's type, for messages.
func typeName(v Value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64:
		return "a number"
	case string:
		return "a string"
	case *List:
		return "a list"
	case *Dict:
		return "a mapping"
	case *namespace:
		return "a namespace"
	case undefined:
		return "undefined: " + v.what
	}
	return "a function"
}

// asNumber returns a number as float64, and whether it is an integer.
func asNumber(v Value) (x float64, whole, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true, true
		}
		return 0, true, true
	case int64:
		return float64(v), true, true
	case float64:
		return v, false, true
	}
	return 0, false, false
}

// asInt returns an integer.
func asInt(v Value) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return v, true
	}
	return 0, false
}

// equal compares as Python does. Each pair of parts is a step: a list may hold
// another twice, that one a third twice, and so on.
func (m *machine) equal(a, b Value) bool {
	if m.steps++; m.steps > maxSteps {
		return false
	}
	if x, wholeX, ok := asNumber(a); ok {
		y, wholeY, ok := asNumber(b)
		if i, isI := asInt(a); ok && wholeX && wholeY && isI {
			j, _ := asInt(b)
			return i == j
		}
		return ok && x == y
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case string:
		y, ok := b.(string)
		return ok && x == y
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *List:
		y, ok := b.(*List)
		return ok && x.tuple == y.tuple && slices.EqualFunc(x.Items, y.Items, m.equal)
	case *Dict:
		y, ok := b.(*Dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false
		}
		for _, k := range x.keys {
			if v, ok := y.values[k]; !ok || !m.equal(x.values[k], v) {
				return false
			}
		}
		return true
	case *namespace:
		return a == b
	}
	return false
}

// compare orders two numbers, strings or lists.
func (m *machine) compare(a, b Value) (int, bool) {
	if m.steps++; m.steps > maxSteps {
		return 0, false
	}
	if x, _, ok := asNumber(a); ok {
		y, _, ok := asNumber(b)
		switch {
		case x < y:
			return -1, ok
		case x > y:
			return 1, ok
		}
		return 0, ok
	}
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	}
	x, okX := a.(*List)
	y, okY := b.(*List)
	if !okX || !okY {
		return 0, false
	}
	for i := range min(len(x.Items), len(y.Items)) {
		if c, ok := m.compare(x.Items[i], y.Items[i]); c != 0 || !ok {
			return c, ok
		}
	}
	return len(x.Items) - len(y.Items), true
}

// length returns the number of elements or characters.
func length(v Value) (int, bool) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), true
	case *List:
		return len(v.Items), true
	case *Dict:
		return len(v.keys), true
	case undefined:
		return 0, true
	}
	return 0, false
}

// size is about the memory that a value takes, without that of its parts.
func size(v Value) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case *List:
		return 16 * len(v.Items)
	case *Dict:
		return 64 * len(v.keys)
	}
	return 8
}
