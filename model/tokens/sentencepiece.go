package tokens

import (
	"math"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/attnx/attnx/internal/quote"
)

// spaceMark is how SentencePiece writes a space.
const spaceMark = "▁"

// Limits of a SentencePiece model: several times the largest real ones, which have
// 256,000 pieces of 2 MB in a file of 5 MB.
const (
	maxPieceFile = 16 << 20
	maxPieces    = 1 << 20
	maxPieceText = 8 << 20
)

// Kinds of pieces in SentencePiece's files.
const (
	normalPiece  = 1
	unknownPiece = 2
	controlPiece = 3
	userPiece    = 4
	unusedPiece  = 5
	bytePiece    = 6
)

// pieceFile is a model file of SentencePiece, as far as it says how a text is encoded
// (sentencepiece_model.proto, ModelProto).
type pieceFile struct {
	pieces   []string
	scores   []float32
	kinds    []uint8
	ids      map[string]int32
	unknown  int32
	table    []byte // precompiled_charsmap
	fallback bool   // byte_fallback
	prefix   bool   // add_dummy_prefix
	trim     bool   // remove_extra_whitespaces
	suffix   bool   // treat_whitespace_as_suffix
}

// parsePieces reads a model file of SentencePiece. Only Unigram models are supported.
func parsePieces(data []byte) (*pieceFile, error) {
	if len(data) > maxPieceFile {
		return nil, unsupported("", "it has %d bytes, at most %d are supported", len(data), maxPieceFile)
	}
	f := &pieceFile{ids: make(map[string]int32), unknown: -1, prefix: true, trim: true}
	total := 0
	err := fields(data, "", func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 1:
			if len(f.pieces) == maxPieces {
				return unsupported("pieces", "more than %d", maxPieces)
			}
			total += len(b)
			if total > maxPieceText {
				return unsupported("pieces", "more than %d bytes", maxPieceText)
			}
			return f.piece(b)
		case 2:
			return f.trainer(b)
		case 3:
			return f.normalizer(b)
		case 5:
			return fields(b, "denormalizer_spec", func(num protowire.Number, _ uint64, b []byte) error {
				if num == 2 && len(b) > 0 {
					return unsupported("denormalizer_spec", "a table for decoded texts is not supported")
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if f.unknown < 0 {
		return nil, invalid("pieces", "none of the %d is for unknown characters: fetch the file again", len(f.pieces))
	}
	if f.fallback {
		for b, id := range byteTokens(f.ids) {
			if id < 0 || f.kinds[id] != bytePiece {
				return nil, invalid("pieces", "none is for the byte 0x%02X, which byte_fallback needs", b)
			}
		}
	}
	return f, nil
}

// fields calls field with each field of a protobuf message: the value of a number, or its
// bytes. A number of 32 bits is in value too.
func fields(b []byte, path string, field func(num protowire.Number, value uint64, b []byte) error) error {
	for at := 0; at < len(b); {
		num, kind, n := protowire.ConsumeTag(b[at:])
		var value uint64
		var bytes []byte
		if n >= 0 {
			at += n
			switch kind {
			case protowire.VarintType:
				value, n = protowire.ConsumeVarint(b[at:])
			case protowire.Fixed32Type:
				var v uint32
				v, n = protowire.ConsumeFixed32(b[at:])
				value = uint64(v)
			case protowire.BytesType:
				bytes, n = protowire.ConsumeBytes(b[at:])
			default:
				n = protowire.ConsumeFieldValue(num, kind, b[at:])
			}
		}
		if n < 0 {
			return invalid(path, "at byte %d of %d it is no protobuf message (%v): fetch the file again", at, len(b), protowire.ParseError(n))
		}
		at += n
		if err := field(num, value, bytes); err != nil {
			return err
		}
	}
	return nil
}

func (f *pieceFile) piece(b []byte) error {
	id := int32(len(f.pieces))
	path := node{path: "pieces"}.at(int(id))
	text, score, kind := "", float32(0), uint64(normalPiece)
	err := fields(b, path, func(num protowire.Number, value uint64, b []byte) error {
		switch num {
		case 1:
			text = string(b)
		case 2:
			score = math.Float32frombits(uint32(value))
		case 3:
			kind = value
		}
		return nil
	})
	_, again := f.ids[text]
	_, isByte := tokenByte(text)
	switch {
	case err != nil:
		return err
	case text == "" || !utf8.ValidString(text):
		return invalid(path, "it is %s, expected text of one character or more", quote.String(text))
	case again:
		return invalid(path, "%.130q is there twice", quote.Line(text, 120))
	case len(text) > maxPieceBytes:
		return unsupported(path, "a piece of %d bytes, at most %d are supported", len(text), maxPieceBytes)
	case math.IsNaN(float64(score)) || math.IsInf(float64(score), 0):
		return invalid(path, "its score is %v", score)
	case kind < normalPiece || kind > bytePiece:
		return unsupported(path, "it is of the kind %d, 1 to 6 are supported", kind)
	case kind == bytePiece && !isByte:
		return invalid(path, "it is %s, expected a byte such as <0x0A>", quote.String(text))
	case kind == unknownPiece && f.unknown >= 0:
		return invalid(path, "it is for unknown characters, as the piece %d is", f.unknown)
	}
	if kind == unknownPiece {
		f.unknown = id
	}
	f.ids[text] = id
	f.pieces, f.scores, f.kinds = append(f.pieces, text), append(f.scores, score), append(f.kinds, uint8(kind))
	return nil
}

func (f *pieceFile) trainer(b []byte) error {
	return fields(b, "trainer_spec", func(num protowire.Number, value uint64, _ []byte) error {
		switch num {
		case 3:
			if value != 1 {
				return unsupported("trainer_spec.model_type", "it is %d, only 1 (Unigram) is supported", value)
			}
		case 24:
			f.suffix = value != 0
		case 35:
			f.fallback = value != 0
		}
		return nil
	})
}

func (f *pieceFile) normalizer(b []byte) error {
	return fields(b, "normalizer_spec", func(num protowire.Number, value uint64, b []byte) error {
		switch num {
		case 2:
			f.table = b
		case 3:
			f.prefix = value != 0
		case 4:
			f.trim = value != 0
		case 5:
			if value == 0 {
				return unsupported("normalizer_spec.escape_whitespaces", "it is false, only true is supported")
			}
		}
		return nil
	})
}

// pieceSegmenter segments texts as SentencePiece does.
type pieceSegmenter struct {
	*pieceFile
	table       *charsmap // nil: there is none
	user        trie      // pieces that users defined: they are kept as they are
	hasUser     bool
	all         trie
	least, most float32 // scores of normal pieces
}

// segmenter prepares a file for texts.
func (f *pieceFile) segmenter() (*pieceSegmenter, error) {
	// The library starts the largest score at the smallest positive float32 (FLT_MIN).
	m := &pieceSegmenter{pieceFile: f, user: newTrie(), all: newTrie(), least: math.MaxFloat32, most: 0x1p-126}
	if len(f.table) > 0 {
		table, longest, bad := newCharsmap(f.table)
		if bad != "" {
			return nil, invalid("normalizer_spec.precompiled_charsmap", "%s", bad)
		}
		if longest > maxGrowth {
			return nil, unsupported("normalizer_spec.precompiled_charsmap", "it could make a text %d times as long, at most %d is supported", longest, maxGrowth)
		}
		m.table = table
	}
	for id, text := range f.pieces {
		switch f.kinds[id] {
		case normalPiece:
			m.least, m.most = min(m.least, f.scores[id]), max(m.most, f.scores[id])
		case userPiece:
			m.user.add(text, int32(id))
			m.hasUser = true
		case unusedPiece:
		default:
			continue
		}
		m.all.add(text, int32(id))
	}
	return m, nil
}

// normalize returns a text as the pieces have it (normalizer.cc, Normalizer::Normalize).
func (m *pieceSegmenter) normalize(text string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/4 + len(spaceMark))
	for m.trim && text != "" {
		part, n := m.start(text)
		if part != " " {
			break
		}
		text = text[n:]
	}
	if text == "" {
		return ""
	}
	if m.prefix && !m.suffix {
		b.WriteString(spaceMark)
	}
	spaced := m.trim // the text so far ends in a space
	for text != "" {
		part, n := m.start(text)
		text = text[n:]
		if spaced {
			part = strings.TrimLeft(part, " ")
		}
		if part != "" {
			b.WriteString(strings.ReplaceAll(part, " ", spaceMark))
			spaced = m.trim && strings.HasSuffix(part, " ")
		}
	}
	out := b.String()
	for m.trim && strings.HasSuffix(out, spaceMark) {
		out = out[:len(out)-len(spaceMark)]
	}
	if m.prefix && m.suffix {
		out += spaceMark
	}
	return out
}

// start returns what the start of a text becomes, and how many bytes that start has.
func (m *pieceSegmenter) start(text string) (part string, n int) {
	if m.hasUser {
		m.user.each(text, func(size int, _ int32) { n = size })
		if n > 0 {
			return text[:n], n
		}
	}
	if m.table != nil {
		if part, n = m.table.longest(text); n > 0 {
			return part, n
		}
	}
	_, n = utf8.DecodeRuneInString(text)
	return text[:n], n
}

// bestPiece is the best way to write a text up to some byte.
type bestPiece struct {
	score float32
	id    int32
	start int32 // of its last piece; -1: none is known
}

// segment calls yield with the pieces of a text, from its end (unigram_model.cc,
// Model::EncodeOptimized). Unknown characters in a row are one piece. Sums are float32,
// as there: with others, ways of nearly the same score would be chosen otherwise.
func (m *pieceSegmenter) segment(text string, yield func(piece string, id int32)) {
	best := make([]bestPiece, len(text)+1)
	for i := range best {
		best[i].start = -1
	}
	unknown := m.least - unknownPenalty
	for start := 0; start < len(text); {
		_, n := utf8.DecodeRuneInString(text[start:])
		sofar, single := best[start].score, false
		m.all.each(text[start:], func(size int, id int32) {
			if m.kinds[id] == unusedPiece {
				return
			}
			score := float64(m.scores[id])
			if m.kinds[id] == userPiece {
				score = float64(float32(size)*m.most) - 0.1 // always chosen
			}
			if b, sum := &best[start+size], score+float64(sofar); b.start < 0 || sum > float64(b.score) {
				*b = bestPiece{float32(sum), id, int32(start)}
			}
			single = single || size == n
		})
		if !single {
			if b, sum := &best[start+n], unknown+sofar; b.start < 0 || sum > b.score {
				*b = bestPiece{sum, m.unknown, int32(start)}
			}
		}
		start += n
	}
	for end := len(text); end > 0; {
		b := best[end]
		start := int(b.start)
		for b.id == m.unknown && !m.fallback && start > 0 && best[start].id == m.unknown {
			start = int(best[start].start)
		}
		yield(text[start:end], b.id)
		end = start
	}
}
