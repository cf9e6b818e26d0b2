package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// globals are the names that every template has.
var globals = map[string]Value{
	"range": function(rangeOf),
	"namespace": function(func(_ *machine, args []Value, named map[string]Value) (Value, error) {
		d, err := dictOf(args, named)
		return &namespace{d}, err
	}),
	"cycler": function(cyclerOf), "joiner": function(joinerOf),
	"dict": function(func(_ *machine, args []Value, named map[string]Value) (Value, error) { return dictOf(args, named) }),
	"raise_exception": function(func(_ *machine, args []Value, _ map[string]Value) (Value, error) {
		text := "the template refuses the conversation"
		if len(args) > 0 {
			text = show(args[0])
		}
		return nil, errors.New(oneLine(text))
	}),
	"strftime_now": function(func(_ *machine, args []Value, _ map[string]Value) (Value, error) {
		if len(args) != 1 {
			return nil, errors.New("strftime_now expects a format")
		}
		return strftime(time.Now(), show(args[0])), nil
	}),
}

// oneLine shortens a text of the template for a message.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "..."
	}
	return s
}

func rangeOf(m *machine, args []Value, _ map[string]Value) (Value, error) {
	var n [3]int64
	for i, a := range args {
		v, ok := asInt(a)
		if !ok || i > 2 {
			return nil, errors.New("range expects one to three integers")
		}
		n[i] = v
	}
	from, to, step := n[0], n[1], n[2]
	switch len(args) {
	case 0:
		return nil, errors.New("range expects one to three integers")
	case 1:
		from, to, step = 0, n[0], 1
	case 2:
		step = 1
	}
	if step == 0 {
		return nil, errors.New("the step of a range is 0")
	}
	out := &List{}
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		if err := m.step(0, 16); err != nil {
			return nil, err
		}
		out.Items = append(out.Items, i)
		if next := i + step; (next > i) != (step > 0) {
			break
		}
	}
	return out, nil
}

func dictOf(args []Value, named map[string]Value) (*Dict, error) {
	d := NewDict()
	for _, a := range args {
		from, ok := a.(*Dict)
		if !ok {
			return nil, fmt.Errorf("a mapping of %s", typeName(a))
		}
		for _, k := range from.keys {
			d.Set(k, from.values[k])
		}
	}
	words := make([]string, 0, len(named))
	for k := range named {
		words = append(words, k)
	}
	slices.Sort(words)
	for _, k := range words {
		d.Set(k, named[k])
	}
	return d, nil
}

// strftime formats a time as C does, for the parts that templates use.
func strftime(t time.Time, form string) string {
	layouts := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'B': "January", 'b': "Jan", 'h': "Jan", 'A': "Monday", 'a': "Mon", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
		'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'j': "002", 'e': "_2", 'Z': "MST", 'z': "-0700", 'R': "15:04",
	}
	var b strings.Builder
	for i := 0; i < len(form); i++ {
		if form[i] != '%' || i+1 == len(form) {
			b.WriteByte(form[i])
			continue
		}
		i++
		switch l, ok := layouts[form[i]]; {
		case ok:
			b.WriteString(t.Format(l))
		case form[i] == '%':
			b.WriteByte('%')
		case form[i] == '-' && i+1 < len(form) && layouts[form[i+1]] != "":
			i++
			b.WriteString(strings.TrimLeft(t.Format(layouts[form[i]]), "0 "))
		default:
			b.WriteString("%" + form[i:i+1])
		}
	}
	return b.String()
}

// method returns a method of a value; nil if it has none of the name. None of them
// changes a value: transformers' sandbox is immutable too.
func method(of Value, word string) function {
	switch v := of.(type) {
	case string:
		if word == "format" {
			return func(m *machine, args []Value, named map[string]Value) (Value, error) {
				return (&fields{args: args, named: named}).braces(m, v, 0)
			}
		}
		if f := textMethods[word]; f != nil {
			return func(m *machine, args []Value, _ map[string]Value) (Value, error) { return f(m, v, args) }
		}
	case *Dict:
		return dictMethod(v, word)
	case *List:
		switch word {
		case "index", "count":
			return func(m *machine, args []Value, _ map[string]Value) (Value, error) {
				if len(args) != 1 {
					return nil, fmt.Errorf("%s expects a value", word)
				}
				n := int64(0)
				for i, e := range v.Items {
					if m.equal(e, args[0]) {
						if n++; word == "index" {
							return int64(i), nil
						}
					}
				}
				if word == "index" {
					return nil, errors.New("the list has no such value")
				}
				return n, m.step(0, 0)
			}
		case "append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse":
			return func(*machine, []Value, map[string]Value) (Value, error) {
				return nil, fmt.Errorf("%s changes a list, and a template may not", word)
			}
		}
	}
	return nil
}

