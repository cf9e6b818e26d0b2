package onnx

import (
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// Encode writes the tensor as a file of its own, a TensorProto. Its elements must
// be in it.
func (t *Tensor) Encode(w io.Writer) error {
	for _, part := range t.message().parts {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// DecodeTensor reads a file with a single TensorProto, such as the inputs and
// outputs of ONNX's test data. Elements stored as raw bytes share memory with
// data.
func DecodeTensor(data []byte) (*Tensor, error) {
	if len(data) > maxFile {
		return nil, &FormatError{Offset: -1, Reason: "it is more than protobuf can hold"}
	}
	d, t := newDecoder(len(data)), &Tensor{}
	if err := d.tensor(field{decoder: d, bytes: data, typ: protowire.BytesType}, t, "tensor"); err != nil {
		return nil, err
	}
	if len(d.doubts) > 0 {
		return nil, d.doubts[0]
	}
	return t, nil
}
