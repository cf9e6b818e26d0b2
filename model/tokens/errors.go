package tokens

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// FormatError reports that a tokenizer's file is invalid.
type FormatError struct {
	File   string // its name; empty: tokenizer.json
	Path   string // place in the JSON, such as model.merges[3]; empty for the file as a whole
	Reason string
}

func (e *FormatError) Error() string {
	return cmp.Or(e.File, "tokenizer.json") + ": not valid: " + at(e.Path) + remedied(e.Reason, "take another copy, or save it again with the library tokenizers")
}

// UnsupportedError reports that a tokenizer's file is valid but describes a
// tokenizer that this package does not support.
type UnsupportedError struct {
	File   string // its name; empty: tokenizer.json
	Path   string // place in the JSON, such as normalizer
	Reason string
}

func (e *UnsupportedError) Error() string {
	return cmp.Or(e.File, "tokenizer.json") + ": not supported: " + at(e.Path) + remedied(e.Reason, "save a tokenizer without it")
}

// remedied returns a reason with what to do about it, unless it says so itself.
func remedied(reason, remedy string) string {
	if strings.Contains(reason, ": ") {
		return reason
	}
	return reason + ": " + remedy
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

// inFile returns an error of a file of another name than tokenizer.json.
func inFile(name string, err error) error {
	var bad *FormatError
	var other *UnsupportedError
	switch {
	case errors.As(err, &bad):
		bad.File = name
	case errors.As(err, &other):
		other.File = name
	}
	return err
}
