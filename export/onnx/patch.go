package onnx

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Patched is a file with other elements in some of its initializers.
type Patched struct {
	Data     []byte // of the model's file: the same bytes but for the elements
	External []ExternalPatch
}

// ExternalPatch is a range of a file beside the model that gets other bytes.
type ExternalPatch struct {
	Location string // as in the model
	Offset   int64
	Data     []byte
}

// Patch replaces the elements of initializers in the bytes of a model's file.
// m is what Decode made of the bytes. The elements are those of the initializer's
// type, little-endian. All other bytes stay as they are.
func Patch(file []byte, m *Model, elements map[string][]byte) (*Patched, error) {
	p := &Patched{Data: append([]byte(nil), file...)}
	left := map[string][]byte{}
	for name, x := range elements {
		left[name] = x
	}
	for _, t := range m.Graph.Initializers {
		x, ok := left[t.Name]
		if !ok {
			continue
		}
		if n, _ := t.bytes(); n != int64(len(x)) {
			return nil, fmt.Errorf("onnx: initializer %.80q has %d bytes, the new elements %d", t.Name, n, len(x))
		}
		if t.External != nil {
			p.External = append(p.External, ExternalPatch{t.External.Location, t.External.Offset, x})
			delete(left, t.Name)
		}
	}
	const graphField, initializerField = 7, 5
	err := ranges(p.Data, graphField, func(graph []byte) error {
		return ranges(graph, initializerField, func(tensor []byte) error {
			name, err := tensorName(tensor)
			x, ok := left[name]
			if !ok || err != nil {
				return err
			}
			delete(left, name)
			return patchTensor(tensor, x)
		})
	})
	if err != nil {
		return nil, err
	}
	for name := range left {
		return nil, fmt.Errorf("onnx: the file has no initializer %.80q", name)
	}
	return p, nil
}

// ranges calls f for each length-delimited field of a number. f may change its
// bytes.
func ranges(data []byte, number protowire.Number, f func([]byte) error) error {
	for len(data) > 0 {
		got, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(got, typ, data[n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		if got == number && typ == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(data[n:])
			if err := f(inner); err != nil {
				return err
			}
		}
		data = data[n+size:]
	}
	return nil
}

func tensorName(tensor []byte) (name string, err error) {
	const nameField = 8
	err = ranges(tensor, nameField, func(text []byte) error {
		name = string(text)
		return nil
	})
	return name, err
}

// patchTensor writes elements over those of a TensorProto, in the field that it
// has them in.
func patchTensor(tensor, x []byte) error {
	const rawField, floatField, doubleField = 9, 4, 10
	place := func(into []byte) error {
		if len(into) > len(x) {
			return fmt.Errorf("onnx: an initializer has more elements than its shape")
		}
		x = x[copy(into, x):]
		return nil
	}
	for _, number := range []protowire.Number{rawField, floatField, doubleField} {
		if err := ranges(tensor, number, place); err != nil {
			return err
		}
	}
	// Numbers of a list that is not packed have a field each.
	for data := tensor; len(data) > 0 && len(x) > 0; {
		number, typ, n := protowire.ConsumeTag(data)
		size := protowire.ConsumeFieldValue(number, typ, data[n:])
		switch {
		case number == floatField && typ == protowire.Fixed32Type && len(x) >= 4:
			binary.LittleEndian.PutUint32(data[n:], binary.LittleEndian.Uint32(x))
			x = x[4:]
		case number == doubleField && typ == protowire.Fixed64Type && len(x) >= 8:
			binary.LittleEndian.PutUint64(data[n:], binary.LittleEndian.Uint64(x))
			x = x[8:]
		}
		data = data[n+size:]
	}
	if len(x) > 0 {
		return fmt.Errorf("onnx: an initializer keeps its elements as integers of variable length, which cannot be replaced in place")
	}
	return nil
}
