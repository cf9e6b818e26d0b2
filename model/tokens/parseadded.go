package tokens

import "github.com/attnx/attnx/internal/quote"

// parseAdded reads added_tokens. A token outside the model's vocabulary takes
// the next id, counted from the number of the model's tokens, whatever the
// file says. parseAdded rejects a different id, on which this package and the
// Python library would disagree, and an id that a vocabulary with gaps already
// uses.
func (t *Tokenizer) parseAdded(n node) error {
	if n.isNull() {
		return nil
	}
	seen := make(map[string]bool)
	next := int32(len(t.ids))
	return n.elements(func(i int, value node) error {
		value.path = n.at(i)
		a, err := parseAddedToken(value)
		if err != nil {
			return err
		}
		if seen[a.content] {
			return invalid(value.path, "%.130q is added twice", quote.Line(a.content, 120))
		}
		seen[a.content] = true
		id, known := t.ids[a.content]
		if !known {
			id = next
		}
		if a.id != id {
			return invalid(value.in("id"), "%.130q has the id %d, but %d in the vocabulary or as the next one", quote.Line(a.content, 120), a.id, id)
		}
		if !known {
			switch {
			case int(id) == len(t.tokens):
				t.tokens = append(t.tokens, a.content)
			case t.has(id):
				return unsupported(value.in("id"), "%.130q would take the id %d from %.130q", quote.Line(a.content, 120), id, quote.Line(t.tokens[id], 120))
			default:
				t.tokens[id] = a.content
			}
			t.ids[a.content] = id
			next++
		}
		t.added = append(t.added, a)
		return nil
	})
}

// parseAddedToken reads one token. There may be a million: no path is made without an error.
func parseAddedToken(n node) (a addedToken, err error) {
	hasID, hasContent := false, false
	err = n.members(func(name string, value node) error {
		read := func(v node) (err error) {
			switch name {
			case "id":
				a.id, err = v.id()
				hasID = true
			case "content":
				a.content, err = v.str()
				hasContent = true
			case "single_word":
				a.singleWord, err = v.flag(false)
			case "lstrip":
				a.lstrip, err = v.flag(false)
			case "rstrip":
				a.rstrip, err = v.flag(false)
			case "normalized":
				a.normalized, err = v.flag(false)
			case "special":
				a.special, err = v.flag(false)
			default:
				err = unsupported(n.in(name), "a member of this name is not supported")
			}
			return err
		}
		if read(value) == nil {
			return nil
		}
		value.path = n.in(name)
		return read(value)
	})
	switch {
	case err != nil:
		return a, err
	case !hasContent:
		return a, node{path: n.in("content")}.want("a string", '"')
	case a.content == "":
		return a, invalid(n.in("content"), "it is empty")
	case len(a.content) > maxAddedBytes:
		return a, unsupported(n.in("content"), "it has %d bytes, at most %d are supported", len(a.content), maxAddedBytes)
	case !hasID:
		return a, node{path: n.in("id")}.want("a token id", '0')
	}
	return a, nil
}
