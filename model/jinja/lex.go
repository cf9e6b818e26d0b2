package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind int

const (
	textToken  kind = iota // outside of tags
	beginTag               // {%
	endTag                 // %}
	beginPrint             // {{
	endPrint               // }}
	name
	stringToken
	integer
	float
	operator
	end
)

// token is a piece of a template.
type token struct {
	kind kind
	text string // of a string: its value
	line int
}

// lexer cuts a template into tokens.
type lexer struct {
	src    string
	at     int
	line   int
	tokens []token
}

// lex returns the tokens of a template. A newline after a tag is dropped, and white
// space before a tag that begins a line: trim_blocks and lstrip_blocks.
func lex(src string) ([]token, error) {
	src = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(src)
	src = strings.TrimSuffix(src, "\n")
	l := &lexer{src: src, line: 1}
	trim := false // the last tag ended with a minus
	after := false
	for l.at < len(l.src) {
		next := l.next()
		text := l.src[l.at:next]
		if after && strings.HasPrefix(text, "\n") { // trim_blocks
			l.skip(1)
			text = text[1:]
		}
		if trim {
			text = strings.TrimLeftFunc(text, unicode.IsSpace)
		}
		trim, after = false, false
		if next < len(l.src) {
			text = stripBefore(text, l.src[next:], l.lineStart(next))
		}
		if text != "" {
			l.tokens = append(l.tokens, token{textToken, text, l.line})
		}
		l.skip(next - l.at)
		if l.at >= len(l.src) {
			break
		}
		var err error
		if trim, after, err = l.tag(); err != nil {
			return nil, err
		}
	}
	l.tokens = append(l.tokens, token{end, "", l.line})
	return l.tokens, nil
}

// skip moves on by n bytes.
func (l *lexer) skip(n int) {
	l.line += strings.Count(l.src[l.at:l.at+n], "\n")
	l.at += n
}

// next returns the place of the next tag.
func (l *lexer) next() int {
	for i := l.at; i+1 < len(l.src); i++ {
		if l.src[i] == '{' && strings.IndexByte("%{#", l.src[i+1]) >= 0 {
			return i
		}
	}
	return len(l.src)
}

// lineStart reports whether only white space is between the start of the line, or
// of the template, and a place.
func (l *lexer) lineStart(at int) bool {
	for i := at - 1; i >= 0; i-- {
		switch c := l.src[i]; {
		case c == '\n':
			return true
		case c != ' ' && c != '\t' && c != '\f' && c != '\v':
			return false
		}
	}
	return true
}

// stripBefore drops the white space before a tag.
func stripBefore(text, tag string, lineStart bool) string {
	if len(tag) > 2 && tag[2] == '-' {
		return strings.TrimRightFunc(text, unicode.IsSpace)
	}
	if len(tag) > 2 && tag[2] == '+' || tag[1] == '{' || !lineStart {
		return text
	}
	return strings.TrimRight(text, " \t\f\v")
}

// tag reads what begins at l.at: a comment, a raw part, a statement or a print.
// trim: white space after it is dropped; newline: one newline is.
func (l *lexer) tag() (trim, newline bool, err error) {
	line := l.line
	opener := l.src[l.at : l.at+2]
	if opener == "{#" {
		close := strings.Index(l.src[l.at+2:], "#}")
		if close < 0 {
			return false, false, errorAt(line, "a comment has no end")
		}
		trim = l.src[l.at+2+close-1] == '-' && close > 0
		l.skip(close + 4)
		return trim, true, nil
	}
	l.skip(2)
	if l.at < len(l.src) && (l.src[l.at] == '-' || l.src[l.at] == '+') {
		l.skip(1)
	}
	if opener == "{%" && strings.HasPrefix(strings.TrimLeftFunc(l.src[l.at:], unicode.IsSpace), "raw") {
		if trim, ok, err := l.raw(); ok || err != nil {
			return trim, true, err
		}
	}
	from, to, closer := beginTag, endTag, "%}"
	if opener == "{{" {
		from, to, closer = beginPrint, endPrint, "}}"
	}
	l.tokens = append(l.tokens, token{from, opener, line})
	depth := 0 // of brackets: }} may end two dictionaries
	for {
		for l.at < len(l.src) && unicode.IsSpace(rune(l.src[l.at])) {
			l.skip(1)
		}
		rest := l.src[l.at:]
		switch {
		case rest == "":
			return false, false, errorAt(line, "a tag has no end")
		case depth == 0 && strings.HasPrefix(rest, "-"+closer):
			l.skip(3)
			l.tokens = append(l.tokens, token{to, closer, l.line})
			return true, false, nil
		case depth == 0 && strings.HasPrefix(rest, "+"+closer):
			l.skip(3)
			l.tokens = append(l.tokens, token{to, closer, l.line})
			return false, false, nil
		case depth == 0 && strings.HasPrefix(rest, closer):
			l.skip(2)
			l.tokens = append(l.tokens, token{to, closer, l.line})
			return false, closer == "%}", nil
		}
		if err := l.inner(); err != nil {
			return false, false, err
		}
		switch l.tokens[len(l.tokens)-1] {
		case token{operator, "(", l.line}, token{operator, "[", l.line}, token{operator, "{", l.line}:
			depth++
		case token{operator, ")", l.line}, token{operator, "]", l.line}, token{operator, "}", l.line}:
			depth = max(0, depth-1)
		}
	}
}