func dictMethod(d *Dict, word string) function {
	switch word {
	case "items":
		return func(*machine, []Value, map[string]Value) (Value, error) { return pairs(d), nil }
	case "keys":
		return func(*machine, []Value, map[string]Value) (Value, error) {
			return &List{Items: slices.Clone(d.keys)}, nil
		}
	case "values":
		return func(*machine, []Value, map[string]Value) (Value, error) {
			out := &List{}
			for _, k := range d.keys {
				out.Items = append(out.Items, d.values[k])
			}
			return out, nil
		}
	case "get":
		return func(_ *machine, args []Value, _ map[string]Value) (Value, error) {
			if len(args) == 0 {
				return nil, errors.New("get expects a key")
			}
			if v, ok := d.Get(args[0]); ok {
				return v, nil
			}
			if len(args) > 1 {
				return args[1], nil
			}
			return nil, nil
		}
	case "copy":
		return func(*machine, []Value, map[string]Value) (Value, error) { return dictOf([]Value{d}, nil) }
	case "update", "pop", "popitem", "clear", "setdefault":
		return func(*machine, []Value, map[string]Value) (Value, error) {
			return nil, fmt.Errorf("%s changes a mapping, and a template may not", word)
		}
	}
	return nil
}

type textMethod func(m *machine, s string, args []Value) (Value, error)

var textMethods map[string]textMethod

