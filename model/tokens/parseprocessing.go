package tokens

import (
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// maxNested bounds the nesting of Sequences: each level is copied once.
const maxNested = 8

// alone returns the component in a Sequence of one, and null for an empty
// Sequence; list is the member with the parts. It returns any other component
// unchanged.
func alone(n node, list string) (node, error) {
	whole := n.path
	for range maxNested {
		kind, err := component(n)
		if err != nil || kind != "Sequence" {
			return n, err
		}
		parts, err := sequence(n, list)
		switch {
		case err != nil:
			return n, err
		case len(parts) == 0:
			return node{path: n.path}, nil
		case len(parts) > 1:
			return n, unsupported(n.path, "a Sequence of %s, only Sequences of one are supported", kinds(parts))
		}
		n = parts[0]
	}
	return n, unsupported(whole, "Sequences nested more than %d deep", maxNested)
}

// maxParts is more parts than the Sequence of any real tokenizer has.
const maxParts = 100

// sequence returns the parts of a Sequence.
func sequence(n node, list string) (parts []node, err error) {
	o, err := n.object("type", list)
	if err != nil {
		return nil, err
	}
	err = o[list].elements(func(i int, value node) error {
		if i == maxParts {
			return unsupported(o[list].path, "a Sequence of more than %d parts", maxParts)
		}
		parts = append(parts, node{path: o[list].at(i), raw: value.raw.Clone()})
		return nil
	})
	return parts, err
}

// kinds lists the types of the parts of a Sequence, for a message.
func kinds(parts []node) string {
	var names []string
	for _, p := range parts {
		kind, err := component(p)
		if err != nil {
			kind = "?"
		}
		if names = append(names, kind); len(names) == maxNested {
			break
		}
	}
	return quote.Line(strings.Join(names, ", "), 120)
}

// checkBatching reads truncation or padding, the settings with which a Python
// program once batched texts. They are stored by accident: transformers turns
// both off unless the caller asks for them.
func checkBatching(n node) error {
	if n.isNull() {
		return nil
	}
	return n.want("an object or null", '{')
}

// checkNormalizer accepts only normalizers that change no text.
func checkNormalizer(n node) error {
	n, err := alone(n, "normalizers")
	if err != nil {
		return err
	}
	kind, err := component(n)
	if err == nil && kind != "" {
		return unsupported(n.path, "%.130q, only null is supported", quote.Line(kind, 120))
	}
	return err
}

// checkPostProcessor accepts only post-processors that add no ids: those that
// change offsets, templates of the text alone, and Sequences of these.
func checkPostProcessor(n node) error { return checkProcessors(n, 0) }

func checkProcessors(n node, depth int) error {
	kind, err := component(n)
	if err != nil {
		return err
	}
	switch kind {
	case "":
		return nil
	case "ByteLevel":
		_, err := n.object("type", "add_prefix_space", "trim_offsets", "use_regex")
		return err
	case "TemplateProcessing":
		return checkTemplate(n)
	case "Sequence":
		if depth == maxNested {
			return unsupported(n.path, "Sequences nested more than %d deep", maxNested)
		}
		parts, err := sequence(n, "processors")
		for i := 0; i < len(parts) && err == nil; i++ {
			err = checkProcessors(parts[i], depth+1)
		}
		return err
	}
	return unsupported(n.path, "%.130q adds tokens to a text, only those that add none are supported: \"ByteLevel\", \"TemplateProcessing\" and null", quote.Line(kind, 120))
}

// checkTemplate rejects a template that adds tokens to a single text. It
// ignores the template for pairs of texts, which this package does not encode.
func checkTemplate(n node) error {
	o, err := n.object("type", "single", "pair", "special_tokens")
	if err != nil {
		return err
	}
	texts := 0
	err = o["single"].elements(func(i int, value node) error {
		value.path = o["single"].at(i)
		piece, err := value.object("Sequence", "SpecialToken")
		if err != nil {
			return err
		}
		if token := piece["SpecialToken"]; !token.isNull() {
			return unsupported(token.path, "the token %s is added to every text, only templates that add none are supported", quote.Line(string(token.raw), 120))
		}
		text, err := piece["Sequence"].object("id", "type_id")
		if err != nil {
			return err
		}
		id, err := text["id"].str()
		if err != nil || id != "A" {
			return orUnsupported(err, text["id"].path, "%.130q, only \"A\" is supported, the text", quote.Line(id, 120))
		}
		texts++
		return nil
	})
	if err == nil && texts != 1 {
		return unsupported(o["single"].path, "it has the text %d times, only once is supported", texts)
	}
	return err
}
