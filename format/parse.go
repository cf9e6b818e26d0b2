package format

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/internal/quote"
)

// parser reads the JSON of a header token by token. It rejects everything that
// two JSON parsers could read differently: such a file could pass one tool's
// checks and harm another.
type parser struct {
	dec         *jsontext.Decoder
	unsupported error             // the first unsupported element type
	names       map[string]string // original name, keyed by its lower-case form
}

// parseHeader reads the text of a header. It returns the tensors in the
// header's order and does not compare their places. An UnsupportedError comes
// with all results, so that the caller can check the places first.
func parseHeader(text []byte) (metadata map[string]string, entries []entry, err error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, nil, &FormatError{Offset: lengthSize, Reason: "the header does not begin with '{': it is not a safetensors file"}
	}
	p := parser{dec: jsontext.NewDecoder(bytes.NewBuffer(text)), names: map[string]string{}} // Buffer is read without a copy
	metadata = map[string]string{}
	err = p.object(func(name string) error {
		if name == metadataName {
			return p.metadata(metadata)
		}
		reason := badName(name)
		if reason == "" {
			reason = caseVariant(name, p.names)
		}
		if reason != "" {
			return p.wrong(name, reason)
		}
		e, err := p.entry(name)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	end := p.dec.InputOffset()
	if rest := bytes.TrimLeft(text[end:], " "); len(rest) > 0 {
		at := lengthSize + int64(len(text)-len(rest))
		return nil, nil, &FormatError{Offset: at, Reason: fmt.Sprintf("the byte %#02x follows the header's object, only spaces may", rest[0])}
	}
	return metadata, entries, p.unsupported
}

// metadata reads an object of strings. It accepts null, which other writers
// use for empty metadata.
func (p *parser) metadata(into map[string]string) error {
	if p.dec.PeekKind() == 'n' {
		_, err := p.dec.ReadToken()
		return p.strict(err)
	}
	return p.object(func(name string) (err error) {
		if reason := badName(name); reason != "" {
			return p.wrong("", "metadata "+quote.String(name)+": "+reason)
		}
		into[name], err = p.text()
		return err
	})
}

// entry reads the object that describes the named tensor.
func (p *parser) entry(name string) (e entry, err error) {
	e.Name = name
	has := map[string]bool{}
	err = p.object(func(member string) error {
		has[member] = true
		switch member {
		case "dtype":
			return p.dtype(&e)
		case "shape":
			axes, err := p.integers(MaxRank)
			for _, n := range axes {
				if n > math.MaxInt {
					return p.wrong("", "the shape is too large for this machine")
				}
				e.Shape = append(e.Shape, int(n))
			}
			return err
		case "data_offsets":
			offsets, err := p.integers(2)
			if err == nil && len(offsets) != 2 {
				return p.wrong("", "data_offsets expects two integers")
			}
			if err == nil {
				e.begin, e.end = offsets[0], offsets[1]
			}
			return err
		}
		return p.wrong("", "unknown member "+quote.String(member))
	})
	if err == nil {
		err = p.checkEntry(e, has)
	}
	var bad *FormatError
	if errors.As(err, &bad) {
		bad.Tensor = name
	}
	return e, err
}

// checkEntry checks that the members of an entry agree.
func (p *parser) checkEntry(e entry, has map[string]bool) error {
	for _, member := range []string{"dtype", "shape", "data_offsets"} {
		if !has[member] {
			return p.wrong("", member+" is missing")
		}
	}
	if e.begin > e.end {
		return p.wrong("", fmt.Sprintf("its data begin at %d and end before, at %d", e.begin, e.end))
	}
	if e.DType == Invalid {
		return nil // unsupported: its size is unknown
	}
	size, ok := e.bytes()
	if !ok {
		return p.wrong("", fmt.Sprintf("the bytes of %s%v overflow", e.DType, e.Shape))
	}
	if e.end-e.begin != size {
		return p.wrong("", fmt.Sprintf("%s%v has %d bytes, its data_offsets span %d", e.DType, e.Shape, size, e.end-e.begin))
	}
	return nil
}

// foreign lists the element types of safetensors 0.8 that this package does
// not read.
var foreign = []string{"C64", "F4", "F6_E2M3", "F6_E3M2", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0"}

// dtype reads an element type. An unsupported one leaves Invalid.
func (p *parser) dtype(e *entry) error {
	name, err := p.text()
	if err != nil {
		return err
	}
	if d, known := ParseDType(name); known && d.Stored() {
		e.DType = d
		return nil
	}
	if !slices.Contains(foreign, name) {
		return p.wrong("", "unknown element type "+quote.String(name))
	}
	if p.unsupported == nil {
		p.unsupported = &UnsupportedError{Tensor: e.Name, Offset: p.offset(), Reason: "elements of type " + name + " are not supported: convert the file to F32 first"}
	}
	return nil
}

// object reads an object and calls member with each name to read its value.
func (p *parser) object(member func(name string) error) error {
	if err := p.open('{', "an object"); err != nil {
		return err
	}
	for p.dec.PeekKind() == '"' {
		name, err := p.text()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken() // the closing brace, or a wrong token
	return p.strict(err)
}

// integers reads an array of at most most integers, each 0 or more.
func (p *parser) integers(most int) (out []int64, err error) {
	if err := p.open('[', "an array"); err != nil {
		return nil, err
	}
	for p.dec.PeekKind() == '0' { // PeekKind gives '0' for every number
		v, err := p.dec.ReadValue()
		if err != nil {
			return nil, p.strict(err)
		}
		// 1.0, 1e2 and -0 are integers only to some parsers.
		n, err := strconv.ParseUint(string(v), 10, 63)
		if err != nil {
			return nil, p.wrong("", quote.String(string(v))+" is not an integer from 0 to 2^63-1 in plain decimal")
		}
		if len(out) == most {
			return nil, p.wrong("", fmt.Sprintf("more than %d integers in the array", most))
		}
		out = append(out, int64(n))
	}
	if kind := p.dec.PeekKind(); kind != ']' && kind != 0 {
		return nil, p.wrong("", fmt.Sprintf("expected an integer, got %v", kind))
	}
	_, err = p.dec.ReadToken()
	return out, p.strict(err)
}

// text reads a string.
func (p *parser) text() (string, error) {
	if kind := p.dec.PeekKind(); kind != '"' && kind != 0 {
		return "", p.wrong("", fmt.Sprintf("expected a string, got %v", kind))
	}
	t, err := p.dec.ReadToken()
	if err != nil {
		return "", p.strict(err)
	}
	return t.String(), nil
}

// open reads the start of an object or array. On kind 0, a syntax error, it
// returns the decoder's error, which describes it best.
func (p *parser) open(want jsontext.Kind, what string) error {
	if kind := p.dec.PeekKind(); kind != want && kind != 0 {
		return p.wrong("", fmt.Sprintf("expected %s, got %v", what, kind))
	}
	_, err := p.dec.ReadToken()
	return p.strict(err)
}

// wrong returns a FormatError at the parser's position.
func (p *parser) wrong(tensor, reason string) error {
	return &FormatError{Tensor: tensor, Offset: p.offset(), Reason: reason}
}

// strict converts an error of the JSON decoder to a FormatError.
func (p *parser) strict(err error) error {
	if err == nil {
		return nil
	}
	at, reason := p.offset(), err.Error()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at, reason = lengthSize+syntax.ByteOffset, syntax.Err.Error()
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return &FormatError{Offset: at, Reason: "a name is used twice"} // the decoder's message would repeat the name, however long
	}
	return &FormatError{Offset: at, Reason: "the header is not strict JSON: " + reason}
}

// offset returns the byte of the file after the last token.
func (p *parser) offset() int64 { return lengthSize + p.dec.InputOffset() }
