package tokens

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/internal/quote"
)

// pattern finds non-overlapping, non-empty matches in a text.
type pattern struct {
	literal  string             // a text
	next     func(s string) int // the length of the first piece, for a known pattern whose pieces cover the text
	any      bool               // any character
	expr     *regexp.Regexp     // any other pattern
	blank    int                // group of expr that must leave one space to a word; 0: none
	shortest int                // bytes of the shortest match
}

// find passes on the matches in a text until f returns false.
func (p *pattern) find(s string, f func(start, end int) bool) bool {
	for at := 0; at < len(s); {
		start := at
		var end int
		switch {
		case p.next != nil:
			end = at + p.next(s[at:])
		case p.any:
			_, n := utf8.DecodeRuneInString(s[at:])
			end = at + n
		case p.literal != "":
			i := strings.Index(s[at:], p.literal)
			if i < 0 {
				return true
			}
			start += i
			end = start + len(p.literal)
		default:
			m := p.expr.FindStringSubmatchIndex(s[at:])
			if m == nil {
				return true
			}
			start, end = at+m[0], at+m[1]
			if p.blank > 0 && m[2*p.blank] >= 0 && end < len(s) {
				// \s+(?!\S) leaves the last space; \s+ takes the only one.
				if _, n := utf8.DecodeLastRuneInString(s[start:end]); n < end-start {
					end -= n
				}
			}
		}
		if !f(start, end) {
			return false
		}
		at = end
	}
	return true
}

func parsePattern(n node) (*pattern, error) {
	o, err := n.object("String", "Regex")
	if err != nil {
		return nil, err
	}
	if s := o["String"]; !s.isNull() {
		text, err := s.str()
		if err != nil {
			return nil, err
		}
		if text == "" {
			return nil, unsupported(s.path, "the empty pattern is not supported")
		}
		return &pattern{literal: text, shortest: len(text)}, nil
	}
	expr, err := o["Regex"].str()
	if err != nil {
		return nil, err
	}
	return compile(o["Regex"].path, expr)
}

