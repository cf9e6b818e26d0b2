package onnx

import (
	"errors"
	"io"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Outline is what can be told of a model without reading its tensors: enough to
// decide what a file is made of, not whether it is right.
type Outline struct {
	Producer string
	Metadata []string // the names, as they come
	Data     []string // the files that hold its initializers' elements, each once
}

// ReadOutline reads the outline of the file at path. A file that is not a
// protobuf message, or has more than a million fields outside its tensors, gives
// an error.
func ReadOutline(path string) (Outline, error) {
	var o Outline
	info, err := os.Stat(path) // before the file is opened: a pipe would block
	if err != nil {
		return o, err
	}
	if !info.Mode().IsRegular() {
		return o, &FormatError{File: path, Offset: -1, Reason: "it is not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return o, err
	}
	defer f.Close()
	s := &scanner{r: f}
	if err := s.fields(span{0, info.Size()}, func(n protowire.Number, at span) error { return s.model(&o, n, at) }); err != nil {
		return o, inFile(err, path)
	}
	return o, nil
}

// scanner walks through a file's messages and passes over what it is not asked
// to look into.
type scanner struct {
	r     io.ReaderAt
	count int // of fields
}

// span is where the content of a field lies.
type span struct{ from, to int64 }

func (s *scanner) model(o *Outline, n protowire.Number, at span) (err error) {
	switch n {
	case 2:
		o.Producer, err = s.text(at)
	case 7:
		return s.fields(at, func(n protowire.Number, at span) error {
			switch n {
			case 5:
				return s.fields(at, func(n protowire.Number, at span) error { return s.tensor(o, n, at) })
			case 15: // a sparse one: its values and its indices
				return s.fields(at, func(n protowire.Number, at span) error {
					if n > 2 {
						return nil
					}
					return s.fields(at, func(n protowire.Number, at span) error { return s.tensor(o, n, at) })
				})
			}
			return nil
		})
	case 14:
		var name string
		name, _, err = s.entry(at)
		o.Metadata = append(o.Metadata, name)
	}
	return err
}

// tensor looks at a field of an initializer.
func (s *scanner) tensor(o *Outline, n protowire.Number, at span) error {
	if n != 13 {
		return nil
	}
	key, value, err := s.entry(at)
	if err == nil && key == "location" && !slices.Contains(o.Data, value) {
		o.Data = append(o.Data, value)
	}
	return err
}

// entry reads a StringStringEntryProto.
func (s *scanner) entry(at span) (key, value string, err error) {
	err = s.fields(at, func(n protowire.Number, at span) (err error) {
		switch n {
		case 1:
			key, err = s.text(at)
		case 2:
			value, err = s.text(at)
		}
		return err
	})
	return key, value, err
}

// text reads the beginning of a string: no name that is looked for is longer.
func (s *scanner) text(at span) (string, error) {
	b := make([]byte, min(at.to-at.from, maxName))
	_, err := s.r.ReadAt(b, at.from)
	return string(b), err
}

// fields hands every length-delimited field of a message to visit.
func (s *scanner) fields(in span, visit func(protowire.Number, span) error) error {
	for at := in.from; at < in.to; {
		if s.count++; s.count > 1<<20 {
			return &FormatError{Offset: at, Reason: "too many fields"}
		}
		var head [24]byte // a tag and a number take at most 20
		n, err := s.r.ReadAt(head[:min(int64(len(head)), in.to-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		number, typ, tag := protowire.ConsumeTag(head[:n])
		if tag < 0 {
			return &FormatError{Offset: at, Reason: "broken protobuf"}
		}
		if typ != protowire.BytesType {
			skip := protowire.ConsumeFieldValue(number, typ, head[tag:n])
			if skip < 0 {
				return &FormatError{Offset: at, Reason: "broken protobuf"}
			}
			at += int64(tag + skip)
			continue
		}
		size, length := protowire.ConsumeVarint(head[tag:n])
		from := at + int64(tag+length)
		if length < 0 || size > uint64(in.to-from) {
			return &FormatError{Offset: at, Reason: "broken protobuf"}
		}
		at = from + int64(size)
		if err := visit(number, span{from, at}); err != nil {
			return err
		}
	}
	return nil
}
