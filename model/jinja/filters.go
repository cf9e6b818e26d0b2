package jinja

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// filterFunc is a filter: of is the value before the bar.
type filterFunc func(m *machine, of Value, args []Value, named map[string]Value) (Value, error)

// filters are those that a template may use. A map literal would refer to itself
// through map and select.
var filters map[string]filterFunc

func init() {
	filters = map[string]filterFunc{
		"trim":       onText(func(s string, args []Value) (Value, error) { return strip(s, args, true, true) }),
		"upper":      onText(func(s string, _ []Value) (Value, error) { return strings.ToUpper(s), nil }),
		"lower":      onText(func(s string, _ []Value) (Value, error) { return strings.ToLower(s), nil }),
		"capitalize": onText(func(s string, _ []Value) (Value, error) { return capitalize(s), nil }),
		"title":      onText(func(s string, _ []Value) (Value, error) { return title(s), nil }),
		"string":     onText(func(s string, _ []Value) (Value, error) { return s, nil }),
		"safe":       onText(func(s string, _ []Value) (Value, error) { return s, nil }),
		"escape":     onText(escape), "e": onText(escape),
		"tojson": tojson, "join": join, "replace": replace, "default": missing, "d": missing, "length": count, "count": count,
		"first": first, "last": last, "list": list, "items": items, "dictsort": dictsort, "sort": sorted, "unique": unique, "reverse": reverse,
		"map": mapped, "select": selecting(true, false), "reject": selecting(false, false), "selectattr": selecting(true, true), "rejectattr": selecting(false, true),
		"int": toInt, "float": toFloat, "abs": absolute, "round": rounded, "sum": sum, "min": extreme(-1), "max": extreme(1), "indent": indent,
		"center": func(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
			width, ok := argument(args, named, 0, "width")
			if !ok {
				width = int64(80)
			}
			return textMethods["center"](m, show(of), []Value{width})
		},
		"batch": batch, "slice": sliced, "groupby": groupBy, "truncate": truncate, "wordwrap": wordwrap, "filesizeformat": fileSize, "urlencode": urlEncode, "xmlattr": xmlAttributes,
		"forceescape": onText(escape),
		"attr": func(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
			v, _ := argument(args, named, 0, "name")
			word, err := m.show(v)
			if err != nil {
				return nil, err
			}
			if _, isDict := of.(*Dict); isDict && method(of, word) == nil {
				return undefined{word}, nil
			}
			return member{constant{of}, word, m.line}.eval(m)
		},
		"format": func(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
			if len(args) > 0 && len(named) > 0 {
				return nil, errors.New("format takes values by place or by name, not both")
			}
			values := Value(&List{Items: args, tuple: true})
			if len(named) > 0 {
				values, _ = dictOf(nil, named)
			}
			return m.percent(show(of), values)
		},
		"wordcount": onText(func(s string, _ []Value) (Value, error) { return int64(len(strings.Fields(s))), nil }),
	}
}

func onText(f func(s string, args []Value) (Value, error)) filterFunc {
	return func(m *machine, of Value, args []Value, _ map[string]Value) (Value, error) {
		s, err := m.show(of)
		if err != nil {
			return nil, err
		}
		return f(s, args)
	}
}

func escape(s string, _ []Value) (Value, error) {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(s), nil
}

func capitalize(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToTitle(r)) + strings.ToLower(s[n:])
}

// title makes the first letter of each word large.
func title(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		was := before
		before = r
		if unicode.IsLetter(was) {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, s)
}

// argument returns an argument by its place or its name.
func argument(args []Value, named map[string]Value, at int, word string) (Value, bool) {
	if at < len(args) {
		return args[at], true
	}
	v, ok := named[word]
	return v, ok
}

func missing(_ *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	instead, ok := argument(args, named, 0, "default_value")
	if !ok {
		instead = ""
	}
	falsy, _ := argument(args, named, 1, "boolean")
	if _, not := of.(undefined); not || falsy != nil && truth(falsy) && !truth(of) {
		return instead, nil
	}
	return of, nil
}

func count(_ *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	n, ok := length(of)
	if !ok {
		return nil, fmt.Errorf("the length of %s", typeName(of))
	}
	return int64(n), nil
}

func first(m *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil || len(all) == 0 {
		return undefined{"the first of nothing"}, err
	}
	return all[0], nil
}

func last(m *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil || len(all) == 0 {
		return undefined{"the last of nothing"}, err
	}
	return all[len(all)-1], nil
}

func list(m *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	return &List{Items: slices.Clone(all)}, err
}

