package format

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// The fixed places of a file, in bytes.
const (
	lengthSize = 8    // the length word; the header begins after it
	pageSize   = 4096 // the data of a file written here begin at a multiple of it
)

// entry is a tensor with its place. begin and end count from the start of the
// data.
type entry struct {
	TensorInfo
	begin, end int64
}

// place gives each tensor its place, in the order given and without holes.
func place(tensors []TensorInfo) ([]entry, error) {
	entries := make([]entry, 0, len(tensors))
	at := int64(0)
	for _, t := range tensors {
		size, ok := t.bytes()
		if !ok || at > math.MaxInt64-size {
			return nil, &FormatError{Tensor: t.Name, Offset: -1, Reason: "the file would have more than 2^63 bytes"}
		}
		t.Shape = slices.Clone(t.Shape) // the caller's may change before the data are written
		entries = append(entries, entry{t, at, at + size})
		at += size
	}
	return entries, nil
}

// paddedHeader returns the length of a header whose JSON has n bytes: the data
// that follow it begin on a page.
func paddedHeader(n int) int {
	pages := (lengthSize + n + pageSize - 1) / pageSize
	return pages*pageSize - lengthSize
}

// checkPlaces sorts entries by their place and checks that they fill the data
// section, which has size bytes from the byte start of the file on.
func checkPlaces(entries []entry, start, size int64) error {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	at := int64(0)
	for _, e := range entries {
		var reason string
		switch {
		case e.begin > at:
			reason = fmt.Sprintf("a hole of %d bytes before its data", e.begin-at)
		case e.begin < at:
			reason = "its data overlap those of the tensor before"
		case e.end > size:
			reason = fmt.Sprintf("its data end %d bytes after the file: it is truncated, copy it again", e.end-size)
		}
		if reason != "" {
			return &FormatError{Tensor: e.Name, Offset: start + min(e.begin, size), Reason: reason}
		}
		at = e.end
	}
	if at != size {
		return &FormatError{Offset: start + at, Reason: fmt.Sprintf("%d bytes follow that belong to no tensor", size-at)}
	}
	return nil
}
