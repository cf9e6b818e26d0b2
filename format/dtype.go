package format

import "fmt"

// DType is the element type of a tensor. Its String is the name safetensors uses.
type DType uint8

// The element types that a checkpoint can hold.
const (
	Invalid DType = iota
	Float64
	Float32
	Float16
	BFloat16
	Int64
	Int32
	Int16
	Int8
	Uint64
	Uint32
	Uint16
	Uint8
	Bool
)

// dtypes is the one table of names and sizes, indexed by DType.
var dtypes = [...]struct {
	name string
	size int // bytes per element
}{
	Invalid:  {"invalid", 0},
	Float64:  {"F64", 8},
	Float32:  {"F32", 4},
	Float16:  {"F16", 2},
	BFloat16: {"BF16", 2},
	Int64:    {"I64", 8},
	Int32:    {"I32", 4},
	Int16:    {"I16", 2},
	Int8:     {"I8", 1},
	Uint64:   {"U64", 8},
	Uint32:   {"U32", 4},
	Uint16:   {"U16", 2},
	Uint8:    {"U8", 1},
	Bool:     {"BOOL", 1},
}

// Size returns the bytes one element takes, 0 for Invalid.
func (d DType) Size() int {
	if int(d) < len(dtypes) {
		return dtypes[d].size
	}
	return 0
}

// String returns the safetensors name of d, such as "F32".
func (d DType) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// Float reports whether d is a floating-point type.
func (d DType) Float() bool { return d >= Float64 && d <= BFloat16 }

// ParseDType returns the type with the given safetensors name.
func ParseDType(name string) (DType, bool) {
	for d := Float64; int(d) < len(dtypes); d++ {
		if dtypes[d].name == name {
			return d, true
		}
	}
	return Invalid, false
}
