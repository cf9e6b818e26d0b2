package format

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/attnx/attnx/internal/quote"
)

// Limits of a file.
const (
	MaxHeader = 100_000_000 // bytes; as in the reference implementation
	MaxName   = 1024        // bytes of UTF-8; of a tensor or in the metadata
	MaxRank   = 64          // axes; the limit of NumPy
)

// TensorInfo describes a tensor, as in a header.
type TensorInfo struct {
	Name  string
	DType DType
	Shape []int // empty for a scalar
}

// bytes returns the size of the tensor's data; ok is false when the shape is
// negative, the element type unknown, or the size does not fit in an int.
func (t TensorInfo) bytes() (n int64, ok bool) {
	count, ok := Elements(t.Shape)
	size := t.DType.Size()
	if !ok || size == 0 || count > math.MaxInt/size {
		return 0, false
	}
	return int64(count) * int64(size), true
}

// Header is everything in a file except its data.
type Header struct {
	Metadata map[string]string
	Tensors  []TensorInfo // in the order of their data
}

// check returns the first reason for which a reader would refuse the header.
func (h Header) check() error {
	seen, folded := make(map[string]bool, len(h.Tensors)), map[string]string{}
	for _, t := range h.Tensors {
		reason, variant := badName(t.Name), caseVariant(t.Name, folded)
		_, sized := t.bytes()
		switch {
		case reason != "":
		case t.Name == metadataName:
			reason = "the name is taken by the metadata"
		case seen[t.Name]:
			reason = "the name is used twice"
		case variant != "":
			reason = variant
		case len(t.Shape) > MaxRank:
			reason = fmt.Sprintf("%d axes, at most %d", len(t.Shape), MaxRank)
		case sized && !t.DType.Stored():
			reason = fmt.Sprintf("elements of type %s are not kept in checkpoints", t.DType)
		case !sized:
			reason = fmt.Sprintf("%s%v has no size", t.DType, t.Shape)
		}
		if reason != "" {
			return &FormatError{Tensor: t.Name, Offset: -1, Reason: reason}
		}
		seen[t.Name] = true
	}
	for name, value := range h.Metadata {
		reason := badName(name)
		if reason == "" && !utf8.ValidString(value) {
			reason = "the value is not UTF-8"
		}
		if reason != "" {
			return &FormatError{Offset: -1, Reason: "metadata " + quote.String(name) + ": " + reason}
		}
	}
	return nil
}

// caseVariant describes a clash between name and an earlier name that differs
// only in case, or returns "". It adds name to before. A tool that ignores
// case, for example in file names, would confuse the two tensors.
func caseVariant(name string, before map[string]string) string {
	lower := strings.ToLower(name)
	if lower == metadataName {
		return "the name differs from " + metadataName + " in capitals only"
	}
	if other, ok := before[lower]; ok && other != name {
		return "the name differs from " + quote.String(other) + " in capitals only"
	}
	before[lower] = name
	return ""
}

// badName describes what is wrong with a name, or returns "". Names end up in
// paths, terminals and C strings of other tools.
func badName(name string) string {
	switch {
	case name == "":
		return "the name is empty"
	case len(name) > MaxName:
		return fmt.Sprintf("the name has %d bytes, at most %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return "the name is not UTF-8"
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Sprintf("the name has the control character %U", r)
		}
	}
	return ""
}
