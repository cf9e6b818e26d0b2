package jinja

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fields are the values of str.format, and how its fields have named them so far.
type fields struct {
	args      []Value
	named     map[string]Value
	automatic int  // fields without a number
	manual    bool // there is a field with one
}

// braces formats as Python's str.format does: fields in braces are replaced by values.
// The format of a field may have fields, which have none.
func (f *fields) braces(m *machine, form string, depth int) (string, error) {
	var b strings.Builder
	for rest := form; rest != ""; {
		at := strings.IndexAny(rest, "{}")
		if at < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:at])
		c := rest[at]
		if rest = rest[at+1:]; rest != "" && rest[0] == c {
			b.WriteByte(c)
			rest = rest[1:]
			continue
		}
		end := closing(rest)
		if c == '}' || end < 0 {
			return "", errors.New("a single { or } in a format: write it twice")
		}
		if depth > 1 {
			return "", errors.New("a field of a format within a field within a field")
		}
		text, err := f.field(m, rest[:end], depth)
		if err == nil {
			err = m.step(0, len(text))
		}
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		rest = rest[end+1:]
	}
	return b.String(), nil
}

// closing returns the place of the brace that ends a field; -1 if there is none.
func closing(s string) int {
	open := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// field returns the text of a field.
func (f *fields) field(m *machine, text string, depth int) (string, error) {
	text, spec, _ := strings.Cut(text, ":")
	text, conversion, converts := strings.Cut(text, "!")
	word, path := text, ""
	if i := strings.IndexAny(text, ".["); i >= 0 {
		word, path = text[:i], text[i:]
	}
	v, err := f.value(word)
	if err == nil {
		v, err = m.follow(v, path)
	}
	if err == nil && converts {
		v, err = m.converted(v, conversion)
	}
	if err == nil && strings.ContainsAny(spec, "{}") {
		spec, err = f.braces(m, spec, depth+1)
	}
	if err != nil {
		return "", err
	}
	return m.specified(v, spec)
}

// value returns the value that a field names: by a number, by a word, or the next.
func (f *fields) value(word string) (Value, error) {
	n, err := strconv.Atoi(word)
	switch {
	case word == "":
		n = f.automatic
		if f.automatic++; f.manual {
			return nil, errors.New("fields of a format have numbers, or none")
		}
	case err == nil:
		if f.manual = true; f.automatic > 0 {
			return nil, errors.New("fields of a format have numbers, or none")
		}
	default:
		v, ok := f.named[word]
		if !ok {
			return nil, fmt.Errorf("the format has no value %.40q", word)
		}
		return v, nil
	}
	if n < 0 || n >= len(f.args) {
		return nil, errors.New("too few values for the format")
	}
	return f.args[n], nil
}

// follow returns a member of a value: ".a" and "[b]" in turn.
func (m *machine) follow(v Value, path string) (Value, error) {
	for path != "" {
		dot := path[0] == '.'
		rest := path[1:]
		end := strings.IndexAny(rest, ".[")
		if !dot {
			end = strings.IndexByte(rest, ']')
		}
		if end < 0 && !dot {
			return nil, errors.New("a field of a format has no ]")
		}
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		if path = rest[end:]; !dot {
			path = rest[end+1:]
		}
		var e expr = member{constant{v}, word, 0}
		if n, err := strconv.ParseInt(word, 10, 64); !dot {
			e = index{constant{v}, constant{word}, 0}
			if err == nil {
				e = index{constant{v}, constant{n}, 0}
			}
		}
		if word == "" {
			return nil, errors.New("an empty name in a field of a format")
		}
		var err error
		if v, err = e.eval(m); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (m *machine) converted(v Value, how string) (Value, error) {
	text := ""
	switch how {
	case "s":
		text = show(v)
	case "r":
		text = repr(v)
	case "a":
		text = ascii(repr(v))
	default:
		return nil, fmt.Errorf("the conversion %.8q of a field: s, r or a is expected", "!"+how)
	}
	return text, m.step(0, len(text))
}

// specification is Python's format specification: fill and alignment, sign, mark, zero,
// width, separator, precision, letter.
var specification = regexp.MustCompile(`^(?s:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d{1,7})?([,_])?(?:\.(\d{1,7}))?([bcdeEfFgGosxX%])?$`)

// specified returns a value as a specification says.
func (m *machine) specified(v Value, spec string) (string, error) {
	if spec == "" {
		return show(v), nil
	}
	p := specification.FindStringSubmatch(spec)
	_, isText := v.(string)
	n, isInt := asInt(v)
	x, _, isNumber := asNumber(v)
	if p == nil || !isText && !isNumber {
		return "", fmt.Errorf("the format %.40q of %s", spec, typeName(v))
	}
	fill, align, separator := p[1], p[2], p[7]
	l := layout{plus: p[3] == "+", blank: p[3] == " ", mark: p[4] != "", precision: -1}
	if l.width, _ = strconv.Atoi(p[6]); p[8] != "" {
		l.precision, _ = strconv.Atoi(p[8])
	}
	if p[9] != "" {
		l.kind = p[9][0]
	}
	if l.width > maxWidth || l.precision > maxWidth {
		return "", fmt.Errorf("a width or precision is above %d", maxWidth)
	}
	if p[5] != "" && align == "" {
		if fill = "0"; isNumber {
			align = "="
		}
	}
	if fill == "" {
		fill = " "
	}
	bad := func() (string, error) { return "", fmt.Errorf("the format %.40q of %s", spec, typeName(v)) }
	sign, text := "", ""
	switch {
	case isText:
		if l.kind != 0 && l.kind != 's' || align == "=" || p[3] != "" || l.mark || separator != "" {
			return bad()
		}
		if text = shortened(v.(string), l.precision); align == "" {
			align = "<"
		}
	case l.kind == 's':
		return bad()
	case isInt && (l.kind == 0 || strings.IndexByte("bdoxX", l.kind) >= 0):
		if l.precision >= 0 || separator == "," && l.kind != 0 && l.kind != 'd' {
			return bad()
		}
		if sign, text = whole10(n, l); l.mark {
			sign += map[byte]string{'b': "0b", 'o': "0o", 'x': "0x", 'X': "0X"}[l.kind]
		}
	case isInt && l.kind == 'c':
		if l.precision >= 0 || p[3] != "" || l.mark || separator != "" || n < 0 || n > utf8.MaxRune {
			return bad()
		}
		if text = string(rune(n)); align == "" {
			align = "<"
		}
	default:
		if l.mark || l.kind != 0 && strings.IndexByte("eEfFgG%", l.kind) < 0 {
			return bad()
		}
		sign, text = signOf(math.Signbit(x) && !math.IsNaN(x), l), spelled(math.Abs(x), l)
	}
	if separator != "" {
		if fill == "0" && align == "=" {
			return "", fmt.Errorf("the format %.40q: zeros with separators are not supported", spec)
		}
		text = separated(text, separator, l.kind)
	}
	return aligned(sign, text, fill, align, l.width), nil
}

// spelled returns a number that is not negative. Without a letter it is Python's repr,
// or with a precision %g with a digit behind the point.
func spelled(x float64, l layout) string {
	switch {
	case l.kind == '%':
		return floating(100*x, 'f', precisionOr(l, 6)) + "%"
	case l.kind != 0:
		return floating(x, l.kind, precisionOr(l, 6))
	case l.precision < 0 || math.IsNaN(x) || math.IsInf(x, 0):
		return showFloat(x)
	}
	precision := max(l.precision, 1)
	_, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', precision-1, 64), "e")
	if n, _ := strconv.Atoi(exponent); n >= -4 && n+1 > precision-1 { // where %g has no exponent yet
		s := strconv.FormatFloat(x, 'e', precision-1, 64)
		digits, exponent, _ := strings.Cut(s, "e")
		if strings.Contains(digits, ".") {
			digits = strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
		}
		return digits + "e" + exponent
	}
	s := floating(x, 'g', precision)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

func precisionOr(l layout, missing int) int {
	if l.precision < 0 {
		return missing
	}
	return l.precision
}

// separated puts a separator between groups of the digits before the point.
func separated(s, by string, kind byte) string {
	group := 3
	if strings.IndexByte("boxX", kind) >= 0 {
		group = 4
	}
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if group == 4 {
		digits = len(s)
	}
	var b strings.Builder
	for i := range digits {
		if i > 0 && (digits-i)%group == 0 {
			b.WriteString(by)
		}
		b.WriteByte(s[i])
	}
	return b.String() + s[digits:]
}

// aligned fills a text up to a width; numbers stand at the right.
func aligned(sign, text, fill, align string, width int) string {
	n := width - utf8.RuneCountInString(sign) - utf8.RuneCountInString(text)
	if n <= 0 {
		return sign + text
	}
	switch align {
	case "<":
		return sign + text + strings.Repeat(fill, n)
	case "=":
		return sign + strings.Repeat(fill, n) + text
	case "^":
		return strings.Repeat(fill, n/2) + sign + text + strings.Repeat(fill, n-n/2)
	}
	return strings.Repeat(fill, n) + sign + text
}
