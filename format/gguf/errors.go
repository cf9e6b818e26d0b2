package gguf

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// FormatError reports that a file is not valid GGUF, or that what is to be
// written would not give a valid file.
type FormatError struct {
	File   string // empty if the bytes are not from a file
	Name   string // of the tensor or the metadata at fault; empty if no single one is
	Offset int64  // the byte at or before which the fault shows; -1: no single byte
	Reason string // what is wrong and what to do, in one line
}

func (e *FormatError) Error() string { return describe(e.File, e.Name, e.Offset, e.Reason) }

// UnsupportedError reports that a file is valid GGUF but has something that this
// package does not read.
type UnsupportedError struct {
	File   string // empty if the bytes are not from a file
	Name   string // the tensor that needs it; empty if the whole file does
	Reason string // what is not supported and what to do, in one line
}

func (e *UnsupportedError) Error() string { return describe(e.File, e.Name, -1, e.Reason) }

func describe(file, name string, offset int64, reason string) string {
	if file == "" {
		file = "gguf"
	}
	parts := []string{file}
	if name != "" {
		parts = append(parts, quote.String(name))
	}
	if offset >= 0 {
		parts = append(parts, fmt.Sprintf("byte %d", offset))
	}
	return strings.Join(append(parts, reason), ": ")
}

// again is the remedy for a damaged file.
const again = "the file is damaged or cut short; take another copy"
