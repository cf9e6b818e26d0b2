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

func parseAddedToken(n node) (a addedToken, err error) {
	o, err := n.object("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")
	if err != nil {
		return a, err
	}
	for _, m := range []struct {
		name string
		flag *bool
	}{{"single_word", &a.singleWord}, {"lstrip", &a.lstrip}, {"rstrip", &a.rstrip}, {"normalized", &a.normalized}, {"special", &a.special}} {
		if *m.flag, err = o[m.name].flag(false); err != nil {
			return a, err
		}
	}
	if a.content, err = o["content"].str(); err != nil {
		return a, err
	}
	switch n := len(a.content); {
	case n == 0:
		return a, invalid(o["content"].path, "it is empty")
	case n > maxAddedBytes:
		return a, unsupported(o["content"].path, "it has %d bytes, at most %d are supported", n, maxAddedBytes)
	}
	a.id, err = o["id"].id()
	return a, err
}
