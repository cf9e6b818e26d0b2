package gguf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// Type is the type of a tensor's elements, with the number that ggml gives it.
type Type uint32

// The types whose elements this package reads. Files may have others.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// layout is how a type is stored: size bytes for each block of elements.
type layout struct {
	name        string
	block, size int
}

// layouts lists ggml's types (ggml.c, type_traits). Those that have been removed
// from ggml are missing.
var layouts = map[Type]layout{
	F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2}, 24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4}, 27: {"I64", 1, 8}, 28: {"F64", 1, 8},
	Q4_0: {"Q4_0", 32, 18}, Q4_1: {"Q4_1", 32, 20}, Q5_0: {"Q5_0", 32, 22}, Q5_1: {"Q5_1", 32, 24}, Q8_0: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36},
	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, Q4_K: {"Q4_K", 256, 144}, Q5_K: {"Q5_K", 256, 176}, Q6_K: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292},
	16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74}, 18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50}, 20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110},
	22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136}, 29: {"IQ1_M", 256, 56}, 34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66}, 39: {"MXFP4", 32, 17}, 40: {"NVFP4", 64, 36}, 41: {"Q1_0", 128, 18},
}

// String returns ggml's name of the type, such as "Q4_K".
func (t Type) String() string {
	if l, ok := layouts[t]; ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Block returns the elements of a block and its bytes; 0, 0 for an unknown type.
func (t Type) Block() (elements, bytes int) {
	l := layouts[t]
	return l.block, l.size
}

// Readable reports whether elements of the type can be read: see Dequantize.
func (t Type) Readable() bool { return decoders[t] != nil }

// ParseType returns the type with ggml's name.
func ParseType(name string) (Type, bool) {
	for t, l := range layouts {
		if l.name == name {
			return t, true
		}
	}
	return 0, false
}

// ParseWritable returns a type that can be written, by ggml's name in any case, or
// by PyTorch's.
func ParseWritable(name string) (Type, error) {
	known := map[string]string{"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
	t, ok := ParseType(cmp.Or(known[name], strings.ToUpper(name)))
	if !ok || !t.Writable() {
		return 0, fmt.Errorf("unknown element type %.80q: take %s", name, strings.ToLower(quote.Or(Writables())))
	}
	return t, nil
}

// names lists the names of types in the order of their numbers.
func names[F any](types map[Type]F) (list []string) {
	var order []Type
	for t := range types {
		order = append(order, t)
	}
	slices.Sort(order)
	for _, t := range order {
		list = append(list, t.String())
	}
	return list
}