func reverse(m *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	all = slices.Clone(all)
	slices.Reverse(all)
	if _, text := of.(string); text {
		var b strings.Builder
		for _, c := range all {
			b.WriteString(c.(string))
		}
		return b.String(), err
	}
	return &List{Items: all}, err
}

func items(_ *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	switch d := of.(type) {
	case *Dict:
		return pairs(d), nil
	case undefined:
		return &List{}, nil
	}
	return nil, fmt.Errorf("items of %s", typeName(of))
}

func pairs(d *Dict) *List {
	out := &List{}
	for _, k := range d.keys {
		out.Items = append(out.Items, &List{Items: []Value{k, d.values[k]}, tuple: true})
	}
	return out
}

func dictsort(m *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	d, ok := of.(*Dict)
	if !ok {
		return nil, fmt.Errorf("dictsort of %s", typeName(of))
	}
	out := pairs(d)
	return out, sortBy(m, out.Items, func(v Value) Value { return folded(v.(*List).Items[0]) }, false)
}

// folded returns a text in lower case, as sorting ignores it.
func folded(v Value) Value {
	if s, ok := v.(string); ok {
		return strings.ToLower(s)
	}
	return v
}

func sortBy(m *machine, list []Value, key func(Value) Value, down bool) error {
	var err error
	slices.SortStableFunc(list, func(a, b Value) int {
		c, ok := m.compare(key(a), key(b))
		if !ok && err == nil {
			err = fmt.Errorf("%s cannot be compared with %s", typeName(a), typeName(b))
		}
		if e := m.step(0, 0); e != nil {
			err = e
		}
		if down {
			c = -c
		}
		return c
	})
	return err
}

func sorted(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil {
		return nil, err
	}
	out := &List{Items: slices.Clone(all)}
	down, _ := argument(args, named, 0, "reverse")
	exact, _ := argument(args, named, 1, "case_sensitive")
	word, by := argument(args, named, 2, "attribute")
	return out, sortBy(m, out.Items, func(v Value) Value {
		if by {
			v = m.attribute(v, word)
		}
		if exact != nil && truth(exact) {
			return v
		}
		return folded(v)
	}, down != nil && truth(down))
}

func unique(m *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	out := &List{}
	for _, v := range all {
		if err == nil {
			err = m.step(0, 16*len(out.Items))
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out.Items, func(x Value) bool { return m.equal(folded(x), folded(v)) }) {
			out.Items = append(out.Items, v)
		}
	}
	return out, err
}

// attribute returns a member, or one of a member: "a.b".
func (m *machine) attribute(of, word Value) Value {
	if n, ok := word.(int64); ok {
		v, _ := index{constant{of}, constant{n}, 0}.eval(m)
		return v
	}
	text, _ := word.(string)
	for part := range strings.SplitSeq(text, ".") {
		v, err := index{constant{of}, constant{part}, 0}.eval(m)
		if err != nil {
			return undefined{part}
		}
		of = v
	}
	return of
}

func mapped(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil {
		return nil, err
	}
	out := &List{}
	word, by := named["attribute"]
	for _, v := range all {
		if by {
			v = m.attribute(v, word)
			if _, none := v.(undefined); none && named["default"] != nil {
				v = named["default"]
			}
		} else {
			if len(args) == 0 || filters[show(args[0])] == nil {
				return nil, errors.New("map expects the name of a filter")
			}
			if v, err = filters[show(args[0])](m, v, args[1:], named); err != nil {
				return nil, err
			}
		}
		if err := m.step(0, 16); err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
	}
	return out, nil
}

// selecting returns a filter that keeps what passes a test, or what does not.
func selecting(keep, byAttribute bool) filterFunc {
	return func(m *machine, of Value, args []Value, _ map[string]Value) (Value, error) {
		all, err := m.items(of, 0)
		if err != nil {
			return nil, err
		}
		var word Value
		if byAttribute {
			if len(args) == 0 {
				return nil, errors.New("selectattr expects the name of a member")
			}
			word, args = args[0], args[1:]
		}
		out := &List{}
		for _, v := range all {
			x := v
			if byAttribute {
				x = m.attribute(v, word)
			}
			passes := Value(truth(x))
			if len(args) > 0 {
				test := tests[show(args[0])]
				if test == nil {
					return nil, fmt.Errorf("unknown test %.40q", show(args[0]))
				}
				if passes, err = test(m, x, args[1:]); err != nil {
					return nil, err
				}
			}
			if err := m.step(0, 16); err != nil {
				return nil, err
			}
			if truth(passes) == keep {
				out.Items = append(out.Items, v)
			}
		}
		return out, nil
	}
}

