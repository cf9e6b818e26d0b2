package tokens

import (
	"fmt"

	"github.com/attnx/attnx/internal/quote"
)

// FormatError reports that a tokenizer.json is invalid.
type FormatError struct {
	Path   string // place in the JSON, such as model.merges[3]; empty for the file as a whole
	Reason string
}

func (e *FormatError) Error() string {
	return "tokenizer.json: not valid: " + at(e.Path) + e.Reason
}

// UnsupportedError reports that a tokenizer.json is valid but describes a
// tokenizer that this package does not support.
type UnsupportedError struct {
	Path   string // place in the JSON, such as normalizer
	Reason string
}

func (e *UnsupportedError) Error() string {
	return "tokenizer.json: not supported: " + at(e.Path) + e.Reason
}

func at(path string) string {
	if path == "" {
		return ""
	}
	return quote.Line(path, 120) + ": "
}

func invalid(path, reason string, args ...any) error {
	return &FormatError{Path: path, Reason: fmt.Sprintf(reason, args...)}
}

func unsupported(path, reason string, args ...any) error {
	return &UnsupportedError{Path: path, Reason: fmt.Sprintf(reason, args...)}
}
