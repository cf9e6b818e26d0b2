package onnx

import (
	"errors"
	"fmt"
	"strings"
)

// FormatError reports that a model is invalid.
type FormatError struct {
	File   string // empty if the data are not from a file
	Offset int64  // position in the file; -1: none
	Where  string // such as `node "h.0.attn.scores"`; may be empty
	Reason string

	External string // the faulty file of external data, within the model's folder; may be empty
	broken   bool   // the bytes are not an ONNX protobuf message; nothing was decoded
}

func (e *FormatError) Error() string { return describe(e.File, e.Offset, e.Where, e.Reason) }

// UnsupportedError reports that a model is valid but uses features that this
// package does not support.
type UnsupportedError struct {
	File   string // empty if the data are not from a file
	Offset int64  // position in the file; -1: none
	Where  string // such as `node "h.0.attn.scores"`; may be empty
	Reason string
}

func (e *UnsupportedError) Error() string { return describe(e.File, e.Offset, e.Where, e.Reason) }

func describe(file string, offset int64, where, reason string) string {
	parts := []string{"onnx"}
	if file != "" {
		parts[0] = file
	}
	if where != "" {
		parts = append(parts, where)
	}
	if offset >= 0 {
		parts = append(parts, fmt.Sprintf("byte %d", offset))
	}
	return strings.Join(append(parts, reason), ": ")
}

// inFile adds the path of the file to an error.
func inFile(err error, path string) error {
	var bad *FormatError
	var unsupported *UnsupportedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		bad.File = path
		return err
	case errors.As(err, &unsupported):
		unsupported.File = path
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// broken reports whether nothing could be decoded.
func broken(err error) bool {
	bad, ok := err.(*FormatError)
	return ok && bad.broken
}
