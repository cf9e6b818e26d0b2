package tokens

// maxNested bounds the nesting of Sequences: each level is copied once.
const maxNested = 8

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

// checkBatching reads truncation or padding, the settings with which a Python
// program once batched texts. They are stored by accident: transformers turns
// both off unless the caller asks for them.
func checkBatching(n node) error {
	if n.isNull() {
		return nil
	}
	return n.want("an object or null", '{')
}
