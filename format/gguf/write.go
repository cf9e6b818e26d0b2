package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/attnx/attnx/format"
)

// Write writes a file whose tensors are in memory: see WriteFrom.
func Write(w io.Writer, metadata []Entry, tensors []Tensor) error {
	infos := make([]Info, len(tensors))
	for k, t := range tensors {
		infos[k] = t.Info
	}
	return WriteFrom(w, metadata, infos, func(k int) ([]byte, error) { return tensors[k].Data, nil })
}

// WriteFrom writes a file of version 3. The bytes of one tensor after the other
// come from data, so that not all are in memory. The same metadata and tensors, in the same
// order, give the same bytes. The alignment is that of the metadata, 32 without
// one. It rejects what Read would reject.
func WriteFrom(w io.Writer, metadata []Entry, tensors []Info, data func(k int) ([]byte, error)) error {
	head := append([]byte(magic), 3, 0, 0, 0)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(tensors)))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(metadata)))
	alignment := int64(defaultAlignment)
	keys := map[string]bool{}
	for _, e := range metadata {
		if err := checkLabel(e.Key, keys); err != nil {
			return err
		}
		if e.Key == alignmentKey {
			n, ok := e.Value.(uint32)
			if !ok || bits.OnesCount32(n) != 1 || n > 1<<30 {
				return &FormatError{"", e.Key, -1, fmt.Sprintf("it is %d of type %T: give a power of 2 of type uint32", n, e.Value)}
			}
			alignment = int64(n)
		}
		kind, value, err := appendValue(nil, e.Value, 0)
		if err != nil {
			return &FormatError{"", e.Key, -1, err.Error()}
		}
		head = append(binary.LittleEndian.AppendUint32(appendString(head, e.Key), kind), value...)
	}
	offset, names := int64(0), map[string]bool{}
	for _, t := range tensors {
		if err := checkLabel(t.Name, names); err != nil {
			return err
		}
		size, err := t.bytes()
		if err != nil {
			return &FormatError{"", t.Name, -1, err.Error()}
		}
		head = binary.LittleEndian.AppendUint32(appendString(head, t.Name), uint32(len(t.Shape)))
		for a := range t.Shape {
			head = binary.LittleEndian.AppendUint64(head, uint64(t.Shape[len(t.Shape)-1-a]))
		}
		head = binary.LittleEndian.AppendUint32(head, uint32(t.Type))
		head = binary.LittleEndian.AppendUint64(head, uint64(offset))
		offset = aligned(offset+size, alignment)
	}
	if len(head) > MaxHeader {
		return &FormatError{"", "", -1, fmt.Sprintf("metadata of %d bytes, at most %d are possible: leave some out", len(head), MaxHeader)}
	}
	out := bufio.NewWriter(w)
	pad := func(n int64) {
		for range aligned(n, alignment) - n {
			out.WriteByte(0)
		}
	}
	out.Write(head) // Flush returns the first error
	pad(int64(len(head)))
	for k, t := range tensors {
		b, err := data(k)
		if err != nil {
			return err
		}
		if size, _ := t.bytes(); int64(len(b)) != size {
			return &FormatError{"", t.Name, -1, fmt.Sprintf("%s%v expects %d bytes, has %d: encode it again", t.Type, t.Shape, size, len(b))}
		}
		if _, err := out.Write(b); err != nil {
			return err
		}
		pad(int64(len(b)))
	}
	return out.Flush()
}

func aligned(n, step int64) int64 { return (n + step - 1) / step * step }

func checkLabel(s string, seen map[string]bool) error {
	bad := s == "" || len(s) > MaxName
	for _, c := range []byte(s) {
		bad = bad || c < ' ' || c == 0x7f
	}
	switch {
	case bad:
		return &FormatError{"", s, -1, fmt.Sprintf("it is empty, has a control character or more than %d bytes: give it another name", MaxName)}
	case seen[s]:
		return &FormatError{"", s, -1, "it is there twice: leave one out"}
	}
	seen[s] = true
	return nil
}

// bytes returns the size of a tensor, and an error for a description that no file
// can have.
func (t Info) bytes() (int64, error) {
	n, ok := format.Elements(t.Shape)
	block, size := t.Type.Block()
	switch {
	case block == 0:
		return 0, fmt.Errorf("its elements have type %d, of which ggml knows none: take another", uint32(t.Type))
	case len(t.Shape) > maxAxes:
		return 0, fmt.Errorf("it has %d axes, at most %d are possible: reshape it", len(t.Shape), maxAxes)
	case !ok || n > math.MaxInt/size || block > 1 && (len(t.Shape) == 0 || t.Shape[len(t.Shape)-1]%block != 0):
		return 0, fmt.Errorf("its shape is %v, and rows of %s are a multiple of %d elements: take F16 for it", t.Shape, t.Type, block)
	}
	return int64(n / block * size), nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// appendValue appends a value, and returns the number of its type.
func appendValue(b []byte, value any, depth int) (kind uint32, out []byte, err error) {
	switch v := value.(type) {
	case uint8, int8, uint16, int16, uint32, int32, float32, bool, uint64, int64, float64:
		out, err = binary.Append(b, binary.LittleEndian, v)
		return kindOf(v), out, err
	case string:
		return typeString, appendString(b, v), nil
	case []string:
		b = appendArray(b, typeString, len(v))
		for _, s := range v {
			b = appendString(b, s)
		}
		return typeArray, b, nil
	case []any:
		if depth == maxDepth-1 {
			return 0, nil, fmt.Errorf("arrays within arrays are more than %d deep: flatten them", maxDepth)
		}
		b = appendArray(b, typeArray, len(v))
		for _, e := range v {
			if kind, b, err = appendValue(b, e, depth+1); err != nil {
				return 0, nil, err
			}
			if kind != typeArray {
				return 0, nil, fmt.Errorf("an element of an array of arrays is %T: give a slice", e)
			}
		}
		return typeArray, b, nil
	case []uint8:
		return numbers(b, v)
	case []int8:
		return numbers(b, v)
	case []uint16:
		return numbers(b, v)
	case []int16:
		return numbers(b, v)
	case []uint32:
		return numbers(b, v)
	case []int32:
		return numbers(b, v)
	case []float32:
		return numbers(b, v)
	case []bool:
		return numbers(b, v)
	case []uint64:
		return numbers(b, v)
	case []int64:
		return numbers(b, v)
	case []float64:
		return numbers(b, v)
	}
	return 0, nil, fmt.Errorf("GGUF has no values of type %T: give a number, a bool, a string or a slice of them", value)
}

func numbers[T any](b []byte, v []T) (uint32, []byte, error) {
	var zero T
	b, err := binary.Append(appendArray(b, kindOf(zero), len(v)), binary.LittleEndian, v)
	return typeArray, b, err
}

func appendArray(b []byte, kind uint32, n int) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(b, kind), uint64(n))
}

// kindOf returns the number of a type of values.
func kindOf(v any) uint32 {
	switch v.(type) {
	case uint8:
		return 0
	case int8:
		return 1
	case uint16:
		return 2
	case int16:
		return 3
	case uint32:
		return 4
	case int32:
		return 5
	case float32:
		return 6
	case bool:
		return 7
	case uint64:
		return 10
	case int64:
		return 11
	}
	return 12 // float64
}
