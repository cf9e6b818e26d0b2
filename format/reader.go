package format

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/attnx/attnx/internal/quote"
)

// Reader reads a file. It reads tensors on request, several at once, and
// compares each with its checksums. It is safe for concurrent use.
type Reader struct {
	r        io.ReaderAt
	name     string // the file's path, for errors; empty if the bytes are not from a file
	memory   []byte // the whole file, if it is in memory: tensors are views of it
	metadata map[string]string
	entries  []entry        // in data order, without padding and seal
	index    map[string]int // into entries, by name
	start    int64          // of the data
	seal     *Seal          // nil if the file has none
}

// NewReader reads and checks the header of a file of size bytes, and its seal
// if it has one. Its memory is proportional to these two. The error is a
// *FormatError for an invalid file, a *SealError for one that does not match
// its seal, and an *UnsupportedError for one that is valid but not supported.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	out, head, err := openPlain(r, size)
	if err != nil {
		return nil, err
	}
	if err := checkFeatures(out.metadata); err != nil {
		return nil, err
	}
	must, err := mustBeSealed(r, size, out)
	if err != nil {
		return nil, err
	}
	if must {
		out.entries, out.seal, err = openSeal(r, size, head, out.metadata, out.entries)
		if err != nil {
			return nil, err
		}
		out.number()
	}
	return out, nil
}

// openPlain reads a file as safetensors and ignores any seal. It also returns
// the file's first bytes.
func openPlain(r io.ReaderAt, size int64) (out *Reader, head []byte, err error) {
	if size < lengthSize {
		return nil, nil, &FormatError{Offset: 0, Reason: fmt.Sprintf("%d bytes are too few for a safetensors file", size)}
	}
	var word [lengthSize]byte
	if err := readFull(r, word[:], 0); err != nil {
		return nil, nil, err
	}
	n := binary.LittleEndian.Uint64(word[:])
	switch {
	case n > MaxHeader && isPointer(r, size):
		return nil, nil, &FormatError{Offset: 0, Reason: LFSPointer}
	case n > MaxHeader:
		return nil, nil, &FormatError{Offset: 0, Reason: fmt.Sprintf("a header of %d bytes, at most %d: it is not a safetensors file", n, MaxHeader)}
	case n > uint64(size-lengthSize):
		return nil, nil, &FormatError{Offset: 0, Reason: fmt.Sprintf("a header of %d bytes in a file of %d: it is truncated, or no safetensors file", n, size)}
	}
	head = make([]byte, lengthSize+n)
	if err := readFull(r, head, 0); err != nil {
		return nil, nil, err
	}
	metadata, entries, err := parseHeader(head[lengthSize:])
	if _, unsupported := err.(*UnsupportedError); err != nil && !unsupported {
		return nil, nil, err
	}
	start := int64(len(head))
	if bad := checkPlaces(entries, start, size-start); bad != nil {
		return nil, nil, bad
	}
	if err != nil {
		return nil, nil, err
	}
	out = &Reader{r: r, metadata: metadata, entries: entries, start: start}
	out.number()
	return out, head, nil
}

// isPointer reports whether a file of size bytes is a Git LFS pointer.
func isPointer(r io.ReaderAt, size int64) bool {
	head := make([]byte, min(size, MaxLFSPointer))
	return size <= MaxLFSPointer && readFull(r, head, 0) == nil && IsLFSPointer(head)
}

// Section returns the data of a tensor for reading parts of them. It compares
// nothing with a seal. ok is false if there is no such tensor.
func (r *Reader) Section(name string) (data *io.SectionReader, ok bool) {
	i, ok := r.index[name]
	if !ok {
		return nil, false
	}
	e := r.entries[i]
	return io.NewSectionReader(r.r, r.start+e.begin, e.end-e.begin), true
}

// number builds the index of the entries.
func (r *Reader) number() {
	r.index = make(map[string]int, len(r.entries))
	for i, e := range r.entries {
		r.index[e.Name] = i
	}
}

// NewMemoryReader is NewReader for a file in memory. Tensor data are views of
// b, not copies.
func NewMemoryReader(b []byte) (*Reader, error) {
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err == nil {
		r.memory = b
	}
	return r, err
}

// Metadata returns a copy of the header's strings, by name, without the names
// that belong to a sealed file. It is empty if the file has none.
func (r *Reader) Metadata() map[string]string {
	m := maps.Clone(r.metadata)
	if r.seal != nil {
		maps.DeleteFunc(m, func(name, _ string) bool { return formKey(name) })
	}
	return m
}

// Seal returns the file's seal, or nil if it has none.
func (r *Reader) Seal() *Seal { return r.seal }

// Tensors describes the tensors, in data order, without padding and seal.
func (r *Reader) Tensors() []TensorInfo {
	infos := make([]TensorInfo, len(r.entries))
	for i, e := range r.entries {
		infos[i] = e.TensorInfo
		infos[i].Shape = slices.Clone(e.Shape)
	}
	return infos
}

// SHA256 returns the digest of a tensor's bytes from the seal, without reading
// the tensor; ok is false if the file has no seal or no such tensor.
func (r *Reader) SHA256(name string) (d Digest, ok bool) {
	i, ok := r.index[name]
	if !ok || r.seal == nil {
		return d, false
	}
	return r.entries[i].sums.sha256, true
}

// Tensor loads one tensor; see Load.
func (r *Reader) Tensor(name string) (Tensor, error) {
	t, err := r.Load(name)
	if err != nil {
		return Tensor{}, err
	}
	return t[0], nil
}

