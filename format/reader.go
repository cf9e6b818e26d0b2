package format

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// Reader reads a file. Tensors are read when they are asked for. It may be used
// from several goroutines if its io.ReaderAt may.
type Reader struct {
	r        io.ReaderAt
	metadata map[string]string
	entries  []entry        // in the order of their data
	index    map[string]int // into entries, by name
	start    int64          // of the data
}

// NewReader reads and checks the header of a file of size bytes. It takes
// memory in proportion to the header only. A file that is not valid gives a
// *FormatError, one that is valid but not supported an *UnsupportedError.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	if size < lengthSize {
		return nil, &FormatError{Offset: 0, Reason: fmt.Sprintf("%d bytes are too few for a safetensors file", size)}
	}
	var word [lengthSize]byte
	if err := readFull(r, word[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(word[:])
	switch {
	case n > MaxHeader:
		return nil, &FormatError{Offset: 0, Reason: fmt.Sprintf("a header of %d bytes, at most %d: it is no safetensors file", n, MaxHeader)}
	case n > uint64(size-lengthSize):
		return nil, &FormatError{Offset: 0, Reason: fmt.Sprintf("a header of %d bytes in a file of %d: it is truncated, or no safetensors file", n, size)}
	}
	text := make([]byte, n)
	if err := readFull(r, text, lengthSize); err != nil {
		return nil, err
	}
	metadata, entries, err := parseHeader(text)
	if _, unsupported := err.(*UnsupportedError); err != nil && !unsupported {
		return nil, err
	}
	start := lengthSize + int64(n)
	if bad := checkPlaces(entries, start, size-start); bad != nil {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	index := make(map[string]int, len(entries))
	for i, e := range entries {
		index[e.Name] = i
	}
	return &Reader{r: r, metadata: metadata, entries: entries, index: index, start: start}, nil
}

// Metadata returns a copy of the header's strings, by name. It is empty when
// the file has none.
func (r *Reader) Metadata() map[string]string { return maps.Clone(r.metadata) }

// Tensors describes the tensors, in the order of their data.
func (r *Reader) Tensors() []TensorInfo {
	infos := make([]TensorInfo, len(r.entries))
	for i, e := range r.entries {
		infos[i] = e.TensorInfo
		infos[i].Shape = slices.Clone(e.Shape)
	}
	return infos
}

// Tensor reads the tensor of the given name into memory of its own. A name that
// the file lacks gives a *FormatError.
func (r *Reader) Tensor(name string) (Tensor, error) {
	i, ok := r.index[name]
	if !ok {
		return Tensor{}, &FormatError{Tensor: name, Offset: -1, Reason: "the file has no tensor of this name"}
	}
	e := r.entries[i]
	t := Tensor{Name: e.Name, DType: e.DType, Shape: slices.Clone(e.Shape), Data: make([]byte, e.end-e.begin)}
	if err := readFull(r.r, t.Data, r.start+e.begin); err != nil {
		if bad, ok := err.(*FormatError); ok {
			bad.Tensor = name
			return Tensor{}, bad
		}
		return Tensor{}, fmt.Errorf("tensor %s: %w", quoted(name), err)
	}
	return t, nil
}

// readFull fills b from the byte at on.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := io.ReadFull(io.NewSectionReader(r, at, math.MaxInt64-at), b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &FormatError{Offset: at + int64(n), Reason: "the file ends here: it became shorter while it was read"}
	}
	return err
}
