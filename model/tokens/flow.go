package tokens

import (
	"slices"
	"strings"
)

// flow is how a tokenizer of any kind encodes and decodes: normalizers,
// pre-tokenizers, model, decoders. The kinds that Train makes need none of it.
type flow struct {
	norm      normalizers
	splitting splitting
	model     pieceModel       // nil: byte-level BPE
	whole     map[string]int32 // byte-level BPE with ignore_merges: tokens by their bytes
	decoders  *decoders        // nil: the texts of the tokens, one after the other
	file      []byte           // the tokenizer.json
}

// encode encodes a text; see encoder.encode.
func (f *flow) encode(e *encoder, text string) bool {
	if f.model != nil || len(f.norm.steps) > 0 {
		text, _ = validUTF8([]byte(text), true)
	}
	none := func(id int32, _ int) bool { return e.addID(id, 0) }
	return e.t.early.split(text, e.addID, func(at int, part string) bool {
		done := e.done + len(part)
		s := f.norm.apply(span{part, at == 0})
		more := e.t.late.split(s.text, none, func(at int, rest string) bool {
			return f.splitting.each(span{rest, s.first && at == 0}, func(s span) bool { return f.piece(e, s.text) })
		})
		e.done = done
		return more
	})
}

// piece encodes a piece of a text.
func (f *flow) piece(e *encoder, piece string) bool {
	if f.model != nil {
		e.ids = f.model.encode(e.ids, piece, &e.merge)
		return e.advance(0)
	}
	if f.whole != nil {
		if id, ok := f.whole[piece]; ok {
			return e.addID(id, len(piece))
		}
	}
	return e.bytePairs(piece)
}

// arrange chooses between the kinds that Train makes, which have an encoder of
// their own, and a flow for everything else.
func (t *Tokenizer) arrange(m *modelFile, f *flow, d *decoders) error {
	kinds, decoding := strings.Join(f.splitting.kinds, " "), strings.Join(d.kinds, " ")
	plain := len(f.norm.steps) == 0
	switch {
	case m.kind == "BPE" && f.splitting.bytes && m.allBytes(t):
		if decoding == "ByteLevel" {
			d = nil
		}
		if plain && kinds == "ByteLevel" && f.splitting.gpt2 && d == nil && !m.whole {
			return nil
		}
		if m.prefix != "" || m.suffix != "" {
			return unsupported("model", "continuing_subword_prefix and end_of_word_suffix with ByteLevel are not supported")
		}
		if m.whole {
			f.whole = make(map[string]int32, len(t.ids))
			for token, id := range t.ids {
				if b, ok := bytesOfAll(token); ok {
					f.whole[b] = id
				}
			}
		}
	case m.kind == "WordLevel" && plain && kinds == "Whitespace" && (decoding == "" || decoding == "WordPiece"):
		t.joiner = d.joiner
		return nil
	case m.kind == "WordLevel" && plain && kinds == "Split" && f.splitting.chars && decoding == "Fuse":
		t.kind = Char
		return nil
	case m.kind == marianKind:
		if err := t.arrangeMarian(m, f, d); err != nil {
			return err
		}
	default:
		if f.splitting.bytes {
			f.splitting.steps = append(f.splitting.steps, visibly)
		}
		model, err := m.pieces(t)
		if err != nil {
			return err
		}
		f.model = model
	}
	if d != nil {
		d.end()
		f.decoders = d
	}
	f.file = slices.Clip(f.file)
	t.flow = f
	return nil
}

// visibly writes the bytes of a piece as visible characters.
func visibly(s span, yield func(span) bool) bool { return yield(span{visible(s.text), s.first}) }
