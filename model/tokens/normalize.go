package tokens

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/attnx/attnx/internal/quote"
)

// span is a part of a text on its way to the model.
type span struct {
	text  string
	first bool // it starts where the whole text starts
}

// normalizer changes a text before it is split.
type normalizer func(span) span

// maxGrowth bounds how much longer a text may become by normalization.
const maxGrowth = 512

// maxNormalizers is more than any real tokenizer has. Each passes over the
// whole text.
const maxNormalizers = 32

// normalizers are the normalizers of a file, in order.
type normalizers struct {
	steps  []normalizer
	growth int // bound on the length of the result, as a multiple of the text's
}

func (n *normalizers) apply(s span) span {
	for _, f := range n.steps {
		s = f(s)
	}
	return s
}

// add appends a normalizer that makes at most growth bytes of one.
func (n *normalizers) add(path string, growth int, f normalizer) error {
	if len(n.steps) == maxNormalizers {
		return unsupported(path, "it has more than %d normalizers", maxNormalizers)
	}
	if n.growth *= max(growth, 1); n.growth > maxGrowth {
		return unsupported(path, "it could make a text more than %d times as long", maxGrowth)
	}
	n.steps = append(n.steps, f)
	return nil
}

// mapped is a normalizer that changes the text only.
func mapped(f func(string) string) normalizer {
	return func(s span) span { return span{f(s.text), s.first} }
}

// kept is a normalizer that removes the characters for which keep is false.
// A text that loses its first character starts later than the whole text.
func kept(keep func(rune) bool) normalizer {
	return func(s span) span {
		if r, n := utf8.DecodeRuneInString(s.text); n > 0 && !keep(r) {
			s.first = false
		}
		s.text = strings.Map(func(r rune) rune {
			if !keep(r) {
				return -1
			}
			return r
		}, s.text)
		return s
	}
}

func (l *normalizers) parse(n node, depth int) error {
	kind, err := component(n)
	if err != nil {
		return err
	}
	if depth > maxNested {
		return unsupported(n.path, "Sequences nested more than %d deep", maxNested)
	}
	switch kind {
	case "":
		return nil
	case "Sequence":
		parts, err := sequence(n, "normalizers")
		for i := 0; i < len(parts) && err == nil; i++ {
			err = l.parse(parts[i], depth+1)
		}
		return err
	case "BertNormalizer":
		return l.parseBert(n)
	case "Strip":
		o, err := n.object("type", "strip_left", "strip_right")
		if err != nil {
			return err
		}
		left, err := o["strip_left"].flag(false)
		if err != nil {
			return err
		}
		right, err := o["strip_right"].flag(false)
		if err != nil {
			return err
		}
		return l.add(n.path, 1, func(s span) span {
			if right {
				s.text = strings.TrimRightFunc(s.text, unicode.IsSpace)
			}
			if left {
				t := strings.TrimLeftFunc(s.text, unicode.IsSpace)
				s = span{t, s.first && len(t) == len(s.text)}
			}
			return s
		})
	case "Replace":
		return l.parseReplace(n)
	case "Prepend":
		o, err := n.object("type", "prepend")
		if err != nil {
			return err
		}
		prefix, err := o["prepend"].str()
		if err != nil {
			return err
		}
		return l.add(n.path, 1+len(prefix), mapped(func(s string) string {
			if s == "" {
				return s
			}
			return prefix + s
		}))
	case "Precompiled":
		return l.parsePrecompiled(n)
	}
	known, ok := map[string]struct {
		growth int
		normalizer
	}{
		"NFC":          {3, mapped(form(norm.NFC))},
		"NFD":          {4, mapped(form(norm.NFD))},
		"NFKC":         {11, mapped(form(norm.NFKC))},
		"NFKD":         {11, mapped(form(norm.NFKD))},
		"Lowercase":    {2, mapped(lower)},
		"StripAccents": {1, kept(func(r rune) bool { return !inOld("mark", r) })},
		"Nmt":          {3, nmt},
		"ByteLevel":    {2, mapped(visible)},
	}[kind]
	if !ok {
		return unsupported(n.path, "%.130q is not known", quote.Line(kind, 120))
	}
	if _, err := n.object("type"); err != nil {
		return err
	}
	return l.add(n.path, known.growth, known.normalizer)
}

