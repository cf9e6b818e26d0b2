package jinja

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

func batch(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil {
		return nil, err
	}
	v, _ := argument(args, named, 0, "linecount")
	n, err := integerOf(v, nil)
	if err != nil {
		return nil, err
	}
	fill, _ := argument(args, named, 1, "fill_with")
	out := &List{}
	if n == 0 && len(all) > 0 {
		out.Items = append(out.Items, &List{}) // as Jinja counts: a row of 0 is full, and no other one
	}
	for len(all) > 0 {
		k := len(all)
		if n >= 1 {
			k = int(min(int64(k), n))
		}
		row := &List{Items: append([]Value(nil), all[:k]...)}
		if all = all[k:]; fill != nil && int64(k) < n {
			if n > maxBytes/16 {
				return nil, m.step(0, maxBytes+1)
			}
			for range n - int64(k) {
				row.Items = append(row.Items, fill)
			}
		}
		if err := m.step(0, 16*len(row.Items)+64); err != nil {
			return nil, err
		}
		out.Items = append(out.Items, row)
	}
	return out, nil
}

func sliced(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil {
		return nil, err
	}
	v, _ := argument(args, named, 0, "slices")
	n, err := integerOf(v, nil)
	if err != nil {
		return nil, fmt.Errorf("slice expects a number of slices: %w", err)
	}
	if n == 0 {
		return nil, errors.New("slice expects a number of slices that is not 0")
	}
	fill, _ := argument(args, named, 1, "fill_with")
	out := &List{}
	size, more, at := int64(len(all))/n, int64(len(all))%n, int64(0)
	for k := int64(0); k < n; k++ {
		if err := m.step(0, 64); err != nil {
			return nil, err
		}
		end := at + size
		if k < more {
			end++
		}
		row := &List{Items: append([]Value(nil), all[at:end]...)}
		if fill != nil && k >= more {
			row.Items = append(row.Items, fill)
		}
		out.Items, at = append(out.Items, row), end
	}
	return out, nil
}

func groupBy(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil {
		return nil, err
	}
	word, ok := argument(args, named, 0, "attribute")
	if !ok {
		return nil, errors.New("groupby expects the name of a member")
	}
	instead, _ := argument(args, named, 1, "default")
	exact, _ := argument(args, named, 2, "case_sensitive")
	value := func(v Value) Value {
		x := m.attribute(v, word)
		if _, not := x.(undefined); not && instead != nil {
			return instead
		}
		return x
	}
	key := func(v Value) Value {
		if exact != nil && truth(exact) {
			return value(v)
		}
		return folded(value(v))
	}
	list := append([]Value(nil), all...)
	if err := sortBy(m, list, key, false); err != nil {
		return nil, err
	}
	out := &List{}
	var last *List
	for _, v := range list {
		if err := m.step(0, 16); err != nil {
			return nil, err
		}
		if last == nil || !m.equal(key(last.Items[0]), key(v)) {
			last = &List{}
			out.Items = append(out.Items, &List{Items: []Value{value(v), last}, tuple: true, names: groupNames})
		}
		last.Items = append(last.Items, v)
	}
	return out, nil
}

var groupNames = []string{"grouper", "list"}

func fileSize(_ *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	x, _, ok := asNumber(of)
	if !ok {
		v, err := toFloat(nil, of, []Value{nil}, nil)
		if x, ok = v.(float64); !ok || err != nil {
			return nil, fmt.Errorf("filesizeformat of %s", typeName(of))
		}
	}
	base, infix := 1000.0, "B"
	if v, given := argument(args, named, 0, "binary"); given && truth(v) {
		base, infix = 1024, "iB"
	}
	if x == 1 {
		return "1 Byte", nil
	}
	if x < base {
		return fmt.Sprintf("%d Bytes", int64(x)), nil
	}
	unit := base
	for i, prefix := range "kMGTPEZY" {
		if prefix == 'k' && base == 1024 {
			prefix = 'K'
		}
		if unit *= base; x < unit || i == 7 {
			return fmt.Sprintf("%.1f %c%s", base*x/unit, prefix, infix), nil
		}
	}
	return nil, nil
}

func urlEncode(m *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	quote := func(v Value, query bool) string {
		s := strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(show(v)), "%7E", "~"), "+", "%20")
		if query {
			return strings.ReplaceAll(s, "%20", "+")
		}
		return strings.ReplaceAll(s, "%2F", "/")
	}
	var list *List
	switch v := of.(type) {
	case *Dict:
		list = pairs(v)
	case *List:
		list = v
	default:
		s := quote(of, false)
		return s, m.step(0, len(s))
	}
	var parts []string
	for _, p := range list.Items {
		pair, err := m.items(p, 0)
		if err != nil || len(pair) != 2 {
			return nil, errors.New("urlencode expects pairs")
		}
		text := quote(pair[0], true) + "=" + quote(pair[1], true)
		if err := m.step(0, len(text)); err != nil {
			return nil, err
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "&"), nil
}

func xmlAttributes(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	d, ok := of.(*Dict)
	if !ok {
		return nil, fmt.Errorf("xmlattr of %s", typeName(of))
	}
	var b strings.Builder
	for _, k := range d.keys {
		if _, not := d.values[k].(undefined); not || d.values[k] == nil {
			continue
		}
		if s, ok := k.(string); !ok || strings.ContainsAny(s, " \t\n\r\f\v/>=") {
			return nil, errors.New("xmlattr: a name has a space, /, > or =")
		}
		key, _ := escape(show(k), nil)
		value, _ := escape(show(d.values[k]), nil)
		fmt.Fprintf(&b, ` %s="%s"`, key, value)
		if err := m.step(0, len(key.(string))+len(value.(string))); err != nil {
			return nil, err
		}
	}
	if v, given := argument(args, named, 0, "autospace"); given && !truth(v) {
		return strings.TrimPrefix(b.String(), " "), nil
	}
	return b.String(), nil
}

// cycler returns values in turn, without an end.
type cycler struct {
	values []Value
	at     int
}

func (c *cycler) member(word string) (Value, bool) {
	switch word {
	case "current":
		return c.values[c.at], true
	case "next":
		return function(func(*machine, []Value, map[string]Value) (Value, error) {
			v := c.values[c.at]
			c.at = (c.at + 1) % len(c.values)
			return v, nil
		}), true
	case "reset":
		return function(func(*machine, []Value, map[string]Value) (Value, error) { c.at = 0; return nil, nil }), true
	}
	return nil, false
}

func cyclerOf(_ *machine, args []Value, _ map[string]Value) (Value, error) {
	if len(args) == 0 {
		return nil, errors.New("cycler expects values")
	}
	return &cycler{values: args}, nil
}

// joinerOf returns a function that gives nothing when it is first called, and then
// the separator.
func joinerOf(_ *machine, args []Value, named map[string]Value) (Value, error) {
	between, ok := argument(args, named, 0, "sep")
	if !ok {
		between = ", "
	}
	used := false
	return function(func(*machine, []Value, map[string]Value) (Value, error) {
		if !used {
			used = true
			return "", nil
		}
		return between, nil
	}), nil
}
