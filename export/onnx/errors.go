package onnx

import (
	"errors"
	"fmt"
	"strings"
)

// FormatError says that a model is not valid.
type FormatError struct {
	File   string // empty when the data came from elsewhere
	Offset int64  // where in the file, -1 if nowhere in particular
	Where  string // such as `node "h.0.attn.scores"`, empty if nowhere in particular
	Reason string

	External string // the file of external data at fault, inside the model's folder; empty if none is
	broken   bool   // the bytes are no protobuf message of ONNX's, and nothing was decoded
}

func (e *FormatError) Error() string { return describe(e.File, e.Offset, e.Where, e.Reason) }

// UnsupportedError says that a model is valid but holds what this package does
// not read.
type UnsupportedError struct {
	File   string // empty when the data came from elsewhere
	Offset int64  // where in the file, -1 if nowhere in particular
	Where  string // such as `node "h.0.attn.scores"`, empty if nowhere in particular
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

// inFile says in which file an error happened.
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

// broken reports whether nothing can be read past an error.
func broken(err error) bool {
	bad, ok := err.(*FormatError)
	return ok && bad.broken
}
