package onnx

import "fmt"

// DataType is TensorProto.DataType.
type DataType int32

// The element types.
const (
	Float          DataType = 1
	Uint8          DataType = 2
	Int8           DataType = 3
	Uint16         DataType = 4
	Int16          DataType = 5
	Int32          DataType = 6
	Int64          DataType = 7
	String         DataType = 8
	Bool           DataType = 9
	Float16        DataType = 10
	Double         DataType = 11
	Uint32         DataType = 12
	Uint64         DataType = 13
	Complex64      DataType = 14
	Complex128     DataType = 15
	BFloat16       DataType = 16
	Float8E4M3FN   DataType = 17
	Float8E4M3FNUZ DataType = 18
	Float8E5M2     DataType = 19
	Float8E5M2FNUZ DataType = 20
	Uint4          DataType = 21
	Int4           DataType = 22
	Float4E2M1     DataType = 23
	Float8E8M0     DataType = 24
	Uint2          DataType = 25
	Int2           DataType = 26
	Float6E2M3     DataType = 27
	Float6E3M2     DataType = 28
)

// dataTypes holds the name of each type, the bits of an element, and whether
// attnx supports it. A string has no fixed size.
var dataTypes = map[DataType]struct {
	name  string
	bits  int64
	taken bool
}{
	Float: {"float", 32, true}, Uint8: {"uint8", 8, true}, Int8: {"int8", 8, true}, Uint16: {"uint16", 16, true},
	Int16: {"int16", 16, true}, Int32: {"int32", 32, true}, Int64: {"int64", 64, true}, String: {"string", 0, false},
	Bool: {"bool", 8, true}, Float16: {"float16", 16, true}, Double: {"double", 64, true}, Uint32: {"uint32", 32, true},
	Uint64: {"uint64", 64, true}, Complex64: {"complex64", 64, false}, Complex128: {"complex128", 128, false},
	BFloat16: {"bfloat16", 16, true}, Float8E4M3FN: {"float8e4m3fn", 8, false}, Float8E4M3FNUZ: {"float8e4m3fnuz", 8, false},
	Float8E5M2: {"float8e5m2", 8, false}, Float8E5M2FNUZ: {"float8e5m2fnuz", 8, false}, Uint4: {"uint4", 4, false},
	Int4: {"int4", 4, false}, Float4E2M1: {"float4e2m1", 4, false}, Float8E8M0: {"float8e8m0", 8, false},
	Uint2: {"uint2", 2, false}, Int2: {"int2", 2, false}, Float6E2M3: {"float6e2m3", 6, false}, Float6E3M2: {"float6e3m2", 6, false},
}

// Size returns the bytes of one element; 0 if that is not a whole number.
func (t DataType) Size() int64 {
	if bits := dataTypes[t].bits; bits%8 == 0 {
		return bits / 8
	}
	return 0
}

// Known reports whether t is one of ONNX's element types.
func (t DataType) Known() bool {
	_, ok := dataTypes[t]
	return ok
}

// BytesOf returns the bytes of n elements; ok is false where the type has no fixed
// size, or they are more than 63 bits count.
func (t DataType) BytesOf(n int64) (size int64, ok bool) {
	bits := dataTypes[t].bits
	if bits == 0 || n > (1<<63-8)/bits {
		return 0, false
	}
	return (n*bits + 7) / 8, true
}

// Floating reports whether t is a floating-point type.
func (t DataType) Floating() bool {
	switch t {
	case Float, Double, Float16, BFloat16, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1, Float8E8M0, Float6E2M3, Float6E3M2:
		return true
	}
	return false
}

// String returns ONNX's name of t.
func (t DataType) String() string {
	if row, ok := dataTypes[t]; ok {
		return row.name
	}
	if t == 0 {
		return "undefined"
	}
	return fmt.Sprintf("DataType(%d)", int32(t))
}
