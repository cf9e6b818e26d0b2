package onnx

import "google.golang.org/protobuf/encoding/protowire"

// DecodeTensor reads a file with a single TensorProto, such as the inputs and
// outputs of ONNX's test data. Elements stored as raw bytes share memory with
// data.
func DecodeTensor(data []byte) (*Tensor, error) {
	if len(data) > maxFile {
		return nil, &FormatError{Offset: -1, Reason: "it is more than protobuf can hold"}
	}
	d, t := newDecoder(len(data)), &Tensor{}
	if err := d.tensor(field{bytes: data, typ: protowire.BytesType}, t, "tensor"); err != nil {
		return nil, err
	}
	if len(d.doubts) > 0 {
		return nil, d.doubts[0]
	}
	return t, nil
}
