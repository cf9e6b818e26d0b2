package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/attnx/attnx/format"
)

// Write writes a tensor as a .npy file. Elements of a type that numpy does not
// have are written as one that holds the same numbers: bfloat16 and the smaller
// floating-point types as float32, integers of 2 and 4 bits as int8 or uint8.
func Write(w io.Writer, t format.Tensor) error {
	if err := t.Check(); err != nil {
		return err
	}
	t, err := widened(t)
	if err != nil {
		return err
	}
	var descr string
	for text, d := range numbers {
		if d == t.DType {
			descr = text
		}
	}
	order := "<"
	if t.DType.Size() == 1 {
		order = "|"
	}
	var shape strings.Builder
	for _, n := range t.Shape {
		fmt.Fprintf(&shape, "%d, ", n)
	}
	dims := shape.String()
	if len(t.Shape) > 1 {
		dims = strings.TrimSuffix(dims, ", ")
	}
	text := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, descr, strings.TrimSuffix(dims, " "))
	const start = len(magic) + 4
	text += strings.Repeat(" ", 63-(start+len(text))%64) + "\n" // the elements begin at a multiple of 64 bytes
	if _, err := w.Write(binary.LittleEndian.AppendUint16([]byte(magic+"\x01\x00"), uint16(len(text)))); err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	_, err = w.Write(t.Data)
	return err
}

// widened returns a tensor of a type that numpy has.
func widened(t format.Tensor) (format.Tensor, error) {
	if len(t.Shape) > maxRank {
		return t, fmt.Errorf("tensor %.80q: a .npy file has at most %d dimensions, it has %d", t.Name, maxRank, len(t.Shape))
	}
	bits, signed := t.DType.Integer()
	switch {
	case bits > 0 && bits < 8:
		data := make([]byte, len(t.Data))
		for i, b := range t.Data {
			high := b << (8 - bits)
			if data[i] = high >> (8 - bits); signed {
				data[i] = byte(int8(high) >> (8 - bits))
			}
		}
		t.Data, t.DType = data, format.Uint8
		if signed {
			t.DType = format.Int8
		}
	case t.DType.Float() && t.DType.Size() < 4 && t.DType != format.Float16:
		wide, _, err := t.Convert(format.Float32)
		return wide, err
	}
	return t, nil
}
