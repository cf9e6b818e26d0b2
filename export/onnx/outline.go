package onnx

import (
	"errors"
	"io"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Outline is what can be read of a model without its tensors: enough to
// identify a file, not to check it.
type Outline struct {
	Producer string
	Metadata []string // keys, in file order
	Data     []string // the files with elements of its initializers, without duplicates
}

// ReadOutline reads the outline of the file at path. A file that is not a
// protobuf message, or has more than a million fields outside its tensors, is
// an error.
func ReadOutline(path string) (Outline, error) {
	var o Outline
	info, err := os.Stat(path) // check before opening: opening a pipe would block
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

// scanner walks through a file's messages and skips those that are not
// requested.
type scanner struct {
	r     io.ReaderAt
	count int // of fields
}

// span is the range of a field's content.
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
			case 15: // a sparse one: its values and indices
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

// tensor reads a field of an initializer.
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

// text reads the start of a string: no name that is looked up is longer.
func (s *scanner) text(at span) (string, error) {
	b := make([]byte, min(at.to-at.from, maxName))
	_, err := s.r.ReadAt(b, at.from)
	return string(b), err
}

// fields calls visit for every length-delimited field of a message.
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