// Patterns with a scanner of their own, which is faster.
const (
	gpt2Expr   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	llama3Head = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
	llama3Tail = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// compile reads a regular expression of Oniguruma. Package regexp matches
// what it can describe in the same way, in linear time: the first alternative
// that fits. It knows no lookahead; the one that tokenizers use, \s+(?!\S)
// before \s+ at the end, is done by find. Everything else is refused.
func compile(path, expr string) (*pattern, error) {
	switch expr {
	case charPatterns[0], charPatterns[1]:
		return &pattern{any: true, shortest: 1}, nil
	case gpt2Expr:
		return &pattern{next: gpt2Piece, shortest: 1}, nil
	case llama3Head + `\p{N}` + llama3Tail:
		return &pattern{next: func(s string) int { return llama3Piece(s, 1) }, shortest: 1}, nil
	case llama3Head + `\p{N}{1,3}` + llama3Tail:
		return &pattern{next: func(s string) int { return llama3Piece(s, 3) }, shortest: 1}, nil
	}
	const maxExpr = 1 << 12
	if len(expr) > maxExpr {
		return nil, unsupported(path, "an expression of %d bytes, at most %d are supported", len(expr), maxExpr)
	}
	refuse := func(why string) (*pattern, error) {
		return nil, unsupported(path, "%.130q: %s", quote.Line(expr, 120), quote.Line(why, 120))
	}
	head, blank := strings.CutSuffix(expr, `\s+(?!\S)|\s+`)
	if blank && head != "" && !strings.HasSuffix(head, "|") {
		return refuse("lookahead is supported only in |\\s+(?!\\S)|\\s+ at the end")
	}
	golang, why := translate(head)
	if why != "" {
		return refuse(why)
	}
	if blank {
		golang += `([` + spaceClass + `]+)`
	}
	tree, err := syntax.Parse(golang, syntax.Perl)
	if err != nil {
		return refuse(err.Error())
	}
	short := shortest(tree)
	if short == 0 {
		return refuse("it matches the empty text")
	}
	re, err := regexp.Compile(golang)
	if err != nil {
		return refuse(err.Error())
	}
	p := &pattern{expr: re, shortest: short}
	if blank {
		p.blank = re.NumSubexp()
	}
	return p, nil
}

// spaceClass, digitClass and wordClass are \s, \d and \w, which Oniguruma
// takes from Unicode and package regexp from ASCII.
const (
	spaceClass = `\t-\r\x{85}\p{Z}`
	digitClass = `\p{Nd}`
	wordClass  = `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}`
)

// translate writes an expression of Oniguruma (Ruby's syntax) for package
// regexp, or says why it cannot.
func translate(expr string) (out, why string) {
	var b strings.Builder
	inClass := false
	for i := 0; i < len(expr); i++ {
		c, rest := expr[i], expr[i+1:]
		switch {
		case c == '\\':
			if rest == "" {
				return "", "it ends in a backslash"
			}
			i++
			class := map[byte]string{'s': spaceClass, 'd': digitClass, 'w': wordClass}[rest[0]|0x20]
			switch e := rest[0]; {
			case class != "" && e >= 'a' && inClass:
				b.WriteString(class)
			case class != "" && e >= 'a':
				b.WriteString("[" + class + "]")
			case class != "" && inClass:
				return "", "\\S, \\D and \\W in a class are not supported"
			case class != "":
				b.WriteString("[^" + class + "]")
			case strings.IndexByte("pPtnrfav", e) >= 0, e < utf8.RuneSelf && !letterOrDigit(e):
				b.WriteString(expr[i-1 : i+1])
			case e == 'x' && len(rest) > 1 && rest[1] == '{':
				b.WriteString(`\x`)
			case e == 'u' && len(rest) > 4:
				b.WriteString(`\x{` + rest[1:5] + `}`)
				i += 4
			default:
				return "", "the escape \\" + string(rune(e)) + " is not supported"
			}
		case inClass:
			if c == '[' || strings.HasPrefix(expr[i:], "&&") {
				return "", "classes within classes are not supported"
			}
			inClass = c != ']'
			b.WriteByte(c)
		case c == '[':
			inClass = true
			b.WriteByte(c)
			if strings.HasPrefix(rest, "^") {
				b.WriteByte('^')
				i++
				rest = rest[1:]
			}
			if strings.HasPrefix(rest, "]") {
				return "", "an empty class is not supported"
			}
		case c == '(' && strings.HasPrefix(rest, "?"):
			switch {
			case strings.HasPrefix(rest, "?:"), strings.HasPrefix(rest, "?i:"):
				b.WriteByte(c)
			case strings.HasPrefix(rest, "?m:"):
				b.WriteString("(?s:")
				i += len("?m:")
			default:
				return "", "of groups only (…), (?:…), (?i:…) and (?m:…) are supported"
			}
		case c == '^', c == '$':
			return "", "anchors are not supported"
		case c == '{' && strings.HasPrefix(rest, ","):
			return "", "a repetition without a minimum is not supported"
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

func letterOrDigit(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

// shortest returns a lower bound of the bytes of a match, 0 only if the empty
// text may match.
func shortest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return max(len(re.Rune)*btoi(re.Op == syntax.OpLiteral), 1)
	case syntax.OpCapture, syntax.OpPlus:
		return shortest(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min * shortest(re.Sub[0])
	case syntax.OpConcat:
		n := 0
		for _, s := range re.Sub {
			n += shortest(s)
		}
		return n
	case syntax.OpAlternate:
		n := shortest(re.Sub[0])
		for _, s := range re.Sub[1:] {
			n = min(n, shortest(s))
		}
		return n
	}
	return 0
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// llama3Piece returns the length of the first piece of s, which must not be
// empty, by the pattern of Llama 3 (at most 3 digits in a piece) and Qwen2 (1).
func llama3Piece(s string, digits int) int {
	if n := anyContraction(s); n > 0 {
		return n
	}
	r, size := utf8.DecodeRuneInString(s)
	first := classOf(r)
	switch {
	case first == letter:
		return run(s, letter)
	case first == number:
		n := size
		for i := 1; i < digits; i++ {
			r, size := utf8.DecodeRuneInString(s[n:])
			if size == 0 || classOf(r) != number {
				break
			}
			n += size
		}
		return n
	case r != '\r' && r != '\n':
		if n := run(s[size:], letter); n > 0 {
			return size + n
		}
	}
	lead := btoi(r == ' ')
	if n := run(s[lead:], other); n > 0 {
		n += lead
		for n < len(s) && (s[n] == '\r' || s[n] == '\n') {
			n++
		}
		return n
	}
	n := run(s, space)
	if i := strings.LastIndexAny(s[:n], "\r\n"); i >= 0 {
		return i + 1
	}
	if n == len(s) {
		return n
	}
	if _, last := utf8.DecodeLastRuneInString(s[:n]); last < n {
		return n - last
	}
	return n
}

// anyContraction is contraction in upper or lower case. The long s U+017F
// counts as an s.
func anyContraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(s) > 2 {
		switch string([]byte{s[1] | 0x20, s[2] | 0x20}) {
		case "re", "ve", "ll":
			return 3
		}
		if strings.HasPrefix(s[1:], "ſ") {
			return 3
		}
	}
	return 0
}