// form is a Unicode normalization form. Package norm puts a mark U+034F after
// 30 marks in a row, and composes U+E0078, of which it sees 16 bits, like an x.
// A text with such a row, or with marks at characters of more than 16 bits, is
// normalized by the definition instead.
func form(f norm.Form) func(string) string {
	return func(s string) string {
		marks, wide := 0, false
		for _, r := range s {
			switch {
			case 0xfe00 <= r && r <= 0xfe0f: // variation selectors, as after emoji, compose with nothing
				marks++
			case r < 0x300 || !unicode.Is(unicode.M, r):
				marks, wide = 0, r > 0xffff
			default:
				if marks++; wide || r > 0xffff {
					return slowForm(f, s)
				}
			}
			if marks > 12 {
				return slowForm(f, s)
			}
		}
		return f.String(s)
	}
}

// lower writes each character in lower case, by Unicode's full mapping.
func lower(s string) string {
	return strings.Map(unicode.ToLower, strings.ReplaceAll(s, "İ", "i\u0307"))
}

// visible writes each byte as a visible character, as GPT-2 does.
func visible(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := range len(s) {
		b.WriteRune(symbols[s[i]])
	}
	return b.String()
}

// nmt is SentencePiece's normalizer of that name: it removes control
// characters and turns other invisible ones into spaces.
func nmt(s span) span {
	s = kept(func(r rune) bool {
		switch {
		case 1 <= r && r <= 8, r == 0xb, 0xe <= r && r <= 0x1f, r == 0x7f, r == 0x8f, r == 0x9f:
			return false
		}
		return true
	})(s)
	s.text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, 0x200b <= r && r <= 0x200f,
			r == 0x2028, r == 0x2029, r == 0x2581, r == 0xfeff, r == utf8.RuneError:
			return ' '
		}
		return r
	}, s.text)
	return s
}

// parseBert reads the normalizer of BERT.
func (l *normalizers) parseBert(n node) error {
	o, err := n.object("type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
	if err != nil {
		return err
	}
	var on [4]bool
	for i, name := range []string{"clean_text", "handle_chinese_chars", "lowercase", "strip_accents"} {
		absent := name != "strip_accents" || on[2] // strip_accents follows lowercase
		if on[i], err = o[name].flag(absent); err != nil {
			return err
		}
	}
	clean, chinese, lowercase, accents := on[0], on[1], on[2], on[3]
	growth := 1
	if accents {
		growth *= 4
	}
	if lowercase {
		growth *= 2
	}
	if chinese {
		growth *= 2
	}
	return l.add(n.path, growth, func(s span) span {
		if ascii(s.text) && !clean && !lowercase {
			return s
		}
		if clean {
			s = kept(func(r rune) bool { return r != 0 && r != utf8.RuneError && !isControl(r) })(s)
			s.text = strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) {
					return ' '
				}
				return r
			}, s.text)
		}
		if chinese {
			s.text = spaced(s.text)
		}
		if accents && !ascii(s.text) {
			s.text = form(norm.NFD)(s.text)
			s = kept(func(r rune) bool { return !inOld("nonspacing", r) })(s)
		}
		if lowercase {
			s.text = lower(s.text)
		}
		return s
	})
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isControl(r rune) bool {
	return r != '\t' && r != '\n' && r != '\r' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)
}

// spaced puts spaces around the ideographs that BERT takes for words.
func spaced(s string) string {
	if ascii(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isIdeograph(r) {
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isIdeograph(r rune) bool {
	return r >= 0x3400 && (r <= 0x4dbf || 0x4e00 <= r && r <= 0x9fff || 0xf900 <= r && r <= 0xfaff ||
		0x20000 <= r && r <= 0x2a6df || 0x2a700 <= r && r <= 0x2b73f || 0x2b740 <= r && r <= 0x2b81f ||
		0x2b920 <= r && r <= 0x2ceaf || 0x2f800 <= r && r <= 0x2fa1f)
}

// parseReplace reads a normalizer that replaces a pattern.
func (l *normalizers) parseReplace(n node) error {
	o, err := n.object("type", "pattern", "content")
	if err != nil {
		return err
	}
	p, err := parsePattern(o["pattern"])
	if err != nil {
		return err
	}
	content, err := o["content"].str()
	if err != nil {
		return err
	}
	return l.add(n.path, (len(content)+p.shortest-1)/p.shortest, func(s span) span {
		if p.literal != "" && !strings.HasPrefix(s.text, p.literal) {
			return span{strings.ReplaceAll(s.text, p.literal, content), s.first}
		}
		var b strings.Builder
		from := 0
		p.find(s.text, func(start, end int) bool {
			if start == 0 {
				// What follows is aligned with the last character replaced.
				_, last := utf8.DecodeLastRuneInString(s.text[:end])
				s.first = s.first && content != "" && last == end
			}
			b.WriteString(s.text[from:start])
			b.WriteString(content)
			from = end
			return true
		})
		b.WriteString(s.text[from:])
		return span{b.String(), s.first}
	})
}