func join(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil {
		return nil, err
	}
	between, _ := argument(args, named, 0, "d")
	word, by := argument(args, named, 1, "attribute")
	var b strings.Builder
	for i, v := range all {
		if i > 0 && between != nil {
			b.WriteString(show(between))
		}
		if by {
			v = m.attribute(v, word)
		}
		b.WriteString(show(v))
		if b.Len() > maxBytes {
			return nil, m.step(0, b.Len())
		}
	}
	return b.String(), nil
}

func replace(m *machine, of Value, args []Value, _ map[string]Value) (Value, error) {
	if len(args) < 2 {
		return nil, errors.New("replace expects two texts")
	}
	return m.replaced(show(of), show(args[0]), show(args[1]), args[2:])
}

// replaced replaces a text, all times or as many as the third argument says.
func (m *machine) replaced(s, old, new string, args []Value) (Value, error) {
	n := -1
	if len(args) > 0 {
		if k, ok := asInt(args[0]); ok {
			n = int(max(-1, min(k, math.MaxInt32)))
		}
	}
	if found := strings.Count(s, old); len(new) > 0 && found > maxBytes/len(new) {
		return nil, m.step(0, maxBytes+1)
	}
	return strings.Replace(s, old, new, n), nil
}

func indent(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	width, _ := argument(args, named, 0, "width")
	by := "    "
	switch w := width.(type) {
	case int64:
		by = strings.Repeat(" ", int(max(0, min(w, 1000))))
	case string:
		by = w
	}
	atFirst, _ := argument(args, named, 1, "first")
	blank, _ := argument(args, named, 2, "blank")
	lines := strings.Split(show(of), "\n")
	if len(by) > 0 && len(lines) > maxBytes/len(by) {
		return nil, m.step(0, maxBytes+1)
	}
	for i, line := range lines {
		if (i > 0 || atFirst != nil && truth(atFirst)) && (line != "" || blank != nil && truth(blank)) {
			lines[i] = by + line
		}
	}
	return strings.Join(lines, "\n"), nil
}

func toInt(_ *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	instead, ok := argument(args, named, 0, "default")
	if !ok {
		instead = int64(0)
	}
	if n, ok := asInt(of); ok {
		return n, nil
	}
	x, isFloat := of.(float64)
	if s, ok := of.(string); ok {
		s = strings.ReplaceAll(strings.TrimSpace(s), "_", "")
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
		y, err := strconv.ParseFloat(s, 64)
		x, isFloat = y, err == nil
	}
	if isFloat && math.Abs(x) < 1<<62 {
		return int64(x), nil
	}
	return instead, nil
}

func toFloat(_ *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	instead, ok := argument(args, named, 0, "default")
	if !ok {
		instead = 0.0
	}
	if x, _, ok := asNumber(of); ok {
		return x, nil
	}
	if s, ok := of.(string); ok {
		if x, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			return x, nil
		}
	}
	return instead, nil
}

func absolute(_ *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
	if n, ok := asInt(of); ok {
		return max(n, -n), nil
	}
	if x, ok := of.(float64); ok {
		return math.Abs(x), nil
	}
	return nil, fmt.Errorf("abs of %s", typeName(of))
}

func rounded(_ *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	x, _, ok := asNumber(of)
	if !ok {
		return nil, fmt.Errorf("round of %s", typeName(of))
	}
	digits, _ := argument(args, named, 0, "precision")
	how, _ := argument(args, named, 1, "method")
	n, _ := asInt(digits)
	scale := math.Pow(10, float64(max(-20, min(n, 20))))
	f := math.RoundToEven
	switch how {
	case "ceil":
		f = math.Ceil
	case "floor":
		f = math.Floor
	}
	return f(x*scale) / scale, nil
}

func sum(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	all, err := m.items(of, 0)
	if err != nil {
		return nil, err
	}
	word, by := argument(args, named, 0, "attribute")
	total, ok := argument(args, named, 1, "start")
	if !ok {
		total = int64(0)
	}
	for _, v := range all {
		if by {
			v = m.attribute(v, word)
		}
		if total, err = m.arithmetic("+", total, v, 0); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func extreme(sign int) filterFunc {
	return func(m *machine, of Value, _ []Value, _ map[string]Value) (Value, error) {
		all, err := m.items(of, 0)
		if err != nil || len(all) == 0 {
			return undefined{"the largest or smallest of nothing"}, err
		}
		best := all[0]
		for _, v := range all[1:] {
			c, ok := m.compare(folded(v), folded(best))
			if !ok {
				return nil, fmt.Errorf("%s cannot be compared with %s", typeName(v), typeName(best))
			}
			if c*sign > 0 {
				best = v
			}
		}
		return best, nil
	}
}
