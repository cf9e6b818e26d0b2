package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func truncate(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	s, isText := of.(string)
	if !isText {
		return nil, fmt.Errorf("truncate of %s", typeName(of))
	}
	length, leeway, end := int64(255), int64(5), "..."
	var err error
	if v, ok := argument(args, named, 0, "length"); ok {
		length, err = integerOf(v, err)
	}
	if v, ok := argument(args, named, 2, "end"); ok {
		if end, err = m.show(v); err != nil {
			return nil, err
		}
	}
	if v, ok := argument(args, named, 3, "leeway"); ok && v != nil {
		leeway, err = integerOf(v, err)
	}
	whole, _ := argument(args, named, 1, "killwords")
	if err != nil {
		return nil, err
	}
	keep := length - int64(utf8.RuneCountInString(end))
	if keep < 0 || leeway < 0 {
		return nil, errors.New("truncate expects a length that is not below that of its end, and no negative leeway")
	}
	if n := int64(utf8.RuneCountInString(s)); n <= length || n-length <= leeway {
		return s, nil
	}
	s = shortened(s, int(keep))
	if at := strings.LastIndexByte(s, ' '); at >= 0 && (whole == nil || !truth(whole)) {
		s = s[:at]
	}
	return s + end, m.step(0, len(s))
}

// integerOf returns an integer, or err if that is not nil.
func integerOf(v Value, err error) (int64, error) {
	n, ok := asInt(v)
	if err == nil && !ok {
		err = fmt.Errorf("an integer is expected, not %s", typeName(v))
	}
	return n, err
}

func wordwrap(m *machine, of Value, args []Value, named map[string]Value) (Value, error) {
	s, isText := of.(string)
	if !isText {
		return nil, fmt.Errorf("wordwrap of %s", typeName(of))
	}
	w := wrapper{width: 79, long: true, hyphens: true}
	between := "\n"
	if v, ok := argument(args, named, 0, "width"); ok {
		n, err := integerOf(v, nil)
		if err != nil || n < 1 {
			return nil, errors.New("wordwrap expects a width of at least 1")
		}
		w.width = int(min(n, maxBytes))
	}
	if v, ok := argument(args, named, 1, "break_long_words"); ok {
		w.long = truth(v)
	}
	if v, ok := argument(args, named, 2, "wrapstring"); ok && v != nil {
		var err error
		if between, err = m.show(v); err != nil {
			return nil, err
		}
	}
	if v, ok := argument(args, named, 3, "break_on_hyphens"); ok {
		w.hyphens = truth(v)
	}
	if err := m.step(0, 8*len(s)); err != nil { // its words
		return nil, err
	}
	var b strings.Builder
	for i, line := range splitLines(s).Items {
		if i > 0 {
			b.WriteString(between)
		}
		for k, part := range w.wrap([]rune(line.(string))) {
			if k > 0 {
				b.WriteString(between)
			}
			b.WriteString(part)
			if b.Len() > maxBytes {
				return nil, m.step(0, b.Len())
			}
		}
	}
	return b.String(), nil
}

// wrapper breaks a text into lines as Python's textwrap does, with the settings that
// Jinja gives it.
type wrapper struct {
	width         int
	long, hyphens bool // long words are broken; words are broken behind hyphens
}

func (w wrapper) wrap(text []rune) (lines []string) {
	chunks := w.chunks(text)
	for len(chunks) > 0 {
		var line [][]rune
		length := 0
		if blank(chunks[0]) && len(lines) > 0 {
			chunks = chunks[1:]
		}
		for len(chunks) > 0 && length+len(chunks[0]) <= w.width {
			line, length, chunks = append(line, chunks[0]), length+len(chunks[0]), chunks[1:]
		}
		if len(chunks) > 0 && len(chunks[0]) > w.width {
			if w.long {
				end := w.width - length
				if at := lastHyphen(chunks[0][:min(end, len(chunks[0]))]); w.hyphens && at > 0 {
					end = at + 1
				}
				line, chunks[0] = append(line, chunks[0][:end]), chunks[0][end:]
			} else if len(line) == 0 {
				line, chunks = append(line, chunks[0]), chunks[1:]
			}
		}
		if n := len(line); n > 0 && blank(line[n-1]) {
			line = line[:n-1]
		}
		if len(line) > 0 {
			lines = append(lines, string(slices.Concat(line...)))
		}
	}
	return lines
}

