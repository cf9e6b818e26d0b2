package tokens

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// PrefixSpace reports whether the pre_tokenizer of a tokenizer.json adds a
// space before a text (on), and whether it has that setting (has).
func PrefixSpace(data []byte) (on, has bool) {
	root, err := document(data)
	if err != nil || root.raw.Kind() != '{' {
		return false, false
	}
	err = root.members(func(name string, splitting node) error {
		if name != "pre_tokenizer" || splitting.raw.Kind() != '{' {
			return nil
		}
		return splitting.members(func(name string, v node) (err error) {
			if name == "add_prefix_space" {
				on, err = v.flag(true)
				has = err == nil
			}
			return err
		})
	})
	return on, has && err == nil
}

// SetPrefixSpace returns a tokenizer.json whose pre_tokenizer adds a space
// before a text if on is set. It returns one without that setting unchanged.
func SetPrefixSpace(data []byte, on bool) ([]byte, error) {
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	return setMember(root, "pre_tokenizer", func(n node) ([]byte, error) {
		if n.raw.Kind() != '{' {
			return n.raw, nil
		}
		return setMember(n, "add_prefix_space", func(node) ([]byte, error) { return strconv.AppendBool(nil, on), nil })
	})
}

// setMember returns an object with another value for an existing member.
func setMember(n node, member string, value func(node) ([]byte, error)) ([]byte, error) {
	out := []byte{'{'}
	err := n.members(func(name string, v node) error {
		if len(out) > 1 {
			out = append(out, ',')
		}
		var err error
		if out, err = jsontext.AppendQuote(out, name); err != nil {
			return err
		}
		out = append(out, ':')
		raw := []byte(v.raw)
		if name == member {
			if raw, err = value(v); err != nil {
				return err
			}
		}
		out = append(out, raw...)
		return nil
	})
	return append(out, '}'), err
}
