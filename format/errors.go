package format

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// FormatError reports that a file is not valid safetensors, or that the input
// of a Writer would not give a valid file.
type FormatError struct {
	File   string // empty if the bytes are not from a file
	Tensor string // the tensor at fault; empty if no single one is
	Offset int64  // the byte at or before which the fault shows; -1: no single byte
	Reason string // what is wrong, in one line
}

func (e *FormatError) Error() string { return describe(e.File, e.Tensor, e.Offset, e.Reason) }

// UnsupportedError reports that a file is valid safetensors but uses a feature
// that this package does not read.
type UnsupportedError struct {
	File   string // empty if the bytes are not from a file
	Tensor string // the tensor that needs it
	Offset int64  // the byte of the file just after it
	Reason string // what is not supported, in one line
}

func (e *UnsupportedError) Error() string { return describe(e.File, e.Tensor, e.Offset, e.Reason) }

// SealError reports that a file has or had a seal and no longer matches it.
type SealError struct {
	File   string // empty if the bytes are not from a file
	Tensor string // the tensor that differs; SealName for the whole file
	Offset int64  // the byte at or after which the fault lies; -1: no single byte
	Reason string // what is wrong and what to do, in one line
}

func (e *SealError) Error() string { return describe(e.File, e.Tensor, e.Offset, e.Reason) }

func describe(file, tensor string, offset int64, reason string) string {
	if file == "" {
		file = "safetensors"
	}
	parts := []string{file}
	if tensor != "" {
		parts = append(parts, "tensor "+quote.String(tensor))
	}
	if offset >= 0 {
		parts = append(parts, fmt.Sprintf("byte %d", offset))
	}
	return strings.Join(append(parts, reason), ": ")
}
