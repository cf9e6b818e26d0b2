package jinja

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxWidth bounds the width and the precision of a formatted value.
const maxWidth = 1 << 16

// layout is how a value is formatted: what stands between the % and the letter, or
// behind the colon of a field in braces.
type layout struct {
	left, plus, blank, mark, zero bool
	width, precision              int // precision is -1 if there is none
	kind                          byte
}

// percent formats as Python's % does: the values are those of a tuple, the members of
// a mapping, or one value.
func (m *machine) percent(form string, of Value) (Value, error) {
	values, mapping := []Value{of}, true
	switch v := of.(type) {
	case *List:
		if mapping = !v.tuple; v.tuple {
			values = v.Items
		}
	case *Dict, *namespace, undefined:
	default:
		mapping = false
	}
	used := 0
	next := func() (Value, error) {
		if used++; used > len(values) {
			return nil, errors.New("too few values for the format")
		}
		return values[used-1], nil
	}
	var b strings.Builder
	for rest := form; ; {
		at := strings.IndexByte(rest, '%')
		if at < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:at])
		rest = rest[at+1:]
		if strings.HasPrefix(rest, "%") {
			b.WriteByte('%')
			rest = rest[1:]
			continue
		}
		take := next
		if strings.HasPrefix(rest, "(") {
			key, after, err := keyOf(rest)
			if err != nil {
				return nil, err
			}
			if _, ok := of.(*Dict); !ok {
				return nil, errors.New("a format with names expects a mapping")
			}
			v, ok := of.(*Dict).Get(key)
			if !ok {
				return nil, fmt.Errorf("the mapping has no %.40q", key)
			}
			rest, take = after, func() (Value, error) { return v, nil }
		}
		l, after, err := layoutOf(rest, take)
		if err != nil {
			return nil, err
		}
		rest = after
		v, err := take()
		if err != nil {
			return nil, err
		}
		text, err := m.formatted(v, l)
		if err == nil {
			b.WriteString(text)
			err = m.step(0, len(text))
		}
		if err != nil {
			return nil, err
		}
	}
	if used < len(values) && !mapping {
		return nil, errors.New("more values than the format has places")
	}
	return b.String(), nil
}

// keyOf reads the name of a value, in parentheses that may hold others.
func keyOf(s string) (key, rest string, err error) {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], nil
			}
		}
	}
	return "", "", errors.New("the name of a value has no end")
}

// layoutOf reads what is behind a %. A star takes its number from the values.
func layoutOf(s string, take func() (Value, error)) (l layout, rest string, err error) {
	l.precision = -1
	for ; s != "" && strings.IndexByte("-+ #0", s[0]) >= 0; s = s[1:] {
		switch s[0] {
		case '-':
			l.left = true
		case '+':
			l.plus = true
		case ' ':
			l.blank = true
		case '#':
			l.mark = true
		case '0':
			l.zero = true
		}
	}
	if l.width, s, err = numberOf(s, take); err != nil {
		return l, s, err
	}
	if l.width < 0 {
		l.left, l.width = true, -l.width
	}
	if strings.HasPrefix(s, ".") {
		if l.precision, s, err = numberOf(s[1:], take); err != nil {
			return l, s, err
		}
		l.precision = max(l.precision, 0)
	}
	if s != "" && strings.IndexByte("hlL", s[0]) >= 0 {
		s = s[1:]
	}
	if s == "" {
		return l, s, errors.New("the format ends within a place")
	}
	l.kind = s[0]
	return l, s[1:], nil
}

func numberOf(s string, take func() (Value, error)) (n int, rest string, err error) {
	if strings.HasPrefix(s, "*") {
		v, err := take()
		if err != nil {
			return 0, s, err
		}
		k, ok := asInt(v)
		if !ok || k > maxWidth || k < -maxWidth {
			return 0, s, fmt.Errorf("a width is expected from %d to %d", -maxWidth, maxWidth)
		}
		return int(k), s[1:], nil
	}
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits == 0 {
		return 0, s, nil
	}
	n, err = strconv.Atoi(s[:digits])
	if err != nil || n > maxWidth {
		return 0, s, fmt.Errorf("a width or precision is above %d", maxWidth)
	}
	return n, s[digits:], nil
}

