package tokens

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// FormatError says that a tokenizer.json is not valid.
type FormatError struct {
	Path   string // place in the JSON, such as model.merges[3]; empty for the file as a whole
	Reason string
}

func (e *FormatError) Error() string {
	return "tokenizer.json: not valid: " + at(e.Path) + e.Reason
}

// UnsupportedError says that a tokenizer.json is valid but describes
// something that this package does not do.
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
	return clip(path) + ": "
}

func invalid(path, reason string, args ...any) error {
	return &FormatError{Path: path, Reason: fmt.Sprintf(reason, args...)}
}

func unsupported(path, reason string, args ...any) error {
	return &UnsupportedError{Path: path, Reason: fmt.Sprintf(reason, args...)}
}

// clip makes what a file put into an error fit into a line: a hostile token
// may have megabytes, newlines, or commands for the terminal.
func clip(s string) string {
	const limit = 120
	more := len(s) > limit
	if more {
		cut := limit
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if more {
		s += "…"
	}
	return s
}
