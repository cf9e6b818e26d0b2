package onnx

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Decode reads any ONNX model; Check reports whether it is valid and
// supported. Decode rejects only data that are not an ONNX file. Tensors
// stored as raw bytes share memory with data.
func Decode(data []byte) (*Model, error) {
	if len(data) == 0 {
		return nil, &FormatError{Offset: 0, Reason: "the file is empty"}
	}
	if len(data) > maxFile {
		return nil, &FormatError{Offset: -1, Reason: fmt.Sprintf("%d bytes are more than protobuf can hold", len(data))}
	}
	m := &Model{Metadata: map[string]string{}}
	d := newDecoder(len(data))
	if err := d.fields(data, 0, "model", func(f field) error { return d.model(f, m) }); err != nil {
		return nil, err
	}
	if m.Graph == nil {
		return nil, &FormatError{Offset: -1, Reason: "the model has no graph: it is not an ONNX file, or truncated"}
	}
	m.doubts = d.doubts
	return m, nil
}

func (d *decoder) model(f field, m *Model) error {
	switch f.number {
	case 1:
		return f.int(&m.IRVersion)
	case 2:
		return f.name(&m.ProducerName)
	case 3:
		return f.name(&m.ProducerVersion)
	case 4:
		return f.name(&m.Domain)
	case 5:
		return f.int(&m.ModelVersion)
	case 6:
		return f.text(&m.DocString, maxText)
	case 7:
		if m.Graph == nil && f.typ == protowire.BytesType {
			m.Graph = &Graph{}
		}
		return d.graph(f, m.Graph)
	case 8:
		return d.opset(f, &m.Opsets)
	case 14:
		if err := d.object(f, costEntry); err != nil {
			return err
		}
		k, v, err := d.pair(f, maxText)
		_, twice := m.Metadata[k]
		m.Metadata[k] = v
		if twice {
			m.RepeatedMetadata = append(m.RepeatedMetadata, k)
		}
		if twice && err == nil {
			return f.bad("metadata %.80q is there twice", k)
		}
		return err
	case 20:
		t := &Training{}
		m.Training = append(m.Training, t)
		return d.training(f, t)
	case 25:
		n := &Function{}
		m.Functions = append(m.Functions, n)
		return d.function(f, n, fmt.Sprintf("function %d", len(m.Functions)-1))
	case 26:
		m.Devices = append(m.Devices, Devices{})
		return d.devices(f, &m.Devices[len(m.Devices)-1])
	}
	return nil
}

func (d *decoder) opset(f field, list *[]Opset) error {
	if err := d.object(f, costName); err != nil {
		return err
	}
	var o Opset
	err := d.each(f, "opset_import", func(f field) error {
		switch f.number {
		case 1:
			return f.name(&o.Domain)
		case 2:
			return f.int(&o.Version)
		}
		return nil
	})
	*list = append(*list, o)
	return err
}

// entry appends a metadata entry.
func (d *decoder) entry(f field, list *[]Entry) error {
	if err := d.object(f, costEntry); err != nil {
		return err
	}
	k, v, err := d.pair(f, maxText)
	*list = append(*list, Entry{k, v})
	return err
}

// graph reads the graph of a model or an attribute, which must be its only
// one.
func (d *decoder) graph(f field, g *Graph) error {
	if err := d.object(f, costGraph); err != nil {
		return err
	}
	return d.one(f, "graph", func(f field) error {
		switch f.number {
		case 1:
			return d.node(f, &g.Nodes)
		case 2:
			return f.name(&g.Name)
		case 5:
			t := &Tensor{}
			g.Initializers = append(g.Initializers, t)
			return d.tensor(f, t, fmt.Sprintf("initializer %d", len(g.Initializers)-1))
		case 10:
			return f.text(&g.DocString, maxText)
		case 11:
			return d.valueInfo(f, &g.Inputs, "graph input")
		case 12:
			return d.valueInfo(f, &g.Outputs, "graph output")
		case 13:
			return d.valueInfo(f, &g.Values, "value_info")
		case 14:
			g.Annotations = append(g.Annotations, Annotation{})
			return d.annotation(f, &g.Annotations[len(g.Annotations)-1])
		case 15:
			t := &SparseTensor{}
			g.Sparse = append(g.Sparse, t)
			return d.sparse(f, t, fmt.Sprintf("sparse initializer %d", len(g.Sparse)-1))
		case 16:
			return d.entry(f, &g.Metadata)
		}
		return nil
	})
}

func (d *decoder) node(f field, list *[]*Node) error {
	if err := d.object(f, costNode); err != nil {
		return err
	}
	n := &Node{}
	*list = append(*list, n)
	where := fmt.Sprintf("node %d", len(*list)-1)
	return d.each(f, where, func(f field) error {
		switch f.number {
		case 1:
			return d.listed(f, &n.Inputs)
		case 2:
			return d.listed(f, &n.Outputs)
		case 3:
			return f.name(&n.Name)
		case 4:
			return f.name(&n.Op)
		case 5:
			a, err := d.attribute(f, where)
			n.Attributes = append(n.Attributes, a)
			return err
		case 6:
			return f.text(&n.DocString, maxText)
		case 7:
			return f.name(&n.Domain)
		case 8:
			return f.name(&n.Overload)
		case 9:
			return d.entry(f, &n.Metadata)
		case 10:
			n.Devices = append(n.Devices, NodeDevices{})
			return d.nodeDevices(f, &n.Devices[len(n.Devices)-1])
		}
		return nil
	})
}

// listed appends a name.
func (d *decoder) listed(f field, list *[]string) error {
	if err := d.object(f, costName); err != nil {
		return err
	}
	s, err := f.string(maxName)
	*list = append(*list, s)
	return err
}

// valueInfo reads a ValueInfoProto. The type is optional except for an input.
func (d *decoder) valueInfo(f field, list *[]ValueInfo, what string) error {
	if err := d.object(f, costValue); err != nil {
		return err
	}
	where := fmt.Sprintf("%s %d", what, len(*list))
	v := ValueInfo{NoShape: true}
	var t Type
	err := d.each(f, where, func(f field) error {
		switch f.number {
		case 1:
			return f.name(&v.Name)
		case 2:
			if err := d.typ(f, &t); err != nil {
				return err
			}
			return f.once()
		case 3:
			return f.text(&v.DocString, maxText)
		case 4:
			return d.entry(f, &v.Metadata)
		}
		return nil
	})
	v.Denotation = t.Denotation
	switch t.Kind {
	case 0:
	case TensorType:
		v.DataType, v.Dims, v.NoShape, v.Undefined = t.DataType, t.Dims, t.NoShape, t.Undefined
	default:
		v.Other, t.Denotation = &t, ""
	}
	*list = append(*list, v)
	return err
}
