package tokens

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// MarshalJSON returns the tokenizer as tokenizer.json, on one line. Equal
// tokenizers give equal bytes. As in GPT-2's file, added tokens are also in
// the vocabulary. Merges have the form "a b", which all versions of the Python
// library read.
//
// A tokenizer of another kind than Train makes is written as it was read.
func (t *Tokenizer) MarshalJSON() ([]byte, error) {
	if t.target != nil {
		return slices.Clone(t.file), nil
	}
	if t.flow != nil {
		return slices.Clone(t.flow.file), nil
	}
	const byteLevel = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`
	w := writer{}
	w.text(`{"version":"1.0","truncation":` + t.batch.text(t.batch.truncation) + `,"padding":` + t.batch.text(t.batch.padding) + `,"added_tokens":`)
	w.list(len(t.added), func(i int) { w.added(t.added[i]) })
	w.text(`,"normalizer":null,"pre_tokenizer":`)
	switch t.kind {
	case Word:
		w.text(`{"type":"Whitespace"}`)
	case Char:
		w.text(`{"type":"Split","pattern":{"Regex":`)
		w.quoted(charPatterns[0])
		w.text(`},"behavior":"Isolated","invert":false}`)
	case BPE:
		w.text(byteLevel)
	}
	w.text(`,"post_processor":null,"decoder":`)
	switch {
	case t.kind == BPE:
		w.text(byteLevel)
	case t.kind == Char:
		w.text(`{"type":"Fuse"}`)
	case t.joiner.wordPiece:
		w.text(`{"type":"WordPiece","prefix":`)
		w.quoted(t.joiner.prefix)
		w.text(`,"cleanup":` + strconv.FormatBool(t.joiner.cleanup) + `}`)
	default:
		w.text(`null`)
	}
	w.text(`,"model":`)
	if t.kind == BPE {
		w.text(`{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"","end_of_word_suffix":"",` +
			`"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":`)
		w.vocab(t)
		w.text(`,"merges":`)
		w.list(len(t.bpe.merges), func(i int) {
			m := t.bpe.merges[i]
			w.quoted(t.tokens[m[0]] + " " + t.tokens[m[1]])
		})
	} else {
		w.text(`{"type":"WordLevel","vocab":`)
		w.vocab(t)
		w.text(`,"unk_token":`)
		w.quoted(t.tokens[t.unknown])
	}
	w.text(`}}`)
	return w.out, w.err
}

// writer appends JSON and keeps the first error.
type writer struct {
	out []byte
	err error
}

func (w *writer) text(s string) { w.out = append(w.out, s...) }

func (w *writer) quoted(s string) {
	out, err := jsontext.AppendQuote(w.out, s)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.out = out
}

func (w *writer) list(n int, item func(i int)) {
	w.text("[")
	for i := range n {
		if i > 0 {
			w.text(",")
		}
		item(i)
	}
	w.text("]")
}

func (w *writer) vocab(t *Tokenizer) {
	w.out = slices.Grow(w.out, 16*len(t.ids))
	before := "{"
	for id, token := range t.tokens {
		if !t.has(int32(id)) {
			continue
		}
		w.text(before)
		w.quoted(token)
		w.text(":" + strconv.Itoa(id))
		before = ","
	}
	w.text("}")
}

func (w *writer) added(a addedToken) {
	w.text(`{"id":` + strconv.Itoa(int(a.id)) + `,"content":`)
	w.quoted(a.content)
	w.text(`,"single_word":` + strconv.FormatBool(a.singleWord) + `,"lstrip":` + strconv.FormatBool(a.lstrip) +
		`,"rstrip":` + strconv.FormatBool(a.rstrip) + `,"normalized":` + strconv.FormatBool(a.normalized) +
		`,"special":` + strconv.FormatBool(a.special) + `}`)
}
