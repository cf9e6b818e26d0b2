package read

import (
	"fmt"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// elementTypes maps ONNX's element types to the graph's.
var elementTypes = map[onnx.DataType]format.DType{
	onnx.Float: format.Float32, onnx.Double: format.Float64, onnx.Float16: format.Float16, onnx.BFloat16: format.BFloat16,
	onnx.Float8E4M3FN: format.Float8E4M3FN, onnx.Float8E4M3FNUZ: format.Float8E4M3FNUZ, onnx.Float8E5M2: format.Float8E5M2,
	onnx.Float8E5M2FNUZ: format.Float8E5M2FNUZ, onnx.Float8E8M0: format.Float8E8M0, onnx.Float4E2M1: format.Float4E2M1,
	onnx.Int64: format.Int64, onnx.Int32: format.Int32, onnx.Int16: format.Int16, onnx.Int8: format.Int8, onnx.Int4: format.Int4, onnx.Int2: format.Int2,
	onnx.Uint64: format.Uint64, onnx.Uint32: format.Uint32, onnx.Uint16: format.Uint16, onnx.Uint8: format.Uint8, onnx.Uint4: format.Uint4,
	onnx.Uint2: format.Uint2, onnx.Bool: format.Bool,
}

// elementType returns the graph's element type.
func elementType(t onnx.DataType) (format.DType, error) {
	if d, ok := elementTypes[t]; ok {
		return d, nil
	}
	return format.Invalid, fmt.Errorf("elements of type %s are not supported", t)
}

// ElementType returns the graph's type for an ONNX element type.
func ElementType(t onnx.DataType) (format.DType, error) { return elementType(t) }

// Tensor converts a tensor of the file to the graph's form. dir is the folder of
// the model's file. The result shares memory if elements are whole bytes.
func Tensor(t *onnx.Tensor, dir string) (format.Tensor, error) {
	dtype, err := elementType(t.DataType)
	if err != nil {
		return format.Tensor{}, fmt.Errorf("tensor %.80q: %w", t.Name, err)
	}
	data, err := t.Load(dir)
	if err != nil {
		return format.Tensor{}, err
	}
	out := format.Tensor{Name: t.Name, DType: dtype, Shape: make([]int, len(t.Dims)), Data: data}
	for i, d := range t.Dims {
		out.Shape[i] = int(d)
	}
	if bits, _ := dtype.Integer(); bits > 0 && bits < 8 {
		out.Data = unpacked(data, bits, out.Elements())
	}
	if dtype == format.Float4E2M1 {
		out.Data = unpacked(data, 4, out.Elements())
	}
	if out.Data == nil {
		out.Data = []byte{}
	}
	if err := out.Check(); err != nil {
		return out, err
	}
	return out, nil
}

// unpacked unpacks n elements of the given bits to one byte each. The first
// element is in the lowest bits.
func unpacked(packed []byte, bits, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		if at := i * bits; at/8 < len(packed) {
			out[i] = packed[at/8] >> (at % 8) & (1<<bits - 1)
		}
	}
	return out
}