// lastHyphen returns the place of the last hyphen behind something else; 0 if there is none.
func lastHyphen(s []rune) int {
	for i := len(s) - 1; i > 0; i-- {
		if s[i] == '-' {
			if slices.ContainsFunc(s[:i], func(r rune) bool { return r != '-' }) {
				return i
			}
			return 0
		}
	}
	return 0
}

func blank(s []rune) bool {
	return !slices.ContainsFunc(s, func(r rune) bool { return !unicode.IsSpace(r) })
}

func wrapSpace(r rune) bool { return strings.ContainsRune("\t\n\v\f\r ", r) }

// wordRune reports whether \w of Python's re matches.
func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

func wordOrPoint(r rune) bool { return wordRune(r) || strings.ContainsRune(`!"'&.,?`, r) }

// letterRune reports whether [^\d\W] of Python's re matches.
func letterRune(r rune) bool { return wordRune(r) && !unicode.Is(unicode.Nd, r) }

// chunks splits a text where a line may end: textwrap's wordsep_re, or its
// wordsep_simple_re.
func (w wrapper) chunks(text []rune) (list [][]rune) {
	for i := 0; i < len(text); {
		end := i
		switch dashes := dashesAt(text, i); {
		case wrapSpace(text[i]):
			for end < len(text) && wrapSpace(text[end]) {
				end++
			}
		case w.hyphens && dashes > 0:
			end = i + dashes
		default:
			for end = i + 1; end < len(text) && !wrapSpace(text[end]); end++ {
				if w.hyphens && dashesAt(text, end) > 0 {
					break
				}
				if w.hyphens && text[end] == '-' && hyphenAt(text, end) {
					end++
					break
				}
			}
		}
		list, i = append(list, text[i:end]), end
	}
	return list
}

// dashesAt returns the length of a dash of several hyphens between words; 0 if there is none.
func dashesAt(text []rune, at int) int {
	if at == 0 || !wordOrPoint(text[at-1]) { // so that a row of hyphens is looked at once
		return 0
	}
	end := at
	for end < len(text) && text[end] == '-' {
		end++
	}
	if end-at < 2 || end == len(text) || !wordRune(text[end]) {
		return 0
	}
	return end - at
}

// hyphenAt reports whether a word may be broken behind its hyphen.
func hyphenAt(text []rune, at int) bool {
	letter := func(i int) bool { return i >= 0 && i < len(text) && letterRune(text[i]) }
	before := letter(at-1) && letter(at-2) || at >= 3 && letter(at-3) && text[at-2] == '-' && wordOrPoint(text[at-1])
	behind := letter(at+1) && (letter(at+2) || at+2 < len(text) && text[at+2] == '-' && letter(at+3))
	return before && behind
}

func expandTabs(m *machine, s string, args []Value) (Value, error) {
	size := int64(8)
	if len(args) > 0 {
		var err error
		if size, err = integerOf(args[0], nil); err != nil {
			return nil, err
		}
	}
	tabs := int64(strings.Count(s, "\t"))
	if size = max(size, 0); tabs > 0 && size > maxBytes/tabs {
		return nil, m.step(0, maxBytes+1)
	}
	var b strings.Builder
	column := int64(0)
	for _, r := range s {
		switch r {
		case '\t':
			if size > 0 {
				n := size - column%size
				column += n
				b.WriteString(strings.Repeat(" ", int(n)))
			}
			continue
		case '\n', '\r':
			column = -1
		}
		column++
		b.WriteRune(r)
	}
	return b.String(), m.step(0, b.Len())
}
