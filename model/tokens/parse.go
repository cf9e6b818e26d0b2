package tokens

import (
	"crypto/sha256"
	"slices"
	"sync/atomic"
	"weak"

	"github.com/attnx/attnx/internal/quote"
)

// Parse reads a tokenizer.json. An invalid file gives a [FormatError], one
// that this package does not support an [UnsupportedError]. It needs memory
// for a small multiple of the file's size, and 16 MiB if the vocabulary has
// gaps.
func Parse(data []byte) (*Tokenizer, error) {
	sum := sha256.Sum256(data)
	if t := last.Load().of(sum); t != nil {
		return t, nil
	}
	t, err := parse(data)
	if err == nil {
		last.Store(&parsed{sum, weak.Make(t)})
	}
	return t, err
}

// parsed is the tokenizer of a document, as long as somebody has it. Opening a model
// reads its tokenizer twice, to check it and to use it, and that takes as long as a
// product of its head.
type parsed struct {
	sum [sha256.Size]byte
	t   weak.Pointer[Tokenizer]
}

// last is the document that was read last.
var last atomic.Pointer[parsed]

// of returns the tokenizer if its document has the sum, otherwise nil.
func (p *parsed) of(sum [sha256.Size]byte) *Tokenizer {
	if p == nil || p.sum != sum {
		return nil
	}
	return p.t.Value()
}

func parse(data []byte) (*Tokenizer, error) {
	if source, target, ok := SplitPair(data); ok {
		return parsePair(source, target, slices.Clone(data))
	}
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	file, err := root.object("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
		"post_processor", "decoder", "model")
	if err != nil {
		return nil, err
	}
	if v := file["version"]; !v.isNull() {
		if s, err := v.str(); err != nil || s != "1.0" {
			return nil, unsupported(v.path, "it is %s, only \"1.0\" is supported", quote.Line(string(v.raw), 120))
		}
	}
	var batch batching
	if err := batch.parse(file["truncation"], file["padding"]); err != nil {
		return nil, err
	}
	f := &flow{norm: normalizers{growth: 1}, file: root.raw}
	if err := f.norm.parse(file["normalizer"], 0); err != nil {
		return nil, err
	}
	if err := f.splitting.parse(file["pre_tokenizer"], 0); err != nil {
		return nil, err
	}
	d := &decoders{growth: 1}
	if err := d.parse(file["decoder"], 0); err != nil {
		return nil, err
	}
	t, m, err := parseModel(file["model"])
	if err != nil {
		return nil, err
	}
	t.batch = batch
	if err := t.parsePost(file["post_processor"], 0); err != nil {
		return nil, err
	}
	if err := t.arrange(m, f, d); err != nil {
		return nil, err
	}
	if err := t.parseAdded(file["added_tokens"]); err != nil {
		return nil, err
	}
	if err := t.checkPost(); err != nil {
		return nil, err
	}
	if len(t.ids) < 2 {
		return nil, invalid("model.vocab", "it has %d tokens: a model needs at least 2 to choose from", len(t.ids))
	}
	return t, t.finish(m.merges)
}

// component reads the type of a part of the file; "" for null.
func component(n node) (string, error) {
	if n.isNull() {
		return "", nil
	}
	kind := node{path: n.in("type")}
	err := n.members(func(name string, value node) error {
		if name == "type" {
			kind.raw = value.raw.Clone()
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return kind.str()
}

// charPatterns match any character: in Oniguruma (?m:.) is a dot that matches
// newlines too.
var charPatterns = []string{`[\s\S]`, `(?m:.)`}
