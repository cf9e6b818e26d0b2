package tokens

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/attnx/attnx/internal/quote"
)

// cutter cuts a part of a text into smaller ones. It passes them on, none of
// them empty, until yield returns false.
type cutter func(s span, yield func(span) bool) bool

// splitting is the pre-tokenizers of a file, in order.
type splitting struct {
	steps []cutter
	kinds []string // of the steps
	bytes bool     // the last one is ByteLevel, which writes bytes as visible characters
	gpt2  bool     // the last one is ByteLevel as in GPT-2: with its pattern and no space before the text
	chars bool     // the last one cuts a text into characters
}

// each passes on the pieces of a text.
func (p *splitting) each(s span, yield func(span) bool) bool { return cut(p.steps, s, yield) }

func cut(steps []cutter, s span, yield func(span) bool) bool {
	if s.text == "" {
		return true
	}
	if len(steps) == 0 {
		return yield(s)
	}
	if len(steps) == 1 {
		return steps[0](s, yield)
	}
	return steps[0](s, func(s span) bool { return cut(steps[1:], s, yield) })
}

// maxSteps is more than any real tokenizer has.
const maxSteps = 32

func (p *splitting) add(n node, kind string, f cutter) error {
	if len(p.steps) == maxSteps {
		return unsupported(n.path, "it has more than %d pre-tokenizers", maxSteps)
	}
	p.steps, p.kinds, p.bytes = append(p.steps, f), append(p.kinds, kind), kind == "ByteLevel"
	return nil
}

func (p *splitting) parse(n node, depth int) error {
	kind, err := component(n)
	if err != nil {
		return err
	}
	if depth > maxNested {
		return unsupported(n.path, "Sequences nested more than %d deep", maxNested)
	}
	if p.bytes && kind != "" {
		// The text consists of visible characters from here on.
		p.steps = append(p.steps, visibly)
		p.kinds, p.bytes = append(p.kinds, ""), false
	}
	var f cutter
	switch kind {
	case "":
		return nil
	case "Sequence":
		parts, err := sequence(n, "pretokenizers")
		for i := 0; i < len(parts) && err == nil; i++ {
			err = p.parse(parts[i], depth+1)
		}
		return err
	case "ByteLevel":
		f, p.gpt2, err = parseByteLevel(n)
	case "Metaspace":
		f, err = parseMetaspace(n)
	case "Split":
		f, p.chars, err = parseSplit(n)
	case "Punctuation":
		o, e := n.object("type", "behavior")
		if e != nil {
			return e
		}
		how := isolated
		if !o["behavior"].isNull() {
			if how, e = parseBehavior(o["behavior"]); e != nil {
				return e
			}
		}
		f = splitter(runesOf(isPunctuation), how, false)
	case "Digits":
		o, e := n.object("type", "individual_digits")
		if e != nil {
			return e
		}
		each, e := o["individual_digits"].flag(false)
		if e != nil {
			return e
		}
		how := contiguous
		if each {
			how = isolated
		}
		f = splitter(runesOf(unicode.IsNumber), how, false)
	case "FixedLength":
		o, e := n.object("type", "length")
		if e != nil {
			return e
		}
		length := 5 // the library's default
		if m, there := o["length"]; there {
			id, e := m.id()
			if length = int(id); e != nil {
				return e
			}
		}
		if length == 0 {
			return unsupported(o["length"].path, "0, must be positive")
		}
		f = func(s span, yield func(span) bool) bool {
			for at := 0; at < len(s.text); {
				end := at
				for i := 0; i < length && end < len(s.text); i++ {
					_, n := utf8.DecodeRuneInString(s.text[end:])
					end += n
				}
				if !yield(span{s.text[at:end], s.first && at == 0}) {
					return false
				}
				at = end
			}
			return true
		}
	case "CharDelimiterSplit":
		o, e := n.object("type", "delimiter")
		if e != nil {
			return e
		}
		c, e := o["delimiter"].char()
		if e != nil {
			return e
		}
		f = splitter((&pattern{literal: c}).find, removed, false)
	case "BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts":
		if _, err := n.object("type"); err != nil {
			return err
		}
		f = map[string]cutter{
			"BertPreTokenizer": func(s span, yield func(span) bool) bool {
				return cut([]cutter{splitSpace, splitter(runesOf(isPunctuation), isolated, false)}, s, yield)
			},
			"Whitespace": func(s span, yield func(span) bool) bool {
				for at, w := range words(s.text) {
					if !yield(span{w, s.first && at == 0}) {
						return false
					}
				}
				return true
			},
			"WhitespaceSplit": splitSpace,
			"UnicodeScripts":  splitScripts,
		}[kind]
	default:
		return unsupported(n.path, "%.130q is not known", quote.Line(kind, 120))
	}
	if err != nil {
		return err
	}
	return p.add(n, kind, f)
}

