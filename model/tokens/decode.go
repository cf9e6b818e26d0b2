package tokens

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Decode returns the text of ids, as decode(ids, skip_special_tokens=False) of
// the Python library does. Bytes that are not UTF-8 become U+FFFD. An id without
// a token, such as one that only pads the model's embedding, prints nothing; a
// negative one or one of more than 32 bits is an error.
func (t *Tokenizer) Decode(ids []int64) (string, error) {
	d := t.NewDecoder()
	for _, id := range ids {
		if err := d.push(id); err != nil {
			return "", err
		}
	}
	return d.Flush(), nil
}

// Decoder turns ids into text as they come. What Next and at last Flush return
// is, put together, what Decode returns for all the ids.
//
// The text of a word begins with a space if it is not the first: to continue a
// prompt of words give its ids to Next before the new ones.
type Decoder struct {
	t     *Tokenizer
	began bool
	bytes []byte // not returned yet
}

// NewDecoder returns a Decoder at the beginning of a text.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Next takes one id and returns the text that is certain by now. The bytes of
// a character of which only a part has come are held back.
func (d *Decoder) Next(id int64) (string, error) {
	if err := d.push(id); err != nil {
		return "", err
	}
	text, n := validUTF8(d.bytes, false)
	d.bytes = d.bytes[:copy(d.bytes, d.bytes[n:])]
	return text, nil
}

// Flush ends the text: it returns what was held back, U+FFFD for a character
// that was never completed. The Decoder is then at the beginning of a text.
func (d *Decoder) Flush() string {
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
	if d.t.kind == Word {
		text = d.t.joiner.join(text, d.began)
	}
	d.began = true
	d.bytes = append(d.bytes, text...)
	return nil
}

// validUTF8 returns b as text and how many of its bytes that took. Each
// maximal part of an ill-formed sequence becomes one U+FFFD, as Unicode
// recommends (chapter 3, "U+FFFD Substitution of Maximal Subparts") and Rust
// does. A character that b ends within is left, unless b is at its end.
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

// subpart returns the length of the longest beginning of b that is also the
// beginning of a well-formed character, at least 1; b begins with none. With a
// byte more it would be neither: utf8.FullRune says so.
func subpart(b []byte) int {
	n := 1
	for n < len(b) && n < utf8.UTFMax && !utf8.FullRune(b[:n]) {
		if utf8.FullRune(b[:n+1]) {
			break // the next byte does not belong to it
		}
		n++
	}
	return n
}

// joiner is how a Word tokenizer makes a text of words: the decoders null
// (a space between tokens) and WordPiece of the Python library.
type joiner struct {
	wordPiece bool
	prefix    string // WordPiece: a token that begins with it follows without a space
	cleanup   bool   // WordPiece: no space before punctuation
}

// cleanups are the replacements of WordPiece's cleanup, in their order.
var cleanups = [][2]string{
	{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
	{" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
}

// join returns what a token adds to a text that has begun or not.
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
