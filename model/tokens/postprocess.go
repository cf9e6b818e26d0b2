package tokens

import (
	"slices"

	"github.com/attnx/attnx/internal/quote"
)

// theText is the place of the text's ids in a template.
const theText = -1

// template is the ids of a text with those that are added to it.
type template []int64

// Special reports whether an id is that of a special token: Python's decode can skip such tokens.
func (t *Tokenizer) Special(id int64) bool {
	return slices.ContainsFunc(t.added, func(a addedToken) bool { return a.special && int64(a.id) == id })
}

// AddSpecial returns the ids of a text with the special tokens that the file's
// post_processor adds to every single text, such as one at the start: what the
// Python library gives with add_special_tokens=True. It returns ids itself if
// there are none to add.
func (t *Tokenizer) AddSpecial(ids []int64) []int64 {
	for _, p := range t.post {
		var out []int64
		for _, id := range p {
			if id == theText {
				out = append(out, ids...)
			} else {
				out = append(out, id)
			}
		}
		ids = out
	}
	return ids
}

// maxTemplate is more parts than any real template has. Each processor may
// repeat the text only once.
const maxTemplate = 64

func (t *Tokenizer) parsePost(n node, depth int) error {
	kind, err := component(n)
	if err != nil {
		return err
	}
	if depth > maxNested {
		return unsupported(n.path, "Sequences nested more than %d deep", maxNested)
	}
	switch kind {
	case "":
		return nil
	case "ByteLevel":
		_, err := n.object("type", "add_prefix_space", "trim_offsets", "use_regex") // it changes offsets only
		return err
	case "Sequence":
		parts, err := sequence(n, "processors")
		for i := 0; i < len(parts) && err == nil; i++ {
			err = t.parsePost(parts[i], depth+1)
		}
		return err
	case "TemplateProcessing":
		return t.parseTemplate(n)
	case "BertProcessing", "RobertaProcessing":
		o, err := n.object("type", "sep", "cls", "trim_offsets", "add_prefix_space")
		if err != nil {
			return err
		}
		sep, err := pairID(o["sep"])
		if err != nil {
			return err
		}
		cls, err := pairID(o["cls"])
		t.post = append(t.post, template{cls, theText, sep})
		return err
	}
	return unsupported(n.path, "%.130q is not known", quote.Line(kind, 120))
}

// pairID reads ["token", id].
func pairID(n node) (int64, error) {
	id := int32(-1)
	err := n.elements(func(i int, value node) (err error) {
		value.path = n.at(i)
		if i == 0 {
			_, err = value.str()
		} else {
			id, err = value.id()
		}
		return err
	})
	if err == nil && id < 0 {
		err = invalid(n.path, "it is %s, expected a token and its id", quote.Line(string(n.raw), 120))
	}
	return int64(id), err
}

// parseTemplate reads the template for single texts. It ignores the one for
// pairs of texts, which this package does not encode.
func (t *Tokenizer) parseTemplate(n node) error {
	o, err := n.object("type", "single", "pair", "special_tokens")
	if err != nil {
		return err
	}
	special := make(map[string][]int64)
	if !o["special_tokens"].isNull() {
		err = o["special_tokens"].members(func(name string, value node) error {
			value.path = o["special_tokens"].in(quote.Line(name, 120))
			s, err := value.object("id", "ids", "tokens")
			if err != nil {
				return err
			}
			return s["ids"].elements(func(i int, v node) error {
				v.path = s["ids"].at(i)
				id, err := v.id()
				if i == maxTemplate {
					return unsupported(s["ids"].path, "more than %d ids", maxTemplate)
				}
				special[name] = append(special[name], int64(id))
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	var all template
	texts := 0
	err = o["single"].elements(func(i int, value node) error {
		value.path = o["single"].at(i)
		if i == maxTemplate {
			return unsupported(o["single"].path, "more than %d parts", maxTemplate)
		}
		part, err := value.object("Sequence", "SpecialToken")
		if err != nil {
			return err
		}
		name, member := "SpecialToken", part["SpecialToken"]
		if member.isNull() {
			name, member = "Sequence", part["Sequence"]
		}
		m, err := member.object("id", "type_id")
		if err != nil {
			return err
		}
		id, err := m["id"].str()
		switch {
		case err != nil:
			return err
		case name == "Sequence" && id != "A":
			return unsupported(m["id"].path, "%.130q, only \"A\" is supported, the text", quote.Line(id, 120))
		case name == "Sequence":
			texts++
			all = append(all, theText)
		case len(special[id]) == 0:
			return invalid(m["id"].path, "%.130q has no ids in special_tokens", quote.Line(id, 120))
		default:
			all = append(all, special[id]...)
		}
		return nil
	})
	if err == nil && texts != 1 {
		return unsupported(o["single"].path, "it has the text %d times, only once is supported", texts)
	}
	if len(all) > 1 {
		t.post = append(t.post, all)
	}
	return err
}

// checkPost rejects a post-processor that adds an id without a token.
func (t *Tokenizer) checkPost() error {
	for _, p := range t.post {
		if i := slices.IndexFunc(p, func(id int64) bool { return id >= int64(len(t.tokens)) }); i >= 0 {
			return invalid("post_processor", "it adds the id %d, but the last token has the id %d", p[i], len(t.tokens)-1)
		}
	}
	return nil
}