// Load reads the named tensors on all processors. Their data are copies,
// unless the file is in memory. In a sealed file Load compares each tensor
// with its checksums: a mismatch gives a *SealError. A name that the file
// lacks gives a *FormatError.
func (r *Reader) Load(names ...string) ([]Tensor, error) {
	var out []Tensor
	var pieces []piece
	for _, name := range names {
		i, ok := r.index[name]
		if !ok {
			return nil, &FormatError{File: r.name, Tensor: name, Offset: -1, Reason: "the file has no tensor of this name"}
		}
		e := &r.entries[i]
		t := Tensor{Name: e.Name, DType: e.DType, Shape: slices.Clone(e.Shape)}
		if r.memory != nil {
			t.Data = r.memory[r.start+e.begin : r.start+e.end : r.start+e.end]
		} else {
			t.Data = make([]byte, e.end-e.begin)
		}
		out = append(out, t)
		for c := range chunks(e.end - e.begin) {
			at := c * chunkSize
			pieces = append(pieces, piece{e: e, into: t.Data[at:min(at+chunkSize, len(t.Data))], chunk: c})
		}
		if e.pad > 0 {
			pieces = append(pieces, piece{e: e, chunk: -1})
		}
	}
	err := each(len(pieces), func(i int) error { return r.read(pieces[i]) })
	if err != nil {
		return nil, inFile(r.name, err)
	}
	return out, nil
}

// piece is the unit of reading: a chunk of a tensor, or the padding after it
// (chunk -1).
type piece struct {
	e     *entry
	into  []byte
	chunk int
	hash  hash.Hash // also hashes the bytes; may be nil
}

// read fills a piece and checks it.
func (r *Reader) read(p piece) (err error) {
	if r.memory != nil {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() { err = cmp.Or(err, faulted(p.e.Name, recover())) }()
	}
	at := r.start + p.e.begin + int64(p.chunk)*chunkSize
	if p.chunk < 0 {
		at, p.into = r.start+p.e.end, make([]byte, p.e.pad)
	}
	if r.memory == nil || p.chunk < 0 {
		if err := readFull(r.r, p.into, at); err != nil {
			var bad *FormatError
			if errors.As(err, &bad) {
				bad.Tensor = p.e.Name
				return bad
			}
			return fmt.Errorf("tensor %s: %w", quote.String(p.e.Name), err)
		}
	}
	if p.hash != nil {
		p.hash.Write(p.into)
	}
	switch {
	case r.seal == nil:
	case p.chunk < 0:
		if i := slices.IndexFunc(p.into, func(b byte) bool { return b != 0 }); i >= 0 {
			return &SealError{Tensor: p.e.Name, Offset: at + int64(i), Reason: "the padding after it is not zero: " + copyAgain}
		}
	case crc32.Checksum(p.into, castagnoli) != p.e.sums.crc32c[p.chunk]:
		return &SealError{Tensor: p.e.Name, Offset: at, Reason: fmt.Sprintf("its %d bytes from there on do not match their checksum: %s", len(p.into), copyAgain)}
	}
	return nil
}

// faulted converts the fault of reading a truncated mapped file to an error.
// It passes on any other panic.
func faulted(tensor string, panicked any) error {
	if panicked == nil {
		return nil
	}
	if _, ok := panicked.(interface{ Addr() uintptr }); !ok {
		panic(panicked)
	}
	return &FormatError{Tensor: tensor, Offset: -1, Reason: "the file became shorter while it was read"}
}

// Verify reads the whole file and compares every tensor with both its SHA-256
// and its CRC-32C. A file without a seal gives a *SealError. It needs 1 MiB of
// memory for each processor.
func (r *Reader) Verify() error {
	if r.seal == nil {
		return &SealError{File: r.name, Offset: -1, Reason: "the file has no seal to compare it with: reseal it to add one"}
	}
	buffers := sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}
	err := each(len(r.entries), func(i int) error {
		e := &r.entries[i]
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		p := piece{e: e, hash: sha256.New()}
		for p.chunk = range chunks(e.end - e.begin) {
			from := e.begin + int64(p.chunk)*chunkSize
			n := min(chunkSize, e.end-from)
			if p.into = (*buffer)[:n]; r.memory != nil {
				p.into = r.memory[r.start+from:][:n]
			}
			if err := r.read(p); err != nil {
				return err
			}
		}
		if Digest(p.hash.Sum(nil)) != e.sums.sha256 {
			return &SealError{Tensor: e.Name, Offset: r.start + e.begin, Reason: "its bytes do not match their SHA-256: " + copyAgain}
		}
		if e.pad > 0 {
			return r.read(piece{e: e, chunk: -1})
		}
		return nil
	})
	return inFile(r.name, err)
}

// each calls do for every i below n, on all processors, and returns the error
// of the lowest i. After an error it starts no more calls.
func each(n int, do func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			if err := do(i); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	first, err := n, error(nil)
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				bad := do(i)
				if bad == nil {
					continue
				}
				next.Store(int64(n))
				mu.Lock()
				if i < first {
					first, err = i, bad
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return err
}

// readFull fills b from byte at of r.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := io.ReadFull(io.NewSectionReader(r, at, math.MaxInt64-at), b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &FormatError{Offset: at + int64(n), Reason: "the file ends here: it became shorter while it was read"}
	}
	return err
}
