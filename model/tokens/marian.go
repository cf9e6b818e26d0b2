package tokens

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// marianKind is the type of Marian's model in the tokenizer's file. It is none of Hugging
// Face's library, which has no model that cuts a text with one vocabulary and numbers the
// pieces with another, and refuses the file.
const marianKind = "SentencePiecePair"

// MarianFiles are the files of Marian's tokenizer, and the settings beside them.
type MarianFiles struct {
	Source  []byte  // source.spm
	Target  []byte  // target.spm
	Vocab   []byte  // vocab.json of both sides: {"token": id, …}
	Unknown string  // the token of the vocabulary for all others
	End     string  // the token after each text
	Added   []Added // with these two, in the order in which they take free ids
}

// JSON returns the files as one that [Parse] reads. Invalid files give a [FormatError] or
// an [UnsupportedError] that names one of them.
func (f MarianFiles) JSON() ([]byte, error) {
	root, err := document(f.Vocab)
	var ids map[string]int32
	if err == nil {
		_, ids, err = parseVocab(root)
	}
	if _, ok := ids[f.Unknown]; err == nil && !ok {
		err = invalid("", "it has no token %s, which is in the place of all others", f.Unknown)
	}
	if err != nil {
		return nil, inFile("vocab.json", err)
	}
	for i, data := range [][]byte{f.Source, f.Target} {
		if _, err := parseSide(data, i); err != nil {
			return nil, err
		}
	}
	w := writer{}
	w.text(`{"version":"1.0","truncation":null,"padding":null,"added_tokens":`)
	known := map[string]int64{}
	for token, id := range ids {
		known[token] = int64(id)
	}
	taken := w.addedList(f.Added, known, int64(len(ids)))
	w.text(`,"normalizer":null,"pre_tokenizer":null,"post_processor":`)
	w.template("", f.End, taken)
	w.text(`,"decoder":null,"model":{"type":"` + marianKind + `","unk_token":`)
	w.quoted(f.Unknown)
	w.text(`,"vocab":`)
	w.text(string(bytes.TrimSpace(f.Vocab)))
	for i, data := range [][]byte{f.Source, f.Target} {
		w.text(`,"` + sideNames[i] + `":"` + base64.StdEncoding.EncodeToString(data) + `"`)
	}
	w.text(`}}`)
	return w.out, w.err
}

// sideNames are the members of the model that hold its two files in base64.
var sideNames = [2]string{"source", "target"}

func parseSide(data []byte, i int) (*pieceSegmenter, error) {
	var m *pieceSegmenter
	f, err := parsePieces(data)
	if err == nil {
		m, err = f.segmenter()
	}
	if err != nil {
		return nil, inFile(sideNames[i]+".spm", err)
	}
	return m, nil
}

func (m *modelFile) parseMarian(n node, t *Tokenizer) error {
	o, err := n.object("type", "unk_token", "vocab", "source", "target")
	if err != nil {
		return err
	}
	if t.tokens, t.ids, err = parseVocab(o["vocab"]); err != nil {
		return err
	}
	if t.unknown, err = t.idOf(o["unk_token"]); err != nil {
		return err
	}
	m.unknown = t.unknown
	for i, name := range sideNames {
		text, err := o[name].str()
		if err != nil {
			return err
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return invalid(o[name].path, "it is not base64")
		}
		if m.sides[i], err = parseSide(data, i); err != nil {
			return err
		}
	}
	return nil
}

// marian is Marian's model: SentencePiece cuts a text, and the pieces have the ids of a
// vocabulary beside it.
type marian struct {
	side    *pieceSegmenter
	target  *pieceSegmenter
	ids     map[string]int32
	unknown int32
}

// encode encodes a text between added tokens. The token of a language may stand before it.
func (m *marian) encode(dst []int64, text string, _ *mergeScratch) []int64 {
	if end := strings.Index(text, "<<"); strings.HasPrefix(text, ">>") && end >= 0 {
		dst = append(dst, m.id(text[:end+2]))
		text = text[end+2:]
	}
	from := len(dst)
	m.side.segment(m.side.normalize(text), func(piece string, id int32) {
		if id != m.side.unknown || !m.side.fallback {
			dst = append(dst, m.id(piece))
			return
		}
		for i := len(piece) - 1; i >= 0; i-- {
			dst = append(dst, m.id(byteToken(piece[i])))
		}
	})
	slices.Reverse(dst[from:])
	return dst
}

func (m *marian) id(piece string) int64 {
	if id, ok := m.ids[piece]; ok {
		return int64(id)
	}
	return int64(m.unknown)
}

// Target returns the tokenizer of a translation, where sources have another one, and
// otherwise t.
func (t *Tokenizer) Target() *Tokenizer {
	if t.target != nil {
		return t.target
	}
	if t.flow == nil {
		return t
	}
	m, ok := t.flow.model.(*marian)
	if !ok {
		return t
	}
	of, how, model := *t, *t.flow, *m
	model.side = m.target
	how.model, of.flow = &model, &how
	return &of
}

