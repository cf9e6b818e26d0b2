package huggingface

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/internal/quote"
)

// object holds the members of a JSON object, still encoded. Errors of its
// methods name the member.
type object map[string]jsontext.Value

// parseObject reads a text that is one JSON object. It must be strict: valid
// UTF-8, no duplicate names in any object, at most 10000 deep, and nothing
// after it.
func parseObject(text []byte) (object, error) {
	out := object{}
	err := members(text, func(name string, value jsontext.Value) error {
		out[name] = value.Clone()
		return nil
	})
	return out, err
}

// members calls f with each member of the JSON object in text, in order. The
// value is valid until the next call.
func members(text []byte, f func(name string, value jsontext.Value) error) error {
	if bytes.HasPrefix(text, []byte(byteOrderMark)) {
		return errors.New("byte 0: it begins with a byte order mark, with which transformers does not read it either: save it as UTF-8 without one")
	}
	strict := func(err error) error { return strict(text, err) }
	d := jsontext.NewDecoder(bytes.NewBuffer(text)) // a Buffer is read in place
	if kind := d.PeekKind(); kind != '{' && kind != 0 {
		return fmt.Errorf("it is %v, expected a JSON object", kind)
	}
	if _, err := d.ReadToken(); err != nil {
		return strict(err)
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return strict(err)
		}
		name := t.String()
		value, err := d.ReadValue()
		if err != nil {
			return strict(err)
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil { // the closing brace, or a wrong token
		return strict(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("byte %d: unexpected text after the JSON object", d.InputOffset())
	}
	return nil
}

const byteOrderMark = "\ufeff"

// notNumbers are the numbers that Python writes and JSON does not have.
var notNumbers = []string{"NaN", "-Infinity", "Infinity"}

// strict turns an error of the decoder of a text into one short line.
func strict(text []byte, err error) error {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return fmt.Errorf("it is not strict JSON: %w", err)
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return fmt.Errorf("byte %d: a name is used twice in a JSON object", syntax.ByteOffset)
	}
	for _, name := range notNumbers {
		for back := range int64(2) { // the sign may be read already
			if at := syntax.ByteOffset - back; at >= 0 && at <= int64(len(text)) && bytes.HasPrefix(text[at:], []byte(name)) {
				return fmt.Errorf("byte %d: %s is a number in Python and not in JSON: write one that is finite, or null", at, name)
			}
		}
	}
	return fmt.Errorf("byte %d: it is not strict JSON: %w", syntax.ByteOffset, syntax.Err)
}

// absent reports whether the object has no member of this name.
func (o object) absent(name string) bool { return o[name] == nil }

// null reports whether the member is missing or null.
func (o object) null(name string) bool { return o.absent(name) || o[name].Kind() == 'n' }

// size returns a required member that is a non-negative integer in plain
// decimal: 1.0 and 1e2 are integers only to some parsers.
func (o object) size(name string) (int, error) {
	if o.absent(name) {
		return 0, fmt.Errorf("%s is missing", quote.Line(name, 80))
	}
	n, err := strconv.ParseUint(string(o[name]), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s is %s, expected a whole number in plain decimal, at most 2147483647", quote.Line(name, 80), quote.String(string(o[name])))
	}
	return int(n), nil
}

// number returns a member that is a number, or missing.
func (o object) number(name string, missing float64) (float64, error) {
	if o.absent(name) {
		return missing, nil
	}
	x, err := strconv.ParseFloat(string(o[name]), 64)
	if o[name].Kind() != '0' || err != nil { // Kind is '0' for every number
		return 0, fmt.Errorf("%s is %s, expected a number", quote.Line(name, 80), quote.String(string(o[name])))
	}
	return x, nil
}

// flag returns a member that is true or false, or missing.
func (o object) flag(name string, missing bool) (bool, error) {
	if o.absent(name) {
		return missing, nil
	}
	switch o[name].Kind() {
	case 't':
		return true, nil
	case 'f':
		return false, nil
	}
	return false, fmt.Errorf("%s is %s, expected true or false", quote.Line(name, 80), quote.String(string(o[name])))
}

// text returns a member that is a string, or missing.
func (o object) text(name, missing string) (string, error) {
	if o.absent(name) {
		return missing, nil
	}
	s, err := unquote(o[name])
	if err != nil {
		return "", fmt.Errorf("%s is %s, expected a string", quote.Line(name, 80), quote.String(string(o[name])))
	}
	return s, nil
}

// unquote decodes a JSON string.
func unquote(v jsontext.Value) (string, error) {
	if v.Kind() != '"' {
		return "", fmt.Errorf("%s is not a string", quote.String(string(v)))
	}
	s, err := jsontext.AppendUnquote(nil, v)
	return string(s), err
}
