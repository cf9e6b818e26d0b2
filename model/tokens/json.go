package tokens

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/internal/quote"
)

// node is a value of a well-formed JSON document, and its path. An absent
// member is a node without value; it reads like null.
type node struct {
	path string
	raw  jsontext.Value
}

// document checks a whole JSON document: syntax, UTF-8, duplicate members,
// depth (at most 10000), and that nothing follows it.
func document(data []byte) (node, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(data))
	raw, err := d.ReadValue()
	if err != nil {
		return node{}, invalid("", "%s", quote.Line(err.Error(), 120))
	}
	raw = raw.Clone()
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return node{}, invalid("", "text follows the JSON value at byte %d", d.InputOffset())
	}
	return node{raw: raw}, nil
}

func (n node) isNull() bool { return len(n.raw) == 0 || n.raw.Kind() == 'n' }

// in returns the path of a member or element of n.
func (n node) in(name string) string {
	if n.path == "" {
		return name
	}
	return n.path + "." + name
}

func (n node) at(i int) string { return n.path + "[" + strconv.Itoa(i) + "]" }

func (n node) want(what string, kind jsontext.Kind) error {
	switch {
	case len(n.raw) == 0:
		return invalid(n.path, "it is missing, expected %s", what)
	case n.raw.Kind() != kind:
		return invalid(n.path, "it is %s, expected %s", quote.Line(string(n.raw), 120), what)
	}
	return nil
}

// members calls f with each member of an object, in order. The value has no
// path: f calls n.in for it if needed.
func (n node) members(f func(name string, value node) error) error {
	if err := n.want("an object", '{'); err != nil {
		return err
	}
	d := n.decoder()
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return invalid(n.path, "%v", err)
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return invalid(n.path, "%v", err)
		}
		if err := f(key, node{raw: value}); err != nil {
			return err
		}
	}
	return nil
}

// elements calls f with each element of an array. The element has no path.
func (n node) elements(f func(i int, value node) error) error {
	if err := n.want("an array", '['); err != nil {
		return err
	}
	d := n.decoder()
	for i := 0; d.PeekKind() != ']'; i++ {
		value, err := d.ReadValue()
		if err != nil {
			return invalid(n.path, "%v", err)
		}
		if err := f(i, node{raw: value}); err != nil {
			return err
		}
	}
	return nil
}

// decoder returns a decoder positioned after the opening bracket of n.
// document has rejected duplicate names.
func (n node) decoder() *jsontext.Decoder {
	d := jsontext.NewDecoder(bytes.NewBuffer(n.raw), jsontext.AllowDuplicateNames(true))
	_, _ = d.ReadToken() // the value is well-formed and starts with the bracket
	return d
}

// object returns the members of an object. Names outside names are errors.
func (n node) object(names ...string) (map[string]node, error) {
	o := make(map[string]node, len(names))
	for _, name := range names {
		o[name] = node{path: n.in(name)}
	}
	err := n.members(func(name string, value node) error {
		if _, ok := o[name]; !ok {
			return unsupported(n.in(name), "a member of this name is not supported")
		}
		o[name] = node{path: n.in(name), raw: value.raw.Clone()}
		return nil
	})
	return o, err
}

func (n node) str() (string, error) {
	if err := n.want("a string", '"'); err != nil {
		return "", err
	}
	s, err := jsontext.AppendUnquote(nil, n.raw)
	if err != nil {
		return "", invalid(n.path, "%v", err)
	}
	return string(s), nil
}

// flag reads a boolean that may be absent.
func (n node) flag(absent bool) (bool, error) {
	switch {
	case n.isNull():
		return absent, nil
	case n.raw.Kind() == 't':
		return true, nil
	case n.raw.Kind() == 'f':
		return false, nil
	}
	return false, invalid(n.path, "it is %s, expected true or false", quote.Line(string(n.raw), 120))
}

// id reads a token id, an integer of 31 bits.
func (n node) id() (int32, error) {
	if err := n.want("a token id", '0'); err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(string(n.raw), 10, 31)
	if err != nil {
		return 0, invalid(n.path, "%s is not a token id: ids are whole numbers from 0 to 2147483647", quote.Line(string(n.raw), 120))
	}
	return int32(id), nil
}