var splitSpace = splitter(runesOf(unicode.IsSpace), removed, false)

// isPunctuation is the punctuation of BERT.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r > ' ' && r < 0x7f && !letterOrDigit(byte(r))
	}
	return inOld("punctuation", r)
}

// runesOf finds the characters for which is is true.
func runesOf(is func(rune) bool) func(string, func(int, int) bool) bool {
	return func(s string, f func(start, end int) bool) bool {
		for i, r := range s {
			if is(r) && !f(i, i+max(utf8.RuneLen(r), 1)) {
				return false
			}
		}
		return true
	}
}

// behavior is what becomes of the matches of a pattern.
type behavior uint8

const (
	removed behavior = iota
	isolated
	mergedWithPrevious
	mergedWithNext
	contiguous
)

var behaviors = []string{"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}

func parseBehavior(n node) (behavior, error) {
	s, err := n.str()
	if err != nil {
		return 0, err
	}
	i := slices.Index(behaviors, s)
	if i < 0 {
		return 0, unsupported(n.path, "%.130q, only %.130q are supported", quote.Line(s, 120), behaviors)
	}
	return behavior(i), nil
}

// splitter cuts a text at the matches that find passes on; invert exchanges
// them with what lies between.
func splitter(find func(string, func(start, end int) bool) bool, how behavior, invert bool) cutter {
	return func(s span, yield func(span) bool) bool {
		emit := func(start, end int) bool { return yield(span{s.text[start:end], s.first && start == 0}) }
		held, start, end := false, 0, 0 // a piece that the next part may extend
		flush := func() bool {
			ok := !held || emit(start, end)
			held = false
			return ok
		}
		hold := func(a, b int) bool {
			ok := flush()
			held, start, end = true, a, b
			return ok
		}
		last := false // whether the last part is a match
		part := func(a, b int, match bool) bool {
			before := last
			last = match
			extend := false
			switch how {
			case removed:
				return match || emit(a, b)
			case isolated:
				return emit(a, b)
			case contiguous:
				extend = held && match == before
			case mergedWithPrevious:
				extend = held && match && !before
			case mergedWithNext:
				extend = held && !match && before
			}
			if !extend {
				return hold(a, b)
			}
			end = b
			return true
		}
		from := 0
		more := find(s.text, func(a, b int) bool {
			ok := (from == a || part(from, a, invert)) && part(a, b, !invert)
			from = b
			return ok
		})
		return more && (from == len(s.text) || part(from, len(s.text), invert)) && flush()
	}
}

func parseSplit(n node) (f cutter, chars bool, err error) {
	o, err := n.object("type", "pattern", "behavior", "invert")
	if err != nil {
		return nil, false, err
	}
	p, err := parsePattern(o["pattern"])
	if err != nil {
		return nil, false, err
	}
	how, err := parseBehavior(o["behavior"])
	if err != nil {
		return nil, false, err
	}
	invert, err := o["invert"].flag(false)
	return splitter(p.find, how, invert), p.any && how == isolated && !invert, err
}

func parseByteLevel(n node) (f cutter, gpt2 bool, err error) {
	o, err := n.object("type", "add_prefix_space", "trim_offsets", "use_regex")
	if err != nil {
		return nil, false, err
	}
	prefix, err := o["add_prefix_space"].flag(true)
	if err != nil {
		return nil, false, err
	}
	regex, err := o["use_regex"].flag(true)
	if err != nil {
		return nil, false, err
	}
	return func(s span, yield func(span) bool) bool {
		if prefix && !strings.HasPrefix(s.text, " ") {
			s.text = " " + s.text
		}
		if !regex {
			return yield(s)
		}
		for piece := range gpt2Pieces(s.text) {
			if !yield(span{piece, s.first}) {
				return false
			}
			s.first = false
		}
		return true
	}, regex && !prefix, nil
}

// metaspace is SentencePiece's way with spaces: a visible character takes
// their place, and is put before the text.
type metaspace struct {
	mark   string
	scheme string // always, first or never
	split  bool
}

func parseMeta(n node) (m metaspace, err error) {
	o, err := n.object("type", "replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep")
	if err != nil {
		return m, err
	}
	if m.mark, err = o["replacement"].char(); err != nil {
		return m, err
	}
	m.scheme = "always"
	if s := o["prepend_scheme"]; !s.isNull() {
		if m.scheme, err = s.str(); err != nil {
			return m, err
		}
	}
	if !slices.Contains([]string{"always", "first", "never"}, m.scheme) {
		return m, unsupported(o["prepend_scheme"].path, "%.130q, only always, first and never are supported", quote.Line(m.scheme, 120))
	}
	prefix, err := o["add_prefix_space"].flag(true)
	if err != nil {
		return m, err
	}
	if !prefix && m.scheme != "never" {
		if !o["prepend_scheme"].isNull() {
			return m, invalid(o["add_prefix_space"].path, "it is false, but prepend_scheme is %.80q", m.scheme)
		}
		m.scheme = "never"
	}
	m.split, err = o["split"].flag(true)
	return m, err
}

func parseMetaspace(n node) (cutter, error) {
	m, err := parseMeta(n)
	if err != nil {
		return nil, err
	}
	each := splitter((&pattern{literal: m.mark}).find, mergedWithNext, false)
	return func(s span, yield func(span) bool) bool {
		s.text = strings.ReplaceAll(s.text, " ", m.mark)
		if (m.scheme == "always" || m.scheme == "first" && s.first) && !strings.HasPrefix(s.text, m.mark) {
			s.text = m.mark + s.text
		}
		if !m.split {
			return yield(s)
		}
		return each(s, yield)
	}, nil
}

// char reads a string of one character.
func (n node) char() (string, error) {
	s, err := n.str()
	if err != nil {
		return "", err
	}
	if utf8.RuneCountInString(s) != 1 {
		return "", invalid(n.path, "it is %.130q, expected one character", quote.Line(s, 120))
	}
	return s, nil
}

// splitScripts cuts a text where the script changes. As in SentencePiece, kana
// count as Han. A space and a character without a script belong to any script;
// at the start of a text they are lost.
func splitScripts(s span, yield func(span) bool) bool {
	from, last := -1, ""
	for i, r := range s.text {
		script := scriptOf(r)
		if script == "" || script == last {
			continue
		}
		if from >= 0 && !yield(span{s.text[from:i], s.first && from == 0}) {
			return false
		}
		from, last = i, script
	}
	return from < 0 || yield(span{s.text[from:], s.first && from == 0})
}

// scriptOf returns the script of a character, "" for a space and for a
// character without one.
func scriptOf(r rune) string {
	switch {
	case r == ' ':
		return ""
	case r == 0x30fc:
		return "Han"
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		return "Latin"
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			if name == "Hiragana" || name == "Katakana" {
				return "Han"
			}
			return name
		}
	}
	return ""
}