// marianText is the decoder of Marian's tokenizer in transformers: SentencePiece decodes
// the pieces between special tokens with the source's model, and white space around the
// whole text is removed.
type marianText struct {
	side    *pieceFile
	special map[string]bool
	row     []byte // bytes of byte pieces
	said    bool   // SentencePiece gave text since the last special token
	spaced  bool   // ... or left out a space
	began   bool   // the whole text has begun
	held    string // white space that may be the last
}

func (s *marianText) push(token string, emit func(string)) {
	if s.special[token] {
		s.bytes(emit)
		s.say(token+" ", emit)
		s.said, s.spaced = false, false
		return
	}
	id, known := s.side.ids[token]
	if known && s.side.kinds[id] == bytePiece {
		b, _ := tokenByte(token)
		s.row = append(s.row, b)
		return
	}
	s.bytes(emit)
	switch {
	case known && s.side.kinds[id] == controlPiece:
		return
	case known && s.side.kinds[id] == unknownPiece:
		token = " \u2047 "
	case known && !s.said && !s.spaced && (s.side.prefix || s.side.trim):
		var had bool
		token, had = strings.CutPrefix(token, spaceMark)
		s.spaced = had && !s.side.trim
	}
	s.said = s.said || token != ""
	s.say(strings.ReplaceAll(token, spaceMark, " "), emit)
}

// bytes says the text of the byte pieces so far: a byte that is not UTF-8 is U+FFFD.
func (s *marianText) bytes(emit func(string)) {
	if len(s.row) == 0 {
		return
	}
	var b strings.Builder
	for len(s.row) > 0 {
		r, n := utf8.DecodeRune(s.row)
		b.WriteRune(r)
		s.row = s.row[n:]
	}
	s.said = true
	s.say(b.String(), emit)
}

// say passes a text on, without white space at the start and at the end of the whole.
func (s *marianText) say(text string, emit func(string)) {
	if !s.began {
		text = strings.TrimLeftFunc(text, isPythonSpace)
		s.began = text != ""
	}
	rest := strings.TrimRightFunc(text, isPythonSpace)
	if rest == "" {
		s.held += text
		return
	}
	emit(s.held + rest)
	s.held = text[len(rest):]
}

func (s *marianText) flush(emit func(string)) {
	s.bytes(emit)
	*s = marianText{side: s.side, special: s.special}
}

// isPythonSpace is str.isspace of Python, which counts four separators more.
func isPythonSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// arrangeMarian sets the model and the decoder of t's flow.
func (t *Tokenizer) arrangeMarian(m *modelFile, f *flow, d *decoders) error {
	if len(f.norm.steps) > 0 || len(f.splitting.steps) > 0 || len(d.make) > 0 {
		return unsupported("model", "%s has a normalizer, a pre_tokenizer and a decoder of its own: write null for each", marianKind)
	}
	f.model = &marian{m.sides[0], m.sides[1], maps.Clone(t.ids), m.unknown}
	d.add(marianKind, func() stage { return &marianText{side: m.sides[0].pieceFile, special: t.specials()} })
	return nil
}

// specials returns the added tokens that are special.
func (t *Tokenizer) specials() map[string]bool {
	set := make(map[string]bool)
	for _, a := range t.added {
		if a.special {
			set[a.content] = true
		}
	}
	return set
}

// MarianFilesOf returns the files of which [MarianFiles.JSON] made a tokenizer's file; false
// for a file of another kind.
func MarianFilesOf(data []byte) (f MarianFiles, ok bool) {
	if !bytes.Contains(data, []byte(`"`+marianKind+`"`)) {
		return f, false
	}
	t, err := Parse(data)
	if err != nil || t.target != nil || t.Target() == t {
		return f, false
	}
	var parts [2][]byte
	root, err := document(data)
	if err == nil {
		err = root.members(func(name string, value node) error {
			if name != "model" {
				return nil
			}
			o, err := value.object("type", "unk_token", "vocab", "source", "target")
			for i := range parts {
				var text string
				if text, err = o[sideNames[i]].str(); err == nil {
					parts[i], err = base64.StdEncoding.DecodeString(text)
				}
			}
			f.Vocab = o["vocab"].raw
			return err
		})
	}
	f.Source, f.Target, f.Unknown = parts[0], parts[1], t.tokens[t.unknown]
	if ids := t.AddSpecial(nil); len(ids) > 0 {
		f.End = t.tokens[ids[len(ids)-1]]
	}
	for _, a := range t.added {
		id := int64(a.id)
		f.Added = append(f.Added, Added{a.content, &id, a.singleWord, a.lstrip, a.rstrip, a.normalized, a.special})
	}
	return f, err == nil
}

// Separate reports whether sources and targets have a vocabulary each.
func (t *Tokenizer) Separate() bool { return t.target != nil }