func init() {
	textMethods = map[string]textMethod{
		"strip":  func(_ *machine, s string, args []Value) (Value, error) { return strip(s, args, true, true) },
		"lstrip": func(_ *machine, s string, args []Value) (Value, error) { return strip(s, args, true, false) },
		"rstrip": func(_ *machine, s string, args []Value) (Value, error) { return strip(s, args, false, true) },
		"split":  func(_ *machine, s string, args []Value) (Value, error) { return split(s, args, false) },
		"rsplit": func(_ *machine, s string, args []Value) (Value, error) { return split(s, args, true) },
		"splitlines": func(_ *machine, s string, args []Value) (Value, error) {
			return linesOf(s, len(args) > 0 && truth(args[0])), nil
		},
		"expandtabs": expandTabs,
		"partition":  oneText(func(s, t string) Value { return parted(s, t, strings.Index(s, t), s, "") }),
		"rpartition": oneText(func(s, t string) Value { return parted(s, t, strings.LastIndex(s, t), "", s) }),
		"index":      found(strings.Index),
		"rindex":     found(strings.LastIndex),
		"swapcase": func(_ *machine, s string, _ []Value) (Value, error) {
			return strings.Map(func(r rune) rune {
				if unicode.IsUpper(r) {
					return unicode.ToLower(r)
				}
				return unicode.ToUpper(r)
			}, s), nil
		},
		"casefold": func(_ *machine, s string, _ []Value) (Value, error) { return cases.Fold().String(s), nil },
		"isascii": func(_ *machine, s string, _ []Value) (Value, error) {
			return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0, nil
		},
		"isalnum": func(_ *machine, s string, _ []Value) (Value, error) {
			return allRunes(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }), nil
		},
		"isdecimal": func(_ *machine, s string, _ []Value) (Value, error) {
			return allRunes(s, func(r rune) bool { return unicode.Is(unicode.Nd, r) }), nil
		},
		"isnumeric":    func(_ *machine, s string, _ []Value) (Value, error) { return allRunes(s, unicode.IsNumber), nil },
		"upper":        func(_ *machine, s string, _ []Value) (Value, error) { return strings.ToUpper(s), nil },
		"lower":        func(_ *machine, s string, _ []Value) (Value, error) { return strings.ToLower(s), nil },
		"title":        func(_ *machine, s string, _ []Value) (Value, error) { return title(s), nil },
		"capitalize":   func(_ *machine, s string, _ []Value) (Value, error) { return capitalize(s), nil },
		"startswith":   func(_ *machine, s string, args []Value) (Value, error) { return affix(s, args, strings.HasPrefix) },
		"endswith":     func(_ *machine, s string, args []Value) (Value, error) { return affix(s, args, strings.HasSuffix) },
		"removeprefix": oneText(func(s, t string) Value { return strings.TrimPrefix(s, t) }),
		"removesuffix": oneText(func(s, t string) Value { return strings.TrimSuffix(s, t) }),
		"count":        oneText(func(s, t string) Value { return int64(strings.Count(s, t)) }),
		"find":         oneText(func(s, t string) Value { return place(s, strings.Index(s, t)) }),
		"rfind":        oneText(func(s, t string) Value { return place(s, strings.LastIndex(s, t)) }),
		"isdigit":      func(_ *machine, s string, _ []Value) (Value, error) { return allRunes(s, unicode.IsDigit), nil },
		"isalpha":      func(_ *machine, s string, _ []Value) (Value, error) { return allRunes(s, unicode.IsLetter), nil },
		"isspace":      func(_ *machine, s string, _ []Value) (Value, error) { return allRunes(s, unicode.IsSpace), nil },
		"isupper": func(_ *machine, s string, _ []Value) (Value, error) {
			return s != strings.ToLower(s) && s == strings.ToUpper(s), nil
		},
		"islower": func(_ *machine, s string, _ []Value) (Value, error) {
			return s != strings.ToUpper(s) && s == strings.ToLower(s), nil
		},
		"ljust":  padding(func(before, n int) (left, right int) { return 0, n }),
		"rjust":  padding(func(before, n int) (left, right int) { return n, 0 }),
		"center": padding(func(before, n int) (left, right int) { left = n/2 + n&(before+n)&1; return left, n - left }),
		"zfill": func(m *machine, s string, args []Value) (Value, error) {
			sign := ""
			if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
				sign, s = s[:1], s[1:]
			}
			if len(args) == 1 {
				if n, ok := asInt(args[0]); ok {
					args = []Value{n - int64(len(sign)), "0"}
				}
			}
			v, err := textMethods["rjust"](m, s, args)
			if err != nil {
				return nil, err
			}
			return sign + v.(string), nil
		},
		"replace": func(m *machine, s string, args []Value) (Value, error) {
			if len(args) < 2 {
				return nil, errors.New("replace expects two texts")
			}
			return m.replaced(s, show(args[0]), show(args[1]), args[2:])
		},
		"join": func(m *machine, s string, args []Value) (Value, error) {
			if len(args) != 1 {
				return nil, errors.New("join expects a list")
			}
			return join(m, args[0], []Value{s}, nil)
		},
	}
}

// padding returns the methods that fill a text up to a width. of says how many of n
// missing characters come before a text of a length, and how many behind it.
func padding(of func(length, n int) (left, right int)) textMethod {
	return func(m *machine, s string, args []Value) (Value, error) {
		fill := " "
		if len(args) == 2 {
			fill, _ = args[1].(string)
		}
		if len(args) < 1 || len(args) > 2 || utf8.RuneCountInString(fill) != 1 {
			return nil, errors.New("a width and one character are expected")
		}
		width, ok := asInt(args[0])
		if !ok {
			return nil, fmt.Errorf("a width is expected, not %s", typeName(args[0]))
		}
		length := utf8.RuneCountInString(s)
		n := max(width-int64(length), 0)
		if n > maxBytes/int64(len(fill)) {
			return nil, m.step(0, maxBytes+1)
		}
		left, right := of(length, int(n))
		return strings.Repeat(fill, left) + s + strings.Repeat(fill, right), m.step(0, int(n)*len(fill))
	}
}

func oneText(f func(s, t string) Value) textMethod {
	return oneTextOr(func(s, t string) (Value, error) { return f(s, t), nil })
}

