// Package ortadapter writes ONNX Runtime's adapter files (.onnx_adapter): the matrices
// of a LoRA, which replace inputs of a model of the same names when a run activates
// the adapter. The file is a flatbuffer of one schema
// (onnxruntime/lora/adapter_format/adapter_schema.fbs), so its few tables are written
// here by hand.
package ortadapter

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/attnx/attnx/format"
)

// The schema's identifier, version and number of float32, which is ONNX's.
const (
	identifier    = "TORT"
	formatVersion = 1
	float32Type   = 1
)

// Sizes in bytes.
const (
	word   = 4
	vtable = 12 // of both tables: its size, the table's, and the places of four fields
	table  = 20 // of both: the way to the vtable, and four fields
)

// maxFile bounds a file: its offsets have 32 bits, and readers take the upper half
// for negative.
const maxFile = math.MaxInt32

// Write writes float32 tensors as an adapter. version is the adapter's own, such as
// the steps of its training.
func Write(w io.Writer, tensors []format.Tensor, version int) error {
	head, data, err := layout(tensors, version)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	at := len(head)
	for i, t := range tensors {
		length := binary.LittleEndian.AppendUint32(make([]byte, data[i]-at), uint32(len(t.Data)))
		for _, part := range [][]byte{length, t.Data} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		at = data[i] + word + len(t.Data)
	}
	return nil
}

// layout returns a file without the elements of the tensors, which come at its end:
// every table precedes what it refers to, because offsets are positive. data are the
// places of the elements' lengths, after which they begin.
func layout(tensors []format.Tensor, version int) (head []byte, data []int, err error) {
	size := int64(0)
	for _, t := range tensors {
		if err := t.Check(); err != nil {
			return nil, nil, fmt.Errorf("adapter: %w", err)
		}
		if t.DType != format.Float32 {
			return nil, nil, fmt.Errorf("adapter: %.80q is %s: only float32 is written", t.Name, t.DType)
		}
		size += int64(len(t.Data)) + int64(len(t.Name)) + 128
	}
	if size > maxFile {
		return nil, nil, fmt.Errorf("adapter: its tensors have %d bytes, a file at most %d: take a smaller rank or fewer weights", size, maxFile)
	}
	b := make([]byte, 0, 4096)
	put32 := func(x int) { b = binary.LittleEndian.AppendUint32(b, uint32(x)) }
	put16 := func(x ...int) {
		for _, v := range x {
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		}
	}
	align := func(to, after int) { // the place after so many bytes
		for (len(b)+after)%to != 0 {
			b = append(b, 0)
		}
	}
	point := func(at, to int) { binary.LittleEndian.PutUint32(b[at:], uint32(to-at)) }

	put32(0) // the root
	b = append(b, identifier...)
	shape := len(b) // of both tables
	put16(vtable, table, 4, 8, 12, 16)
	align(word, 0)
	point(0, len(b))
	root := len(b)
	put32(root - shape)
	put32(formatVersion)
	put32(version)
	put32(0) // version of the model
	put32(0)
	point(root+16, len(b))
	put32(len(tensors))
	first := len(b)
	for range tensors {
		put32(0)
	}
	tables := make([]int, len(tensors))
	for i, t := range tensors {
		tables[i] = len(b)
		point(first+i*word, len(b))
		at := len(b)
		put32(at - shape)
		put32(0)           // name
		put32(0)           // dims
		put32(float32Type) // data_type
		put32(0)           // raw_data
		point(at+4, len(b))
		put32(len(t.Name))
		b = append(b, t.Name...)
		b = append(b, 0)
		align(8, word)
		point(at+8, len(b))
		put32(len(t.Shape))
		for _, n := range t.Shape {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
		align(word, 0)
	}
	end := len(b)
	for i, t := range tensors {
		end += (word - end%8 + 8) % 8 // the elements follow at a multiple of 8
		data = append(data, end)
		point(tables[i]+16, end)
		end += word + len(t.Data)
	}
	return b, data, nil
}
