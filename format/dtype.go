package format

import "fmt"

// DType is the element type of a tensor. Its String is the name safetensors uses.
type DType uint8

// Element types. Those from Float4E2M1 on exist in memory only (see Stored).
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
	Float8E4M3FN
	Float8E4M3FNUZ
	Float8E5M2
	Float8E5M2FNUZ
	Float8E8M0
	Float4E2M1 // from here on: one byte an element
	Int4
	Uint4
	Int2
	Uint2
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

	Float8E4M3FN:   {"F8_E4M3", 1},
	Float8E4M3FNUZ: {"F8_E4M3FNUZ", 1},
	Float8E5M2:     {"F8_E5M2", 1},
	Float8E5M2FNUZ: {"F8_E5M2FNUZ", 1},
	Float8E8M0:     {"F8_E8M0", 1},
	Float4E2M1:     {"F4", 1},
	Int4:           {"I4", 1},
	Uint4:          {"U4", 1},
	Int2:           {"I2", 1},
	Uint2:          {"U2", 1},
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

// Stored reports whether a checkpoint can hold elements of type d.
func (d DType) Stored() bool { return d >= Float64 && d <= Bool }

// Float reports whether d is a floating-point type.
func (d DType) Float() bool {
	return d >= Float64 && d <= BFloat16 || d >= Float8E4M3FN && d <= Float4E2M1
}

// Integer returns the bits of an integer type and whether it has a sign; 0 bits
// for any other type.
func (d DType) Integer() (bits int, signed bool) {
	switch d {
	case Int64, Int32, Int16, Int8:
		return 8 * d.Size(), true
	case Uint64, Uint32, Uint16, Uint8:
		return 8 * d.Size(), false
	case Int4, Uint4:
		return 4, d == Int4
	case Int2, Uint2:
		return 2, d == Int2
	}
	return 0, false
}

// ParseDType returns the type with the given name: the safetensors name if the
// type has one.
func ParseDType(name string) (DType, bool) {
	for d := Float64; int(d) < len(dtypes); d++ {
		if dtypes[d].name == name {
			return d, true
		}
	}
	return Invalid, false
}
