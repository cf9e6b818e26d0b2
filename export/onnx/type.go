package onnx

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// TypeKind is the kind of a value; the numbers are TypeProto's fields.
type TypeKind int32

// The kinds of values.
const (
	TensorType       TypeKind = 1
	SequenceType     TypeKind = 4
	MapType          TypeKind = 5
	OpaqueType       TypeKind = 7
	SparseTensorType TypeKind = 8
	OptionalType     TypeKind = 9
)

// Type is a TypeProto.
type Type struct {
	Kind       TypeKind // 0: unknown
	DataType   DataType // of a tensor's elements, or of a map's keys
	Dims       []Dim    // of a tensor
	NoShape    bool     // shape and rank are open
	Undefined  bool     // of a tensor: see ValueInfo
	Elem       *Type    // of a sequence, an optional value, or a map's values
	Domain     string   // of an opaque type
	Name       string
	Denotation string
}

// String returns t as "float (n,2)", "seq(int64)" or "map(string,float (2))".
func (t *Type) String() string {
	if t == nil {
		return "?"
	}
	switch t.Kind {
	case TensorType:
		return tensorText(t.DataType, t.Dims, t.NoShape)
	case SparseTensorType:
		return "sparse " + tensorText(t.DataType, t.Dims, t.NoShape)
	case SequenceType:
		return fmt.Sprintf("seq(%s)", t.Elem)
	case OptionalType:
		return fmt.Sprintf("optional(%s)", t.Elem)
	case MapType:
		return fmt.Sprintf("map(%s,%s)", t.DataType, t.Elem)
	case OpaqueType:
		return fmt.Sprintf("opaque(%s.%s)", shown(t.Domain), shown(t.Name))
	}
	return "?"
}

func tensorText(t DataType, shape []Dim, noShape bool) string {
	if noShape {
		return t.String()
	}
	dims := make([]string, len(shape))
	for i, d := range shape {
		switch {
		case d.Open && d.Param == "":
			dims[i] = "?"
		case d.Open:
			dims[i] = shown(d.Param)
		default:
			dims[i] = strconv.FormatInt(d.Value, 10)
		}
	}
	return fmt.Sprintf("%s (%s)", t, strings.Join(dims, ","))
}

// TypeText returns the type of v as "int64 (batch_size,sequence_length)".
func (v ValueInfo) TypeText() string {
	switch {
	case v.Other != nil:
		return v.Other.String()
	case v.DataType == 0 && v.NoShape:
		return "?"
	}
	return tensorText(v.DataType, v.Dims, v.NoShape)
}

// String returns v as "input_ids int64 (batch_size,sequence_length)".
func (v ValueInfo) String() string { return shown(v.Name) + " " + v.TypeText() }

// typ reads a TypeProto.
func (d *decoder) typ(f field, t *Type) error {
	if err := d.object(f, costType); err != nil {
		return err
	}
	return d.each(f, f.where, func(f field) error {
		kind := TypeKind(f.number)
		switch kind {
		case 6:
			return f.name(&t.Denotation)
		case TensorType, SparseTensorType, SequenceType, OptionalType, MapType, OpaqueType:
		default:
			return nil
		}
		var doubt error
		if t.Kind != 0 && t.Kind != kind {
			doubt = f.bad("a type of two kinds")
			*t = Type{Denotation: t.Denotation} // the last one counts
		}
		if t.Kind == 0 {
			t.NoShape = true
		}
		t.Kind = kind
		if err := d.one(f, f.where, func(f field) error { return d.kind(f, t) }); err != nil {
			return err
		}
		return doubt
	})
}

// kind reads a field of the message for t's kind.
func (d *decoder) kind(f field, t *Type) error {
	elem := func() error {
		if t.Elem == nil {
			t.Elem = &Type{}
		}
		if err := d.typ(f, t.Elem); err != nil {
			return err
		}
		return f.once()
	}
	switch {
	case t.Kind == OpaqueType && f.number == 1:
		return f.name(&t.Domain)
	case t.Kind == OpaqueType && f.number == 2:
		return f.name(&t.Name)
	case t.Kind == TensorType || t.Kind == SparseTensorType || t.Kind == MapType && f.number == 1:
		switch f.number {
		case 1:
			err := f.enum((*int32)(&t.DataType))
			t.Undefined = err == nil && t.DataType == 0
			return err
		case 2:
			t.NoShape = false
			return d.one(f, f.where, func(f field) error {
				if f.number != 1 {
					return nil
				}
				return d.dim(f, t)
			})
		}
	case t.Kind == MapType && f.number == 2, t.Kind != MapType && f.number == 1:
		return elem()
	}
	return nil
}

// dim reads one axis of a shape: a number, a name, or neither.
func (d *decoder) dim(f field, t *Type) error {
	if err := d.object(f, costDim); err != nil {
		return err
	}
	dim := Dim{Open: true}
	err := d.each(f, f.where, func(f field) error {
		switch f.number {
		case 1:
			dim.Open = false
			if err := f.int(&dim.Value); err != nil {
				return err
			}
			if dim.Value < 0 {
				return f.bad("an axis of size %d", dim.Value)
			}
		case 2:
			return f.name(&dim.Param)
		case 3:
			return f.name(&dim.Denotation)
		}
		return nil
	})
	t.Dims = append(t.Dims, dim)
	if !dim.Open && dim.Param != "" && err == nil {
		return f.bad("an axis has the size %d and the name %.80q", dim.Value, dim.Param)
	}
	return err
}

// message encodes a type.
func (t *Type) message() *message {
	e, inner := &message{}, &message{}
	switch t.Kind {
	case TensorType, SparseTensorType:
		inner = tensorType(t.DataType, t.Dims, t.NoShape, t.Undefined)
	case SequenceType, OptionalType:
		if t.Elem != nil {
			inner.message(1, t.Elem.message())
		}
	case MapType:
		inner.int(1, int64(t.DataType))
		if t.Elem != nil {
			inner.message(2, t.Elem.message())
		}
	case OpaqueType:
		inner.text(1, t.Domain)
		inner.text(2, t.Name)
	}
	if t.Kind != 0 {
		e.message(protowire.Number(t.Kind), inner)
	}
	e.text(6, t.Denotation)
	return e
}

// tensorType encodes a TypeProto.Tensor.
func tensorType(t DataType, dims []Dim, noShape, undefined bool) *message {
	e := &message{}
	if t != 0 || undefined {
		e.varint(1, uint64(t))
	}
	if noShape {
		return e
	}
	shape := &message{}
	for _, d := range dims {
		dim := &message{}
		switch {
		case d.Open && d.Param != "":
			dim.string(2, d.Param)
		case !d.Open:
			dim.varint(1, uint64(d.Value))
		}
		dim.text(3, d.Denotation)
		shape.message(1, dim)
	}
	e.message(2, shape)
	return e
}