// raw reads {% raw %}, whose content is text.
func (l *lexer) raw() (trim, ok bool, err error) {
	rest := l.src[l.at:]
	body := strings.TrimLeftFunc(rest, unicode.IsSpace)
	body = strings.TrimLeftFunc(strings.TrimPrefix(body, "raw"), unicode.IsSpace)
	minus := strings.HasPrefix(body, "-")
	body, ok = strings.CutPrefix(strings.TrimPrefix(body, "-"), "%}")
	if !ok {
		return false, false, nil
	}
	for i := 0; ; {
		open := strings.Index(body[i:], "{%")
		if open < 0 {
			return false, false, errorAt(l.line, "raw has no endraw")
		}
		inner := body[i+open+2:]
		tag := strings.TrimPrefix(inner, "-")
		tag = strings.TrimLeftFunc(tag, unicode.IsSpace)
		after, is := strings.CutPrefix(tag, "endraw")
		after = strings.TrimLeftFunc(after, unicode.IsSpace)
		trim = strings.HasPrefix(after, "-")
		after, closed := strings.CutPrefix(strings.TrimPrefix(after, "-"), "%}")
		if !is || !closed {
			i += open + 2
			continue
		}
		text := body[:i+open]
		if minus {
			text = strings.TrimLeftFunc(text, unicode.IsSpace)
		}
		if strings.HasPrefix(inner, "-") {
			text = strings.TrimRightFunc(text, unicode.IsSpace)
		} else if k := strings.LastIndexByte(text, '\n'); strings.TrimLeft(text[k+1:], " \t\f\v") == "" {
			text = text[:k+1]
		}
		if text != "" {
			l.tokens = append(l.tokens, token{textToken, text, l.line})
		}
		l.skip(len(rest) - len(after))
		return trim, true, nil
	}
}

// operators, the longest first.
var operators = strings.Fields("** // == != <= >= + - * / % ~ < > = . , : | ( ) [ ] { }")

// inner reads a token within a tag.
func (l *lexer) inner() error {
	rest, line := l.src[l.at:], l.line
	put := func(k kind, text string, n int) {
		l.tokens = append(l.tokens, token{k, text, line})
		l.skip(n)
	}
	c := rest[0]
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case c == '"' || c == '\'':
		text, n, ok := unquote(rest)
		if !ok {
			return errorAt(line, "a string has no end")
		}
		l.tokens = append(l.tokens, token{stringToken, text, line})
		l.skip(n)
		l.tokens[len(l.tokens)-1].line = line
		return nil
	case c >= '0' && c <= '9':
		n, k := number(rest)
		put(k, strings.ReplaceAll(rest[:n], "_", ""), n)
		return nil
	case r == '_' || unicode.IsLetter(r):
		n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(rest)
		}
		put(name, rest[:n], n)
		return nil
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o) {
			put(operator, o, len(o))
			return nil
		}
	}
	return errorAt(line, "unexpected character %.8q", string(r))
}

// number returns the length and the kind of a number.
func number(s string) (n int, k kind) {
	digits := func(i int) int {
		for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '_') {
			i++
		}
		return i
	}
	n, k = digits(0), integer
	if n+1 < len(s) && s[n] == '.' && s[n+1] >= '0' && s[n+1] <= '9' {
		n, k = digits(n+1), float
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		m := n + 1
		if m < len(s) && (s[m] == '+' || s[m] == '-') {
			m++
		}
		if e := digits(m); e > m {
			n, k = e, float
		}
	}
	return n, k
}

// unquote reads a string literal of Python and returns its length.
func unquote(s string) (text string, n int, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return b.String(), i + 1, true
		case s[i] != '\\' || i+1 >= len(s):
			b.WriteByte(s[i])
		default:
			i++
			switch c := s[i]; c {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			case '\\', '\'', '"':
				b.WriteByte(c)
			case '\n':
			case 'u', 'x':
				digits := map[byte]int{'u': 4, 'x': 2}[c]
				if r, fits := hex(s[i+1:], digits); fits {
					b.WriteRune(r)
					i += digits
					continue
				}
				b.WriteByte('\\')
				b.WriteByte(c)
			default:
				b.WriteByte('\\')
				b.WriteByte(c)
			}
		}
	}
	return "", 0, false
}

func hex(s string, digits int) (r rune, ok bool) {
	if len(s) < digits {
		return 0, false
	}
	for _, c := range []byte(s[:digits]) {
		v := strings.IndexByte("0123456789abcdef", c|0x20)
		if c >= '0' && c <= '9' {
			v = int(c - '0')
		}
		if v < 0 {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	return r, true
}
