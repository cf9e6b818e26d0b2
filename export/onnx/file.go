package onnx

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ReadFile reads a model that attnx takes: what it returns has passed Check
// with the folder of its file. External data are checked to be there, not read.
// Errors name the file.
func ReadFile(path string) (*Model, error) {
	m, err := DecodeFile(path)
	if err != nil {
		return nil, err
	}
	if err := Check(m, filepath.Dir(path)); err != nil {
		return nil, inFile(err, path)
	}
	return m, nil
}

// DecodeFile reads a model to look at it, whatever ONNX allows in one. Errors
// name the file.
func DecodeFile(path string) (*Model, error) {
	info, err := os.Stat(path) // before the file is opened: a pipe would block
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
