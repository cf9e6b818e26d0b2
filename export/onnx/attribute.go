package onnx

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// attributeFields gives the type of the value in each field of an
// AttributeProto.
var attributeFields = map[protowire.Number]AttributeType{
	2: AttrFloat, 3: AttrInt, 4: AttrString, 5: AttrTensor, 6: AttrGraph, 7: AttrFloats, 8: AttrInts, 9: AttrStrings,
}

// attribute reads an AttributeProto. It holds one value, in the field that its
// type says: a value in another field would be seen by some readers only.
func (d *decoder) attribute(f field, where string, depth int) (a Attribute, err error) {
	if err := d.object(f); err != nil {
		return a, err
	}
	var held AttributeType // what the fields say
	err = d.each(f, where+" attribute", func(f field) error {
		if t, value := attributeFields[f.number]; value {
			if held != 0 && held != t {
				return f.bad("an attribute with two values")
			}
			held = t
		}
		switch f.number {
		case 1:
			return f.name(&a.Name)
		case 2:
			return f.float(&a.Float)
		case 3:
			return f.int(&a.Int)
		case 4:
			return f.raw(&a.String)
		case 5:
			if err := f.once(); err != nil {
				return err
			}
			a.Tensor = &Tensor{}
			return d.tensor(f, a.Tensor, f.where)
		case 6:
			a.Graph = &Graph{}
			return d.graph(f, a.Graph, depth+1)
		case 7:
			return f.floats(&a.Floats)
		case 8:
			return f.ints(&a.Ints, math.MaxInt32)
		case 9:
			if err := d.object(f); err != nil {
				return err
			}
			if f.typ != protowire.BytesType {
				return f.bad("field %d is no string", f.number)
			}
			a.Strings = append(a.Strings, f.bytes)
		case 20:
			return f.enum((*int32)(&a.Type))
		case 10, 11, 14, 15, 21, 22, 23:
			return f.unsupported("attribute field %d is not supported", f.number)
		}
		return nil
	})
	switch {
	case err != nil:
		return a, err
	case a.Type < AttrFloat || a.Type > AttrStrings:
		return a, f.bad("attribute %q has type %d", a.Name, a.Type)
	case held != 0 && held != a.Type:
		return a, f.bad("attribute %q has type %d and a value of type %d", a.Name, a.Type, held)
	case held == 0 && (a.Type == AttrTensor || a.Type == AttrGraph):
		return a, f.bad("attribute %q lacks its value", a.Name)
	}
	return a, nil
}
