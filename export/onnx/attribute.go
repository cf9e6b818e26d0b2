package onnx

import "google.golang.org/protobuf/encoding/protowire"

// attributeFields maps each field of an AttributeProto to the type of its
// value.
var attributeFields = map[protowire.Number]AttributeType{
	2: AttrFloat, 3: AttrInt, 4: AttrString, 5: AttrTensor, 6: AttrGraph, 7: AttrFloats, 8: AttrInts, 9: AttrStrings,
	10: AttrTensors, 11: AttrGraphs, 14: AttrType, 15: AttrTypes, 22: AttrSparse, 23: AttrSparses,
}

// attribute reads an AttributeProto. Its value must be in the field of its
// type: only some readers would see a value in another field.
func (d *decoder) attribute(f field, where string) (a Attribute, err error) {
	if err := d.object(f, costAttribute); err != nil {
		return a, err
	}
	var held AttributeType // the type of the field with a value
	err = d.each(f, where+" attribute", func(f field) error {
		if t, value := attributeFields[f.number]; value {
			if held != 0 && held != t {
				a.Mistyped = true
				d.doubt(f.bad("an attribute with two values"))
			}
			held = t
		}
		return d.attributeField(f, &a)
	})
	switch {
	case err != nil:
		return a, err
	case a.Type < AttrFloat || a.Type > AttrTypes:
		return a, f.bad("attribute %.80q has type %d", a.Name, a.Type)
	case held != 0 && held != a.Type:
		a.Mistyped = true
		return a, f.bad("attribute %.80q has type %d and a value of type %d", a.Name, a.Type, held)
	}
	return a, nil
}

func (d *decoder) attributeField(f field, a *Attribute) error {
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
		if a.Tensor == nil {
			a.Tensor = &Tensor{}
		}
		if err := d.tensor(f, a.Tensor, f.where); err != nil {
			return err
		}
		return f.once()
	case 6:
		if a.Graph == nil {
			a.Graph = &Graph{}
		}
		return d.graph(f, a.Graph)
	case 7:
		return f.floats(&a.Floats)
	case 8:
		return f.ints(&a.Ints)
	case 9:
		return d.strings(f, &a.Strings)
	case 10:
		t := &Tensor{}
		a.Tensors = append(a.Tensors, t)
		return d.tensor(f, t, f.where)
	case 11:
		g := &Graph{}
		a.Graphs = append(a.Graphs, g)
		f.again = false // a repeated field
		return d.graph(f, g)
	case 13:
		return f.text(&a.DocString, maxText)
	case 14:
		t := &Type{}
		a.Types = append(a.Types, t)
		if err := d.typ(f, t); err != nil {
			return err
		}
		return f.once()
	case 15:
		t := &Type{}
		a.Types = append(a.Types, t)
		return d.typ(f, t)
	case 20:
		return f.enum((*int32)(&a.Type))
	case 21:
		return f.name(&a.Ref)
	case 22:
		t := &SparseTensor{}
		a.Sparse = append(a.Sparse, t)
		if err := d.sparse(f, t, f.where); err != nil {
			return err
		}
		return f.once()
	case 23:
		t := &SparseTensor{}
		a.Sparse = append(a.Sparse, t)
		return d.sparse(f, t, f.where)
	}
	return nil
}

// strings appends bytes that may be a text.
func (d *decoder) strings(f field, list *[][]byte) error {
	if err := d.object(f, costName); err != nil {
		return err
	}
	if f.typ != protowire.BytesType {
		return f.bad("field %d is not a string", f.number)
	}
	*list = append(*list, f.bytes)
	return nil
}
