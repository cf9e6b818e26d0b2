package format

import (
	"fmt"
	"io"
	"slices"
)

// Writer writes a file in one pass, so that it works to a pipe. It keeps its
// first error, which Close returns.
type Writer struct {
	w    io.Writer
	todo []entry // what is to be added yet
	err  error
}

// NewWriter writes the header to w and returns a Writer of the data: the
// header's tensors must then be added in the header's order. The header is
// checked before its first byte is written.
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

// Add writes the next tensor. Its name, element type and shape must be those
// of the header.
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
		w.refuse(t, fmt.Sprintf("%s%v was added where the header has %s %s%v", t.DType, t.Shape, quoted(want.Name), want.DType, want.Shape))
		return
	}
	if w.err = t.Check(); w.err != nil {
		return
	}
	w.todo = w.todo[1:]
	w.write(t.Data)
}

// Close returns the first error, or says which tensor was not added. It does
// not close the underlying io.Writer.
func (w *Writer) Close() error {
	if w.err == nil && len(w.todo) > 0 {
		w.refuse(Tensor{Name: w.todo[0].Name}, "the header has it, but it was not added")
	}
	return w.err
}

func (w *Writer) refuse(t Tensor, reason string) {
	w.err = &FormatError{Tensor: t.Name, Offset: -1, Reason: reason}
}

func (w *Writer) write(b []byte) {
	n, err := w.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	w.err = err
}
