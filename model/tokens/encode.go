package tokens

import (
	"iter"
	"slices"
	"unicode/utf8"
)

// Encode returns the ids of a text, without the special tokens that
// [Tokenizer.AddSpecial] adds. Byte-level BPE encodes invalid UTF-8 byte by
// byte; for Word and Char such bytes are unknown; where the text is normalized
// or the model is of another kind, they are read as U+FFFD.
//
// Encode finds added tokens first. It splits the text between them into pieces
// and encodes each piece separately.
func (t *Tokenizer) Encode(text string) []int64 {
	e := encoder{t: t, ids: make([]int64, 0, len(text)/3+1)}
	e.encode(text)
	return e.ids
}

// runIDs is about how many ids [Tokenizer.EncodeSeq] yields at a time.
const runIDs = 1 << 14

// EncodeSeq yields the result of Encode in runs of some thousand ids, each
// with the number of bytes of the text encoded so far. The slice is valid
// until the next iteration.
func (t *Tokenizer) EncodeSeq(text string) iter.Seq2[[]int64, int] {
	return func(yield func([]int64, int) bool) {
		e := encoder{t: t, ids: make([]int64, 0, runIDs+runIDs/8), yield: yield}
		if e.encode(text) && len(e.ids) > 0 {
			yield(e.ids, len(text))
		}
	}
}

// encoder is the state of one call of Encode.
type encoder struct {
	t     *Tokenizer
	ids   []int64
	done  int                     // bytes of the text
	yield func([]int64, int) bool // receives ids in large runs; nil: all are kept
	words map[string][]int64      // BPE: pieces seen before
	merge mergeScratch
	size  int // bytes of the text
}

// encode encodes a text. It and the methods it calls report whether to
// continue.
func (e *encoder) encode(text string) bool {
	e.size = len(text)
	if e.t.flow != nil {
		return e.t.flow.encode(e, text)
	}
	return e.t.early.split(text, e.addID, func(_ int, rest string) bool {
		return e.t.late.split(rest, e.addID, func(_ int, rest string) bool { return e.plain(rest) })
	})
}

// addID appends an added token of the given length.
func (e *encoder) addID(id int32, bytes int) bool {
	e.ids = append(e.ids, int64(id))
	return e.advance(bytes)
}

// advance records that bytes of the text have been encoded.
func (e *encoder) advance(bytes int) bool {
	e.done += bytes
	if e.yield == nil || len(e.ids) < runIDs {
		return true
	}
	more := e.yield(e.ids, min(e.done, e.size))
	e.ids = e.ids[:0]
	return more
}

// plain encodes a text without added tokens.
func (e *encoder) plain(text string) bool {
	switch e.t.kind {
	case Word:
		return e.plainWords(text)
	case Char:
		return e.plainChars(text)
	case BPE:
		for piece := range gpt2Pieces(text) {
			if !e.bytePairs(piece) {
				return false
			}
		}
	}
	return true
}

func (e *encoder) plainWords(text string) bool {
	from := e.done
	for at, piece := range words(text) {
		e.lookUp(piece)
		e.done = from + at
		if !e.advance(len(piece)) {
			return false
		}
	}
	e.done = from + len(text) // including white space, which belongs to no piece
	return true
}

func (e *encoder) plainChars(text string) bool {
	for i := 0; i < len(text); {
		n := 1
		if c := text[i]; c < utf8.RuneSelf {
			e.ids = append(e.ids, int64(e.t.ascii[c]))
		} else {
			_, n = utf8.DecodeRuneInString(text[i:])
			e.lookUp(text[i : i+n])
		}
		if !e.advance(n) {
			return false
		}
		i += n
	}
	return true
}

func (e *encoder) lookUp(piece string) {
	id, ok := e.t.ids[piece]
	if !ok {
		id = e.t.unknown
	}
	e.ids = append(e.ids, int64(id))
}

// Limits of the pieces cached during one call: text repeats its short words,
// and a text of only different ones must not fill the memory.
const (
	maxCachedBytes  = 64
	maxCachedPieces = 1 << 17
)

func (e *encoder) bytePairs(piece string) bool {
	if len(piece) > longParts.size {
		return e.longPiece(piece, longParts)
	}
	if ids, ok := e.words[piece]; ok {
		e.ids = append(e.ids, ids...)
		return e.advance(len(piece))
	}
	from := len(e.ids)
	e.ids = e.t.bpe.encode(e.ids, piece, &e.merge)
	if len(piece) <= maxCachedBytes && len(e.words) < maxCachedPieces {
		if e.words == nil {
			e.words = make(map[string][]int64)
		}
		// The clone stays valid when e.ids grows; the piece shares the text's
		// memory.
		e.words[piece] = slices.Clone(e.ids[from:])
	}
	return e.advance(len(piece))
}
