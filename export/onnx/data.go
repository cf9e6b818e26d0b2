package onnx

import "google.golang.org/protobuf/encoding/protowire"

// Data is a value as ONNX's test data have it: a tensor, a sequence, or an optional
// value, which is the value itself or, with no field set, nothing.
type Data struct {
	Name   string // "" if it has none of its own
	Tensor *Tensor
	List   *[]Data // a sequence
}

// DecodeData reads a file with a value of type t: a TensorProto, a SequenceProto or an
// OptionalProto. Maps and sparse tensors are refused.
func DecodeData(data []byte, t *Type) (x Data, err error) {
	if len(data) > maxFile {
		return x, &FormatError{Offset: -1, Reason: "it is more than protobuf can hold"}
	}
	d := newDecoder(len(data))
	f := field{decoder: d, bytes: data, typ: protowire.BytesType}
	switch t.Kind {
	case TensorType:
		x.Tensor = &Tensor{}
		err = d.tensor(f, x.Tensor, "tensor")
		x.Name = x.Tensor.Name
	case SequenceType:
		err = d.sequence(f, &x)
	case OptionalType:
		err = d.optional(f, &x)
	default:
		err = f.bad("a %.80s is not read from a file", t)
	}
	if err == nil && len(d.doubts) > 0 {
		err = d.doubts[0]
	}
	return x, err
}

// sequence reads a SequenceProto.
func (d *decoder) sequence(f field, whole *Data) error {
	if err := d.object(f, costValue); err != nil {
		return err
	}
	whole.List = &[]Data{}
	return d.each(f, "sequence", func(f field) error {
		var x Data
		var err error
		switch f.number {
		case 1:
			return f.name(&whole.Name)
		case 3: // tensor_values
			x.Tensor = &Tensor{}
			err = d.tensor(f, x.Tensor, "tensor")
		case 5: // sequence_values
			err = d.sequence(f, &x)
		case 7: // optional_values
			err = d.optional(f, &x)
		case 4, 6:
			return f.bad("a sequence of sparse tensors or maps is not read from a file")
		default:
			return nil
		}
		*whole.List = append(*whole.List, x)
		return err
	})
}

// optional reads an OptionalProto.
func (d *decoder) optional(f field, x *Data) error {
	if err := d.object(f, costValue); err != nil {
		return err
	}
	return d.each(f, "optional value", func(f field) error {
		switch f.number {
		case 1:
			return f.name(&x.Name)
		case 3: // tensor_value
			x.Tensor = &Tensor{}
			return d.tensor(f, x.Tensor, "tensor")
		case 5: // sequence_value
			list := Data{}
			err := d.sequence(f, &list)
			x.List = list.List
			return err
		case 7: // optional_value
			return d.optional(f, x)
		case 4, 6:
			return f.bad("an optional sparse tensor or map is not read from a file")
		}
		return nil
	})
}
