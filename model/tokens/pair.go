package tokens

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// A file with two tokenizers has them as its members "source" and "target", each as a
// tokenizer.json has it. It is none of Hugging Face's library, which has one vocabulary in a
// file.

// Pair returns the file of a tokenizer whose sources and targets have a vocabulary each,
// made of the files of both.
func Pair(source, target []byte) []byte {
	w := writer{}
	w.text(`{"` + sideNames[0] + `":` + string(bytes.TrimSpace(source)) + `,"` + sideNames[1] + `":` + string(bytes.TrimSpace(target)) + `}`)
	return w.out
}

// SplitPair returns the files of which [Pair] made one; false for a file of another kind.
func SplitPair(data []byte) (source, target []byte, ok bool) {
	if !beginsPair(data) {
		return nil, nil, false
	}
	root, err := document(data)
	if err != nil {
		return nil, nil, false
	}
	err = root.members(func(name string, value node) error {
		switch name {
		case sideNames[0]:
			source = slices.Clone(value.raw)
		case sideNames[1]:
			target = slices.Clone(value.raw)
		default:
			return invalid(name, "it is no member of a file of two tokenizers")
		}
		return nil
	})
	return source, target, err == nil && len(source) > 0 && len(target) > 0
}

// beginsPair reports whether the first member of a document is one of those that a file
// of two tokenizers has: others are not read twice.
func beginsPair(data []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(data[:min(len(data), 4096)]))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	t, err := d.ReadToken()
	return err == nil && t.Kind() == '"' && slices.Contains(sideNames[:], t.String())
}

// parsePair reads a file of two tokenizers.
func parsePair(source, target []byte, file []byte) (*Tokenizer, error) {
	var both [2]*Tokenizer
	for i, data := range [][]byte{source, target} {
		t, err := parse(data) // its own, which no one else has: it becomes the pair
		if err == nil && t.target != nil {
			err = invalid("", "it has two tokenizers, expected one")
		}
		if err != nil {
			return nil, inFile(sideNames[i], err)
		}
		both[i] = t
	}
	both[0].target, both[0].file = both[1], file
	return both[0], nil
}
