package tokens

import "unicode/utf8"

// Encode returns the ids of a text. Bytes that are not UTF-8 are encoded as
// they are by a BPE tokenizer and are unknown to the others.
//
// Added tokens are taken out first, then what lies between them is split into
// pieces, each of them encoded for itself.
func (t *Tokenizer) Encode(text string) []int64 {
	e := encoder{t: t, ids: make([]int64, 0, len(text)/3+1)}
	t.early.split(text, e.addID, func(rest string) {
		t.late.split(rest, e.addID, e.plain)
	})
	return e.ids
}

// encoder is one call of Encode.
type encoder struct {
	t     *Tokenizer
	ids   []int64
	words map[string][]int64 // BPE: pieces seen before
	merge mergeScratch
}

func (e *encoder) addID(id int32) { e.ids = append(e.ids, int64(id)) }

// plain encodes a text that holds no added token.
func (e *encoder) plain(text string) {
	switch e.t.kind {
	case Word:
		for piece := range words(text) {
			e.lookUp(piece)
		}
	case Char:
		for i := 0; i < len(text); {
			_, n := utf8.DecodeRuneInString(text[i:])
			e.lookUp(text[i : i+n])
			i += n
		}
	case BPE:
		for piece := range gpt2Pieces(text) {
			e.bytePairs(piece)
		}
	}
}

func (e *encoder) lookUp(piece string) {
	id, ok := e.t.ids[piece]
	if !ok {
		id = e.t.unknown
	}
	e.addID(id)
}

// Limits of the pieces remembered during one call: text repeats its short
// words, and a text of nothing but different ones shall not fill the memory.
const (
	maxCachedBytes  = 64
	maxCachedPieces = 1 << 17
)

func (e *encoder) bytePairs(piece string) {
	if ids, ok := e.words[piece]; ok {
		e.ids = append(e.ids, ids...)
		return
	}
	from := len(e.ids)
	e.ids = e.t.bpe.encode(e.ids, piece, &e.merge)
	if len(piece) > maxCachedBytes || len(e.words) >= maxCachedPieces {
		return
	}
	if e.words == nil {
		e.words = make(map[string][]int64)
	}
	// The copy stays valid when e.ids grows; the piece shares the text's memory.
	e.words[piece] = append([]int64(nil), e.ids[from:]...)
}
