package format

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/attnx/attnx/internal/quote"
)

// Writer writes a file in one pass, so it can write to a pipe. It keeps its
// first error, which Close returns.
type Writer struct {
	w    io.Writer
	todo []entry // not yet added
	err  error
	seal *sealer // nil for a plain file
	done *Seal   // the seal that Close wrote
}

// NewWriter writes the header to w and returns a Writer for a plain
// safetensors file, without padding or seal. It checks the header before it
// writes the first byte. The caller must then add the tensors in the header's
// order.
func NewWriter(w io.Writer, h Header) *Writer {
	fw := &Writer{w: w}
	if fw.err = h.check(); fw.err != nil {
		return fw
	}
	if fw.todo, fw.err = place(h.Tensors); fw.err != nil {
		return fw
	}
	head, err := encodeHeader(h.Metadata, fw.todo)
	if fw.err = err; err == nil {
		fw.write(head)
	}
	return fw
}

// sealer collects the contents of the seal. It hashes several tensors at once,
// concurrently with writing.
type sealer struct {
	head     []byte
	metadata map[string]string
	entries  []entry // with sums, once the jobs have finished
	size     int64   // of the file
	jobs     sync.WaitGroup
	free     chan struct{} // one slot for each running job
}

// NewSealedWriter is NewWriter for a sealed file. The header's tensors must be
// in the order of CompareNames. Do not change a tensor's data between Add and
// Close.
func NewSealedWriter(w io.Writer, h Header) *Writer {
	fw := &Writer{w: w}
	if fw.err = h.checkSealed(); fw.err != nil {
		return fw
	}
	metadata := withForm(h.Metadata)
	head, all, size, err := sealedLayout(metadata, h.Tensors)
	if fw.err = err; err != nil {
		return fw
	}
	for _, e := range all {
		if !reserved(e.Name) {
			e.pad = padding(e.end - e.begin)
			fw.todo = append(fw.todo, e)
		}
	}
	fw.seal = &sealer{
		head: head, metadata: metadata, entries: slices.Clone(fw.todo),
		size: size,
		free: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	fw.write(head)
	return fw
}

// WriteSealed sorts the tensors and writes them to a sealed file.
func WriteSealed(w io.Writer, metadata map[string]string, tensors []Tensor) error {
	sorted := slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int { return CompareNames(a.Name, b.Name) })
	h := Header{Metadata: metadata}
	for _, t := range sorted {
		h.Tensors = append(h.Tensors, t.Info())
	}
	fw := NewSealedWriter(w, h)
	for _, t := range sorted {
		fw.Add(t)
	}
	return fw.Close()
}

// SealedSize returns the size in bytes of the file that WriteSealed would
// write.
func SealedSize(metadata map[string]string, tensors []TensorInfo) (int64, error) {
	h := Header{Metadata: metadata, Tensors: slices.SortedFunc(slices.Values(tensors), func(a, b TensorInfo) int { return CompareNames(a.Name, b.Name) })}
	if err := h.checkSealed(); err != nil {
		return 0, err
	}
	_, _, size, err := sealedLayout(withForm(metadata), h.Tensors)
	return size, err
}

// checkSealed is check, and rejects names reserved for sealed files.
func (h Header) checkSealed() error {
	if err := h.check(); err != nil {
		return err
	}
	for _, t := range h.Tensors {
		if reserved(t.Name) {
			return &FormatError{Tensor: t.Name, Offset: -1, Reason: "the name is reserved for sealed files"}
		}
	}
	for name := range maps.Keys(h.Metadata) {
		if formKey(name) {
			return &FormatError{Offset: -1, Reason: "metadata " + quote.String(name) + ": the name is reserved for sealed files"}
		}
	}
	return nil
}

// Add writes the next tensor. Name, element type and shape must match the
// header.
func (w *Writer) Add(t Tensor) {
	if w.err != nil {
		return
	}
	if len(w.todo) == 0 {
		w.refuse(t, "the header has no further tensor")
		return
	}
	want := w.todo[0]
	if t.Name != want.Name || t.DType != want.DType || !slices.Equal(t.Shape, want.Shape) {
		w.refuse(t, fmt.Sprintf("%s%v was added, but the header has %s %s%v", t.DType, t.Shape, quote.String(want.Name), want.DType, want.Shape))
		return
	}
	if w.err = t.Check(); w.err != nil {
		return
	}
	if s := w.seal; s != nil {
		e := &s.entries[len(s.entries)-len(w.todo)]
		s.free <- struct{}{}
		s.jobs.Go(func() {
			e.sums = sum(t.Data)
			<-s.free
		})
	}
	w.todo = w.todo[1:]
	w.write(t.Data)
	if want.pad > 0 {
		w.write(make([]byte, want.pad))
	}
}

// Copy writes the data of the next tensor of a plain file from r, which may have
// more bytes than fit into memory.
func (w *Writer) Copy(r io.Reader) {
	switch {
	case w.err != nil:
		return
	case len(w.todo) == 0:
		w.refuse(Tensor{}, "the header has no further tensor")
		return
	case w.seal != nil:
		w.refuse(Tensor{Name: w.todo[0].Name}, "the tensors of a sealed file are added whole")
		return
	}
	size := w.todo[0].end - w.todo[0].begin
	if _, w.err = io.CopyN(w.w, r, size); w.err == io.EOF {
		w.refuse(Tensor{Name: w.todo[0].Name}, fmt.Sprintf("its data have fewer than %d bytes", size))
	}
	w.todo = w.todo[1:]
}

// summed returns the entries of a sealed file with their sums, or nil if a
// tensor is missing.
func (w *Writer) summed() []entry {
	if w.seal == nil {
		return nil
	}
	w.seal.jobs.Wait()
	return w.seal.entries
}

// Close writes the seal of a sealed file. It returns the first error, or one
// for a tensor that was not added. It does not close the underlying io.Writer.
func (w *Writer) Close() error {
	entries := w.summed()
	if w.err == nil && len(w.todo) > 0 {
		w.refuse(Tensor{Name: w.todo[0].Name}, "the header declares it, but it was not added")
	}
	if s := w.seal; s != nil && w.err == nil {
		all := make([]*sums, len(entries))
		for i, e := range entries {
			all[i] = e.sums
		}
		content := contentID(s.metadata, entries)
		seal, root := encodeSeal(s.head, s.size, content, all)
		w.write(seal)
		w.seal, w.done = nil, &Seal{Root: root, ContentID: content} // a second Close writes no seal
	}
	return w.err
}

// Seal returns the seal that Close wrote; nil before Close and for a plain
// file.
func (w *Writer) Seal() *Seal { return w.done }

func (w *Writer) refuse(t Tensor, reason string) {
	w.err = &FormatError{Tensor: t.Name, Offset: -1, Reason: reason}
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	w.err = err
}
