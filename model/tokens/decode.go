package tokens

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Decode returns the text of ids, as decode(ids, skip_special_tokens=False) of
// the Python library does. Bytes that are not UTF-8 become U+FFFD. An id
// without a token, such as one that only pads the model's embedding, gives no
// text. An id that is negative or has more than 32 bits is an error.
func (t *Tokenizer) Decode(ids []int64) (string, error) {
	d := t.NewDecoder()
	for _, id := range ids {
		if err := d.push(id); err != nil {
			return "", err
		}
	}
	return d.Flush(), nil
}

// Decoder decodes ids one at a time. The results of Next and the final Flush,
// concatenated, equal Decode of all ids.
//
// A Word tokenizer puts a space before each word except the first. To continue
// a prompt of words, pass its ids to Next before the new ones.
type Decoder struct {
	t     *Tokenizer
	began bool
	bytes []byte // not returned yet

	stages []stage // of a tokenizer with other decoders than the kinds that Train makes
}

// NewDecoder returns a Decoder at the start of a text.
func (t *Tokenizer) NewDecoder() *Decoder {
	d := &Decoder{t: t}
	if t.flow != nil && t.flow.decoders != nil {
		d.stages = t.flow.decoders.start()
	}
	return d
}

// Next takes one id and returns the text that is complete by now. It holds
// back the bytes of an incomplete character.
func (d *Decoder) Next(id int64) (string, error) {
	if err := d.push(id); err != nil {
		return "", err
	}
	text, n := validUTF8(d.bytes, false)
	d.bytes = d.bytes[:copy(d.bytes, d.bytes[n:])]
	return text, nil
}

// Flush ends the text and returns the bytes held back, U+FFFD for an
// incomplete character. The Decoder can then start another text.
func (d *Decoder) Flush() string {
	flush(d.stages, d.emit)
	text, _ := validUTF8(d.bytes, true)
	d.bytes, d.began = d.bytes[:0], false
	return text
}

func (d *Decoder) push(id int64) error {
	if id < 0 || id > math.MaxUint32 {
		return fmt.Errorf("%d is not an id: ids are from 0 to %d", id, uint32(math.MaxUint32))
	}
	if id >= int64(len(d.t.text)) {
		return nil
	}
	text := d.t.text[id]
	if text == "" && !d.t.has(int32(id)) {
		return nil
	}
	if d.stages != nil {
		push(d.stages, text, d.emit)
		return nil
	}
	if d.t.kind == Word {
		text = d.t.joiner.join(text, d.began)
	}
	d.began = true
	d.bytes = append(d.bytes, text...)
	return nil
}

func (d *Decoder) emit(text string) { d.bytes = append(d.bytes, text...) }

// validUTF8 returns b as text and the number of bytes used. Each maximal part
// of an ill-formed sequence becomes one U+FFFD, as Unicode recommends (chapter
// 3, "U+FFFD Substitution of Maximal Subparts") and Rust does. An incomplete
// character at the end of b is used only if atEnd is set.
func validUTF8(b []byte, atEnd bool) (text string, n int) {
	if utf8.Valid(b) {
		return string(b), len(b)
	}
	var s strings.Builder
	for n < len(b) {
		if r, size := utf8.DecodeRune(b[n:]); r != utf8.RuneError || size > 1 {
			s.Write(b[n : n+size])
			n += size
			continue
		}
		if !atEnd && !utf8.FullRune(b[n:]) {
			break
		}
		s.WriteRune(utf8.RuneError)
		n += subpart(b[n:])
	}
	return s.String(), n
}

// subpart returns the length of the longest prefix of b that also starts a
// well-formed character, at least 1. b must not start with a whole character.
// utf8.FullRune reports where a longer prefix is neither.
func subpart(b []byte) int {
	n := 1
	for n < len(b) && n < utf8.UTFMax && !utf8.FullRune(b[:n]) {
		if utf8.FullRune(b[:n+1]) {
			break // the next byte does not belong to the character
		}
		n++
	}
	return n
}

// joiner is how a Word tokenizer joins words to a text: the Python library's
// decoders null (a space between tokens) and WordPiece.
type joiner struct {
	wordPiece bool
	prefix    string // WordPiece: a token with this prefix follows without a space
	cleanup   bool   // WordPiece: no space before punctuation
}

// cleanups lists the replacements of WordPiece's cleanup, in order.
var cleanups = [][2]string{
	{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
	{" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
}

// join returns the text that a token adds; began is false at the start of a
// text.
func (j joiner) join(token string, began bool) string {
	switch {
	case !began:
	case j.wordPiece && strings.HasPrefix(token, j.prefix):
		token = strings.TrimPrefix(token, j.prefix)
	default:
		token = " " + token
	}
	if j.cleanup {
		for _, c := range cleanups {
			token = strings.ReplaceAll(token, c[0], c[1])
		}
	}
	return token
}
