package jinja

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tojson writes a value as Python's json.dumps does with ensure_ascii=False.
func tojson(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	w := jsonWriter{indent: -1, item: ", ", key: ": "}
	ascii, _ := argument(args, named, 0, "ensure_ascii")
	w.ascii = ascii != nil && truth(ascii)
	if v, ok := argument(args, named, 1, "indent"); ok {
		if n, ok := asInt(v); ok {
			w.indent, w.item = int(max(0, min(n, 100))), ","
		}
	}
	if v, ok := argument(args, named, 2, "separators"); ok {
		if l, ok := v.(*List); ok && len(l.Items) == 2 {
			w.item, w.key = show(l.Items[0]), show(l.Items[1])
		}
	}
	sort, _ := argument(args, named, 3, "sort_keys")
	w.sort = sort != nil && truth(sort)
	err := w.write(m, of, 0)
	return w.b.String(), err
}

type jsonWriter struct {
	b           strings.Builder
	indent      int // -1: on one line
	item, key   string
	ascii, sort bool
}

func (w *jsonWriter) line(depth int) {
	if w.indent >= 0 {
		w.b.WriteString("\n" + strings.Repeat(" ", w.indent*depth))
	}
}

func (w *jsonWriter) write(m *machine, v Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("tojson: the value is nested more than %d deep", maxDepth)
	}
	if err := m.step(0, 0); err != nil {
		return err
	}
	if w.b.Len() > maxBytes {
		return m.step(0, w.b.Len())
	}
	switch v := v.(type) {
	case nil:
		w.b.WriteString("null")
	case bool:
		w.b.WriteString(strconv.FormatBool(v))
	case int64:
		w.b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		switch {
		case math.IsNaN(v):
			w.b.WriteString("NaN")
		case math.IsInf(v, 0):
			w.b.WriteString(map[bool]string{true: "Infinity", false: "-Infinity"}[v > 0])
		default:
			w.b.WriteString(showFloat(v))
		}
	case string:
		w.text(v)
	case *List:
		return w.list(m, v, depth)
	case *Dict:
		return w.dict(m, v, depth)
	default:
		return fmt.Errorf("tojson of %s", typeName(v))
	}
	return nil
}

func (w *jsonWriter) list(m *machine, v *List, depth int) error {
	w.b.WriteByte('[')
	for i, e := range v.Items {
		if i > 0 {
			w.b.WriteString(w.item)
		}
		w.line(depth + 1)
		if err := w.write(m, e, depth+1); err != nil {
			return err
		}
	}
	if len(v.Items) > 0 {
		w.line(depth)
	}
	w.b.WriteByte(']')
	return nil
}

func (w *jsonWriter) dict(m *machine, d *Dict, depth int) error {
	keys := slices.Clone(d.keys)
	if w.sort {
		slices.SortFunc(keys, func(a, b Value) int { return strings.Compare(show(a), show(b)) })
	}
	w.b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			w.b.WriteString(w.item)
		}
		w.line(depth + 1)
		switch k := k.(type) {
		case nil:
			w.text("null")
		case bool:
			w.text(strconv.FormatBool(k))
		default:
			w.text(show(k))
		}
		w.b.WriteString(w.key)
		if err := w.write(m, d.values[k], depth+1); err != nil {
			return err
		}
	}
	if len(keys) > 0 {
		w.line(depth)
	}
	w.b.WriteByte('}')
	return nil
}

func (w *jsonWriter) text(s string) {
	w.b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.b.WriteByte('\\')
			w.b.WriteRune(r)
		case r == '\n':
			w.b.WriteString(`\n`)
		case r == '\r':
			w.b.WriteString(`\r`)
		case r == '\t':
			w.b.WriteString(`\t`)
		case r == '\b':
			w.b.WriteString(`\b`)
		case r == '\f':
			w.b.WriteString(`\f`)
		case r < ' ' || w.ascii && r > '~' && r < 0x10000:
			fmt.Fprintf(&w.b, `\u%04x`, r)
		case w.ascii && r >= utf8.RuneSelf:
			r -= 0x10000
			fmt.Fprintf(&w.b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			w.b.WriteRune(r)
		}
	}
	w.b.WriteByte('"')
}
