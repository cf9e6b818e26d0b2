package format

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Fixed sizes and alignments of a file, in bytes.
const (
	lengthSize = 8    // length of the header's length; the header follows
	pageSize   = 4096 // data start at a multiple of it
	alignment  = 256  // tensors of a sealed file start at multiples of it, as CUDA libraries expect of weights
)

// Prefixes that sort names into sections. They are the same in every version.
const (
	MomentPrefix = "optim."      // optimizer moments
	BlobPrefix   = "attnx.blob." // bytes of another format
	SealName     = "attnx.seal"
	padPrefix    = "attnx.pad."
)

// CompareNames orders names as a sealed file orders its tensors: weights, then
// optimizer moments, then blobs; by bytes within each section.
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

// Reserved reports whether a tensor of this name is not a weight: it is part
// of the seal, a blob or an optimizer moment.
func Reserved(name string) bool { return reserved(name) || section(name) > 0 }

// reserved reports whether a name belongs to padding or seal.
func reserved(name string) bool { return name == SealName || strings.HasPrefix(name, padPrefix) }

// entry is a tensor with its place. begin and end count from the start of the
// data.
type entry struct {
	TensorInfo
	begin, end int64
	sums       *sums // nil in a file without a seal
	pad        int64 // zero bytes after it
}

// place assigns each tensor its place, in the given order and without holes.
func place(tensors []TensorInfo) ([]entry, error) {
	entries := make([]entry, 0, len(tensors))
	at := int64(0)
	for _, t := range tensors {
		size, ok := t.bytes()
		if !ok || at > math.MaxInt64-size {
			return nil, &FormatError{Tensor: t.Name, Offset: -1, Reason: "the file would have more than 2^63 bytes"}
		}
		t.Shape = slices.Clone(t.Shape) // the caller may change its slice before the data are written
		entries = append(entries, entry{TensorInfo: t, begin: at, end: at + size})
		at += size
	}
	return entries, nil
}

// Offsets returns where the data of each tensor start in the file that
// NewWriter writes for a header, in bytes from the start of the file. A caller
// can refer to these places before the file exists.
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

// sealedTensors returns the tensors of a sealed file, including padding and
// seal. The input must be in canonical order.
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

// padding returns the bytes between the end of a tensor of the given size and
// the start of the next.
func padding(size int64) int64 { return (alignment - size%alignment) % alignment }

// paddedHeader returns the padded length of a header with n bytes of JSON, so
// that the data start on a page.
func paddedHeader(n int) int {
	pages := (lengthSize + n + pageSize - 1) / pageSize
	return pages*pageSize - lengthSize
}

// checkPlaces sorts entries by place and checks that they fill the data
// section, which has size bytes from byte start of the file.
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
			reason = "its data overlap the data of the tensor before"
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
