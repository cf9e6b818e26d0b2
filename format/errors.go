package format

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// FormatError says that a file is not a valid safetensors file, or that what a
// Writer was given would not become one.
type FormatError struct {
	File   string // empty when the bytes came from elsewhere
	Tensor string // the tensor at fault, empty if none is
	Offset int64  // the byte of the file at or before which the fault shows; -1: no one byte
	Reason string // what is wrong, in one line
}

func (e *FormatError) Error() string { return describe(e.File, e.Tensor, e.Offset, e.Reason) }

// UnsupportedError says that a file is valid safetensors but holds something
// that this package does not read.
type UnsupportedError struct {
	File   string // empty when the bytes came from elsewhere
	Tensor string // the tensor that asks for it
	Offset int64  // the byte of the file before which it stands
	Reason string // what is not supported, in one line
}

func (e *UnsupportedError) Error() string { return describe(e.File, e.Tensor, e.Offset, e.Reason) }

// SealError says that a file has a seal, or had one, and is not what was
// sealed.
type SealError struct {
	File   string // empty when the bytes came from elsewhere
	Tensor string // the tensor that differs; SealName when the file as a whole does
	Offset int64  // the byte of the file at or after which the fault lies; -1: no one byte
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