// formatted returns the text of one value.
func (m *machine) formatted(v Value, l layout) (string, error) {
	switch l.kind {
	case 's', 'r', 'a':
		text := ""
		switch l.kind {
		case 's':
			text = show(v)
		case 'r':
			text = repr(v)
		default:
			text = ascii(repr(v))
		}
		return l.padded("", shortened(text, l.precision), false), m.step(0, len(text))
	case 'c':
		if n, ok := v.(int64); ok && n >= 0 && n <= utf8.MaxRune {
			return l.padded("", string(rune(n)), false), nil
		}
		if s, ok := v.(string); ok && utf8.RuneCountInString(s) == 1 {
			return l.padded("", s, false), nil
		}
		return "", fmt.Errorf("a character is expected, not %s", typeName(v))
	case 'd', 'i', 'u', 'o', 'x', 'X':
		n, ok := asInt(v)
		if x, isFloat := v.(float64); isFloat && strings.IndexByte("diu", l.kind) >= 0 {
			if n, ok = int64(x), math.Abs(x) < 1<<63; !ok {
				return "", errors.New("a number beyond 64 bits")
			}
		}
		if !ok {
			return "", fmt.Errorf("an integer is expected, not %s", typeName(v))
		}
		sign, digits := whole10(n, l)
		if missing := l.precision - len(digits); missing > 0 {
			digits = strings.Repeat("0", missing) + digits
		}
		if l.mark {
			sign += map[byte]string{'o': "0o", 'x': "0x", 'X': "0X"}[l.kind]
		}
		return l.padded(sign, digits, l.zero), nil
	case 'e', 'E', 'f', 'F', 'g', 'G':
		x, _, ok := asNumber(v)
		if !ok || l.mark {
			return "", fmt.Errorf("%%%c of %s", l.kind, typeName(v))
		}
		precision := l.precision
		if precision < 0 {
			precision = 6
		}
		sign, digits := signOf(math.Signbit(x) && !math.IsNaN(x), l), floating(math.Abs(x), l.kind, precision)
		return l.padded(sign, digits, l.zero), nil
	}
	return "", fmt.Errorf("%.8q is no letter of a format", "%"+string(rune(l.kind)))
}

// whole10 returns the sign of an integer and its digits in the base of the letter.
func whole10(n int64, l layout) (sign, digits string) {
	base := map[byte]int{'o': 8, 'x': 16, 'X': 16, 'b': 2}[l.kind]
	if base == 0 {
		base = 10
	}
	digits = strings.TrimPrefix(strconv.FormatInt(n, base), "-")
	if l.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	return signOf(n < 0, l), digits
}

func signOf(negative bool, l layout) string {
	switch {
	case negative:
		return "-"
	case l.plus:
		return "+"
	case l.blank:
		return " "
	}
	return ""
}

// floating returns a number that is not negative, as C's printf does.
func floating(x float64, kind byte, precision int) string {
	upper := kind < 'a'
	if upper {
		kind += 'a' - 'A'
	}
	text := ""
	switch {
	case math.IsNaN(x):
		text = "nan"
	case math.IsInf(x, 0):
		text = "inf"
	default:
		if kind == 'g' {
			precision = max(precision, 1)
		}
		text = strconv.FormatFloat(x, kind, precision, 64)
	}
	if upper {
		text = strings.ToUpper(text)
	}
	return text
}

// padded fills a text up to the width: with zeros between sign and digits, or with
// spaces before or behind both.
func (l layout) padded(sign, text string, zeros bool) string {
	n := l.width - utf8.RuneCountInString(sign) - utf8.RuneCountInString(text)
	switch {
	case n <= 0:
		return sign + text
	case l.left:
		return sign + text + strings.Repeat(" ", n)
	case zeros:
		return sign + strings.Repeat("0", n) + text
	}
	return strings.Repeat(" ", n) + sign + text
}

// shortened returns at most n characters of a text; all if n is negative.
func shortened(s string, n int) string {
	if n < 0 || len(s) <= n {
		return s
	}
	for at := range s {
		if n--; n < 0 {
			return s[:at]
		}
	}
	return s
}

// ascii escapes the characters beyond ASCII, as Python's ascii does.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}
