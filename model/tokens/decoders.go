package tokens

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/internal/quote"
)

// stage is a decoder of a tokenizer.json at work on one text: it takes tokens
// in order and passes on what it makes of them as soon as that is certain.
type stage interface {
	push(token string, emit func(string))
	flush(emit func(string)) // ends the text
}

// decoders are the decoders of a file, in order. The text is what the last
// one passes on.
type decoders struct {
	make   []func() stage
	kinds  []string
	none   bool // the file has no decoder, not even an empty Sequence
	growth int
	joiner joiner // of WordPiece
}

// perToken is a stage that changes each token by itself.
type perToken func(token string) string

func (f perToken) push(token string, emit func(string)) { emit(f(token)) }
func (perToken) flush(func(string))                     {}

// counted is a stage that knows whether a token is the first one.
type counted struct {
	began bool
	text  func(token string, began bool) string
}

func (s *counted) push(token string, emit func(string)) {
	emit(s.text(token, s.began))
	s.began = true
}

func (s *counted) flush(func(string)) { s.began = false }

// withLast is a stage that knows whether a token is the last one.
type withLast struct {
	token string
	held  bool
	text  func(token string, last bool) string
}

func (s *withLast) push(token string, emit func(string)) {
	if s.held {
		emit(s.text(s.token, false))
	}
	s.token, s.held = token, true
}

func (s *withLast) flush(emit func(string)) {
	if s.held {
		emit(s.text(s.token, true))
	}
	s.held = false
}

// byteFallback turns tokens such as <0xE2> into their bytes: each row of them
// into its text or, if it is not UTF-8, into one U+FFFD for each byte.
type byteFallback struct{ row []byte }

func (s *byteFallback) push(token string, emit func(string)) {
	if b, ok := tokenByte(token); ok {
		s.row = append(s.row, b)
		return
	}
	s.flush(emit)
	emit(token)
}

func (s *byteFallback) flush(emit func(string)) {
	if len(s.row) > 0 && utf8.Valid(s.row) {
		emit(string(s.row))
	} else {
		for range s.row {
			emit("\ufffd")
		}
	}
	s.row = s.row[:0]
}

// fuse makes all tokens one.
type fuse struct{ all strings.Builder }

func (s *fuse) push(token string, _ func(string)) { s.all.WriteString(token) }

func (s *fuse) flush(emit func(string)) {
	emit(s.all.String())
	s.all.Reset()
}

// stripStart removes a character from the start of the fused text, at most n
// times, without waiting for the end.
type stripStart struct {
	char string
	n    int
	left int
}

func (s *stripStart) push(token string, emit func(string)) {
	for s.left > 0 && token != "" {
		rest, ok := strings.CutPrefix(token, s.char)
		if !ok {
			s.left = 0
			break
		}
		token = rest
		s.left--
	}
	emit(token)
}

func (s *stripStart) flush(func(string)) { s.left = s.n }

// byteLevel turns visible characters into bytes, and these into text.
type byteLevel struct{ bytes []byte }

func (s *byteLevel) push(token string, emit func(string)) {
	s.bytes = append(s.bytes, bytesOf(token)...)
	text, n := validUTF8(s.bytes, false)
	s.bytes = s.bytes[:copy(s.bytes, s.bytes[n:])]
	emit(text)
}

func (s *byteLevel) flush(emit func(string)) {
	text, _ := validUTF8(s.bytes, true)
	s.bytes = s.bytes[:0]
	emit(text)
}

// ctc removes repeated tokens and padding, as for speech.
type ctc struct {
	last  string
	began bool
	text  func(string) string
}

func (s *ctc) push(token string, emit func(string)) {
	if s.began && token == s.last {
		return
	}
	s.last, s.began = token, true
	if text := s.text(token); text != "" {
		emit(text)
	}
}

func (s *ctc) flush(func(string)) { s.began = false }

func cleanUp(s string) string {
	for _, c := range cleanups {
		s = strings.ReplaceAll(s, c[0], c[1])
	}
	return s
}

// strip removes a character from both ends of a token, at most so many times.
func strip(token, char string, start, stop int) string {
	for ; start > 0 && strings.HasPrefix(token, char); start-- {
		token = token[len(char):]
	}
	for ; stop > 0 && strings.HasSuffix(token, char); stop-- {
		token = token[:len(token)-len(char)]
	}
	return token
}

func (d *decoders) add(kind string, f func() stage) {
	d.kinds, d.make = append(d.kinds, kind), append(d.make, f)
}

