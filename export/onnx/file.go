package onnx

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
)

// ReadFile reads a supported model: the result has passed Check with the
// folder of its file. External data must exist but are not read. Errors name
// the file.
func ReadFile(path string) (*Model, error) { return ReadFileAs(path, Check) }

// ReadFileAs is ReadFile with another check, such as CheckStructure.
func ReadFileAs(path string, check func(m *Model, dir string) error) (*Model, error) {
	m, err := DecodeFile(path)
	if err != nil {
		return nil, err
	}
	if err := check(m, filepath.Dir(path)); err != nil {
		return nil, inFile(err, path)
	}
	return m, nil
}

// DecodeFile reads any ONNX model for inspection. Errors name the file.
func DecodeFile(path string) (*Model, error) {
	info, err := os.Stat(path) // check before opening: opening a pipe would block
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &FormatError{File: path, Offset: -1, Reason: "it is not a regular file"}
	}
	if info.Size() > maxFile {
		return nil, &FormatError{File: path, Offset: -1, Reason: fmt.Sprintf("%d bytes are more than protobuf can hold", info.Size())}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := Decode(data)
	return m, inFile(err, path)
}

// Recognize reports whether a file of size bytes looks like a model: an ONNX
// message with a graph among its first fields. It reads little of the file,
// which may still be broken.
func Recognize(r io.ReaderAt, size int64) bool {
	const fields = 1 << 12 // before the graph
	for at, n := int64(0), 0; at < size && n < fields; n++ {
		head := make([]byte, min(2*binary.MaxVarintLen64, size-at)) // a tag, and a number or length
		if _, err := r.ReadAt(head, at); err != nil {
			return false
		}
		number, typ, tag := protowire.ConsumeTag(head)
		if tag < 0 || modelFields[number] != typ+1 {
			return false
		}
		value, rest := protowire.ConsumeVarint(head[tag:])
		if rest < 0 {
			return false
		}
		if number == 7 {
			return true
		}
		at += int64(tag + rest)
		if typ == protowire.BytesType {
			if value > uint64(size-at) {
				return false
			}
			at += int64(value)
		}
	}
	return false
}

// modelFields holds the types of the fields of a ModelProto, plus one.
var modelFields = map[protowire.Number]protowire.Type{
	1: protowire.VarintType + 1, 2: protowire.BytesType + 1, 3: protowire.BytesType + 1, 4: protowire.BytesType + 1, 5: protowire.VarintType + 1,
	6: protowire.BytesType + 1, 7: protowire.BytesType + 1, 8: protowire.BytesType + 1, 14: protowire.BytesType + 1, 20: protowire.BytesType + 1,
	25: protowire.BytesType + 1, 26: protowire.BytesType + 1,
}