func oneTextOr(f func(s, t string) (Value, error)) textMethod {
	return func(_ *machine, s string, args []Value) (Value, error) {
		if len(args) == 0 {
			return nil, errors.New("a text is missing")
		}
		t, ok := args[0].(string)
		if !ok {
			return nil, fmt.Errorf("a text is expected, not %s", typeName(args[0]))
		}
		return f(s, t)
	}
}

// place returns the index of a character for that of a byte.
func place(s string, at int) Value {
	if at < 0 {
		return int64(-1)
	}
	return int64(utf8.RuneCountInString(s[:at]))
}

func allRunes(s string, is func(r rune) bool) Value {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0
}

func strip(s string, args []Value, left, right bool) (Value, error) {
	in := unicode.IsSpace
	if len(args) > 0 && args[0] != nil {
		set, ok := args[0].(string)
		if !ok {
			return nil, fmt.Errorf("a text is expected, not %s", typeName(args[0]))
		}
		in = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, in)
	}
	if right {
		s = strings.TrimRightFunc(s, in)
	}
	return s, nil
}

func split(s string, args []Value, fromRight bool) (Value, error) {
	most := int64(-1)
	if len(args) > 1 {
		most, _ = asInt(args[1])
	}
	var parts []string
	sep, given := "", len(args) > 0 && args[0] != nil
	if given {
		var ok bool
		if sep, ok = args[0].(string); !ok || sep == "" {
			return nil, errors.New("split expects a text that is not empty")
		}
	}
	switch {
	case !given && most < 0:
		parts = strings.Fields(s)
	case !given:
		for rest := strings.TrimLeftFunc(s, unicode.IsSpace); rest != ""; {
			at := strings.IndexFunc(rest, unicode.IsSpace)
			if at < 0 || int64(len(parts)) == most {
				parts = append(parts, rest)
				break
			}
			parts, rest = append(parts, rest[:at]), strings.TrimLeftFunc(rest[at:], unicode.IsSpace)
		}
	case fromRight && most >= 0:
		rest := s
		for int64(len(parts)) < most {
			at := strings.LastIndex(rest, sep)
			if at < 0 {
				break
			}
			parts, rest = append(parts, rest[at+len(sep):]), rest[:at]
		}
		parts = append(parts, rest)
		slices.Reverse(parts)
	default:
		n := -1
		if most >= 0 {
			n = int(min(most, 1<<30)) + 1
		}
		parts = strings.SplitN(s, sep, n)
	}
	return texts(parts), nil
}

func texts(parts []string) *List {
	out := &List{Items: make([]Value, len(parts))}
	for i, p := range parts {
		out.Items[i] = p
	}
	return out
}

func splitLines(s string) *List { return linesOf(s, false) }

// linesOf splits a text into lines as Python does, with their ends or without.
func linesOf(s string, ends bool) *List {
	var parts []string
	for s != "" {
		at := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if at < 0 {
			parts = append(parts, s)
			break
		}
		_, n := utf8.DecodeRuneInString(s[at:])
		if strings.HasPrefix(s[at:], "\r\n") {
			n = 2
		}
		line := s[:at]
		if ends {
			line = s[:at+n]
		}
		parts, s = append(parts, line), s[at+n:]
	}
	return texts(parts)
}

// parted returns what is before a text, the text, and what is behind it; left and right
// if it is not there.
func parted(s, t string, at int, left, right string) Value {
	if at >= 0 {
		left, right = s[:at], s[at+len(t):]
	} else {
		t = ""
	}
	return &List{Items: []Value{left, t, right}, tuple: true}
}

// found returns a method that finds a text, which must be there.
func found(in func(s, t string) int) textMethod {
	return oneTextOr(func(s, t string) (Value, error) {
		if at := in(s, t); at >= 0 {
			return place(s, at), nil
		}
		return nil, errors.New("the text is not found")
	})
}

// affix tests a text's start or end for one text or any of several.
func affix(s string, args []Value, has func(s, t string) bool) (Value, error) {
	if len(args) == 0 {
		return nil, errors.New("a text is missing")
	}
	all := []Value{args[0]}
	if l, ok := args[0].(*List); ok && l.tuple {
		all = l.Items
	}
	for _, v := range all {
		t, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("a text is expected, not %s", typeName(v))
		}
		if has(s, t) {
			return true, nil
		}
	}
	return false, nil
}