func (d *decoders) parse(n node, depth int) error {
	kind, err := component(n)
	if err != nil {
		return err
	}
	if depth > maxNested {
		return unsupported(n.path, "Sequences nested more than %d deep", maxNested)
	}
	if len(d.kinds) > maxSteps {
		return unsupported(n.path, "it has more than %d decoders", maxSteps)
	}
	each := func(f perToken) { d.add(kind, func() stage { return f }) }
	switch kind {
	case "":
		d.none = depth == 0
		return nil
	case "Sequence":
		parts, err := sequence(n, "decoders")
		for i := 0; i < len(parts) && err == nil; i++ {
			err = d.parse(parts[i], depth+1)
		}
		return err
	case "ByteLevel":
		_, err := n.object("type", "add_prefix_space", "trim_offsets", "use_regex")
		d.add(kind, func() stage { return new(byteLevel) })
		return err
	case "Fuse":
		_, err := n.object("type")
		d.add(kind, func() stage { return new(fuse) })
		return err
	case "ByteFallback":
		_, err := n.object("type")
		d.add(kind, func() stage { return new(byteFallback) })
		return err
	case "Metaspace":
		m, err := parseMeta(n)
		d.add(kind, func() stage {
			return &counted{text: func(token string, began bool) string {
				if !began && m.scheme != "never" {
					return strings.ReplaceAll(token, m.mark, "")
				}
				return strings.ReplaceAll(token, m.mark, " ")
			}}
		})
		return err
	case "WordPiece":
		o, err := n.object("type", "prefix", "cleanup")
		if err != nil {
			return err
		}
		j := joiner{wordPiece: true}
		if j.prefix, err = o["prefix"].str(); err != nil {
			return err
		}
		j.cleanup, err = o["cleanup"].flag(true)
		d.joiner = j
		d.add(kind, func() stage { return &counted{text: j.join} })
		return err
	case "BPEDecoder":
		o, err := n.object("type", "suffix")
		if err != nil {
			return err
		}
		suffix, err := o["suffix"].str()
		if err == nil && suffix == "" {
			return unsupported(o["suffix"].path, "the empty suffix is not supported")
		}
		d.add(kind, func() stage {
			return &withLast{text: func(token string, last bool) string {
				if last {
					return strings.ReplaceAll(token, suffix, "")
				}
				return strings.ReplaceAll(token, suffix, " ")
			}}
		})
		return err
	case "Replace":
		var l normalizers
		l.growth = max(d.growth, 1)
		if err := l.parseReplace(n); err != nil {
			return err
		}
		d.growth = l.growth
		each(func(token string) string { return l.steps[0](span{text: token}).text })
		return nil
	case "Strip":
		o, err := n.object("type", "content", "start", "stop")
		if err != nil {
			return err
		}
		char, err := o["content"].char()
		if err != nil {
			return err
		}
		var count [2]int
		for i, name := range []string{"start", "stop"} {
			c, err := o[name].id()
			if err != nil {
				return err
			}
			count[i] = int(min(c, math.MaxInt16))
		}
		if k := len(d.kinds); k > 0 && d.kinds[k-1] == "Fuse" && count[1] == 0 {
			d.make[k-1] = func() stage { return perToken(func(token string) string { return token }) }
			d.kinds[k-1] = "Text"
			d.add(kind, func() stage { return &stripStart{char: char, n: count[0], left: count[0]} })
			d.add("Fuse", func() stage { return new(fuse) })
			return nil
		}
		each(func(token string) string { return strip(token, char, count[0], count[1]) })
		return nil
	case "CTC":
		o, err := n.object("type", "pad_token", "word_delimiter_token", "cleanup")
		if err != nil {
			return err
		}
		pad, err := o["pad_token"].str()
		if err != nil {
			return err
		}
		word, err := o["word_delimiter_token"].str()
		if err != nil {
			return err
		}
		if pad == "" || word == "" {
			return unsupported(n.path, "an empty pad_token or word_delimiter_token is not supported")
		}
		clean, err := o["cleanup"].flag(true)
		d.add(kind, func() stage {
			return &ctc{text: func(s string) string {
				s = strings.ReplaceAll(s, pad, "")
				if clean {
					s = strings.ReplaceAll(cleanUp(s), word, " ")
				}
				return s
			}}
		})
		return err
	}
	return unsupported(n.path, "%.130q is not known", quote.Line(kind, 120))
}

// end completes the list: without a decoder, tokens are joined by spaces, with an empty Sequence they are not; and
// the last Fuse changes nothing, because the tokens are joined anyway.
func (d *decoders) end() {
	if d.none && len(d.make) == 0 { // Marian's model brings its own
		d.add("", func() stage { return &counted{text: joiner{}.join} })
	}
	for k := len(d.kinds) - 1; k > 0 && d.kinds[k] == "Fuse"; k-- {
		d.kinds, d.make = d.kinds[:k], d.make[:k]
	}
}

// start returns the stages for one text.
func (d *decoders) start() []stage {
	stages := make([]stage, len(d.make))
	for i, f := range d.make {
		stages[i] = f()
	}
	return stages
}

// push passes a token through stages.
func push(stages []stage, token string, emit func(string)) {
	if len(stages) == 0 {
		emit(token)
		return
	}
	stages[0].push(token, func(s string) { push(stages[1:], s, emit) })
}

// flush ends a text in all stages, in order.
func flush(stages []stage, emit func(string)) {
	for i, s := range stages {
		s.flush(func(token string) { push(stages[i+1:], token, emit) })
	}
}
