package format

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The fixed places of a file, in bytes.
const (
	lengthSize = 8    // the length word; the header begins after it
	pageSize   = 4096 // the data of a file written here begin at a multiple of it
	alignment  = 256  // the tensors of a sealed file begin at multiples of it: what CUDA libraries ask of weights
)

// The names that order a file. They are the same in every version.
const (
	MomentPrefix = "optim."      // of the optimizer's moments
	BlobPrefix   = "attnx.blob." // of bytes that are no numbers
	SealName     = "attnx.seal"
	padPrefix    = "attnx.pad."
)

// CompareNames orders names as the tensors of a sealed file are ordered:
// weights, then optimizer moments, then blobs; by their bytes within each.
func CompareNames(a, b string) int {
	return cmp.Or(cmp.Compare(section(a), section(b)), strings.Compare(a, b))
}

func section(name string) int {
	switch {
	case strings.HasPrefix(name, MomentPrefix):
		return 1
	case strings.HasPrefix(name, BlobPrefix):
		return 2
	}
	return 0
}

// Reserved reports whether a tensor of this name is not a weight: it belongs to
// the form of a sealed file, or is a blob or an optimizer's moment.
func Reserved(name string) bool { return reserved(name) || section(name) > 0 }

// reserved reports whether a name belongs to the form of a sealed file.
func reserved(name string) bool { return name == SealName || strings.HasPrefix(name, padPrefix) }

// entry is a tensor with its place. begin and end count from the start of the
// data.
type entry struct {
	TensorInfo
	begin, end int64
	sums       *sums // nil in a file without a seal
	pad        int64 // zero bytes that follow
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
		entries = append(entries, entry{TensorInfo: t, begin: at, end: at + size})
		at += size
	}
	return entries, nil
}

// Offsets returns where the data of each tensor begin in the file that
// NewWriter writes for a header, in bytes from the start of the file. Whoever
// refers to them from elsewhere knows the places before the file is there.
func Offsets(h Header) ([]int64, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	entries, err := place(h.Tensors)
	if err != nil {
		return nil, err
	}
	head, err := encodeHeader(h.Metadata, entries)
	if err != nil {
		return nil, err
	}
	offsets := make([]int64, len(entries))
	for i, e := range entries {
		offsets[i] = int64(len(head)) + e.begin
	}
	return offsets, nil
}

// sealedTensors returns the tensors of a sealed file, padding and seal
// included. Those given must be in canonical order.
func sealedTensors(tensors []TensorInfo) []TensorInfo {
	var all []TensorInfo
	pads := 0
	for _, t := range tensors {
		all = append(all, t)
		size, _ := t.bytes()
		if n := padding(size); n > 0 {
			all = append(all, TensorInfo{Name: padPrefix + strconv.Itoa(pads), DType: Uint8, Shape: []int{int(n)}})
			pads++
		}
	}
	return append(all, TensorInfo{Name: SealName, DType: Uint8, Shape: []int{sealSize(tensors)}})
}

// padding returns the bytes from the end of a tensor of so many bytes to the
// beginning of the next.
func padding(size int64) int64 { return (alignment - size%alignment) % alignment }

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
