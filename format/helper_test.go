package format_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
)

// file puts a file together by hand: the length of header, header, and as many
// zero bytes of data.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	return append(b, make([]byte, data)...)
}

// write returns the file of the metadata and the tensors.
func write(t interface{ Fatal(...any) }, metadata map[string]string, tensors ...format.Tensor) []byte {
	h := format.Header{Metadata: metadata}
	for _, x := range tensors {
		h.Tensors = append(h.Tensors, format.TensorInfo{Name: x.Name, DType: x.DType, Shape: x.Shape})
	}
	var b bytes.Buffer
	w := format.NewWriter(&b, h)
	for _, x := range tensors {
		w.Add(x)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read returns everything that a file holds.
func read(b []byte) (map[string]string, []format.Tensor, error) {
	r, err := format.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	var tensors []format.Tensor
	for _, info := range r.Tensors() {
		x, err := r.Tensor(info.Name)
		if err != nil {
			return nil, nil, err
		}
		tensors = append(tensors, x)
	}
	return r.Metadata(), tensors, nil
}

// same reports whether two files' contents are the same.
func same(am map[string]string, a []format.Tensor, bm map[string]string, b []format.Tensor) bool {
	return maps.Equal(am, bm) && slices.EqualFunc(a, b, func(x, y format.Tensor) bool {
		return x.Name == y.Name && x.DType == y.DType && slices.Equal(x.Shape, y.Shape) && bytes.Equal(x.Data, y.Data)
	})
}

// mustRead is read of a file that is valid.
func mustRead(t *testing.T, b []byte) (map[string]string, []format.Tensor) {
	t.Helper()
	m, tensors, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	return m, tensors
}
