package tokens

import (
	"slices"

	"github.com/attnx/attnx/internal/quote"
)

// Parse reads a tokenizer.json. An invalid file gives a [FormatError], one
// that this package does not support an [UnsupportedError]. It needs memory
// for a small multiple of the file's size, and 16 MiB if the vocabulary has
// gaps.
func Parse(data []byte) (*Tokenizer, error) {
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
	for _, name := range []string{"truncation", "padding"} {
		if err := checkBatching(file[name]); err != nil {
			return nil, err
		}
	}
	if err := checkNormalizer(file["normalizer"]); err != nil {
		return nil, err
	}
	if err := checkPostProcessor(file["post_processor"]); err != nil {
		return nil, err
	}
	t, merges, err := parseModel(file["model"])
	if err != nil {
		return nil, err
	}
	if err := t.parseSplitting(file["pre_tokenizer"]); err != nil {
		return nil, err
	}
	if err := t.parseDecoder(file["decoder"]); err != nil {
		return nil, err
	}
	if err := t.parseAdded(file["added_tokens"]); err != nil {
		return nil, err
	}
	if len(t.ids) < 2 {
		return nil, invalid("model.vocab", "it has %d tokens: a model needs at least 2 to choose from", len(t.ids))
	}
	t.finish(merges)
	return t, nil
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

// parseSplitting reads the pre_tokenizer, which distinguishes Word from Char.
func (t *Tokenizer) parseSplitting(n node) error {
	n, err := alone(n, "pretokenizers")
	if err != nil {
		return err
	}
	kind, err := component(n)
	if err != nil {
		return err
	}
	switch {
	case t.kind == BPE && kind == "ByteLevel":
		return checkByteLevel(n)
	case t.kind == BPE:
		return unsupported(n.path, "%.130q with a BPE model, only \"ByteLevel\" is supported", quote.Line(kind, 120))
	case kind == "Whitespace":
		_, err := n.object("type")
		return err
	case kind == "Split":
		t.kind = Char
		return checkCharSplit(n)
	}
	return unsupported(n.path, "%.130q with a WordLevel model, only \"Whitespace\" and \"Split\" are supported", quote.Line(kind, 120))
}

// charPatterns match any character: in Oniguruma (?m:.) is a dot that matches
// newlines too.
var charPatterns = []string{`[\s\S]`, `(?m:.)`}

func checkCharSplit(n node) error {
	o, err := n.object("type", "pattern", "behavior", "invert")
	if err != nil {
		return err
	}
	pattern, err := o["pattern"].object("Regex", "String")
	if err != nil {
		return err
	}
	if s := pattern["String"]; len(s.raw) > 0 {
		return unsupported(s.path, "a literal pattern, only the expressions %.130q are supported", charPatterns)
	}
	expr, err := pattern["Regex"].str()
	if err != nil {
		return err
	}
	if !slices.Contains(charPatterns, expr) {
		return unsupported(pattern["Regex"].path, "%.130q, only %.130q are supported, which match any character", quote.Line(expr, 120), charPatterns)
	}
	if b, err := o["behavior"].str(); err != nil || b != "Isolated" {
		return orUnsupported(err, o["behavior"].path, "%.130q, only \"Isolated\" is supported", quote.Line(b, 120))
	}
	if invert, err := o["invert"].flag(false); err != nil || invert {
		return orUnsupported(err, o["invert"].path, "it is true, only false is supported")
	}
	return nil
}

func orUnsupported(err error, path, reason string, args ...any) error {
	if err != nil {
		return err
	}
	return unsupported(path, reason, args...)
}

func (t *Tokenizer) parseDecoder(n node) error {
	n, err := alone(n, "decoders")
	if err != nil {
		return err
	}
	kind, err := component(n)
	if err != nil {
		return err
	}
	switch {
	case t.kind == BPE && kind == "ByteLevel":
		_, err := n.object("type", "add_prefix_space", "trim_offsets", "use_regex") // it decodes the same for all settings
		return err
	case t.kind == Char && kind == "Fuse":
		_, err := n.object("type")
		return err
	case t.kind == Word && kind == "":
		return nil
	case t.kind == Word && kind == "WordPiece":
		o, err := n.object("type", "prefix", "cleanup")
		if err != nil {
			return err
		}
		t.joiner.wordPiece = true
		if t.joiner.prefix, err = o["prefix"].str(); err != nil {
			return err
		}
		t.joiner.cleanup, err = o["cleanup"].flag(true)
		return err
	}
	known := map[Kind]string{Word: `"WordPiece" and null`, Char: `"Fuse"`, BPE: `"ByteLevel"`}[t.kind]
	return unsupported(n.path, "%.130q for a tokenizer of kind %v, known: %s", quote.Line(kind, 120), t.kind, known)
}

// checkByteLevel reads the pre_tokenizer of BPE. It must use GPT-2's pattern
// and add no space before the text.
func checkByteLevel(n node) error {
	o, err := n.object("type", "add_prefix_space", "trim_offsets", "use_regex")
	if err != nil {
		return err
	}
	if prefix, err := o["add_prefix_space"].flag(true); err != nil || prefix {
		return orUnsupported(err, o["add_prefix_space"].path, "it is true, only false is supported")
	}
	if regex, err := o["use_regex"].flag(true); err != nil || !regex {
		return orUnsupported(err, o["use_regex"].path, "it is false, only true is supported")
	}
	return nil
}
