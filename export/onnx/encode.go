package onnx

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Encode writes a model. Equal models give equal bytes. It does not reproduce
// parts that Decode reported as doubtful. It writes elements of large tensors
// without copying them. A model larger than protobuf's limit is an error:
// Externalize makes it smaller.
func (m *Model) Encode(w io.Writer) error {
	e := m.message()
	if e.size > maxFile {
		return &FormatError{Offset: -1, Reason: fmt.Sprintf("%d bytes are more than protobuf allows: put the weights into a separate file", e.size)}
	}
	for _, part := range e.parts {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// EncodedSize returns the number of bytes that Encode writes.
func (m *Model) EncodedSize() int64 { return m.message().size }

func (m *Model) message() *message {
	e := &message{}
	e.int(1, m.IRVersion)
	e.text(2, m.ProducerName)
	e.text(3, m.ProducerVersion)
	e.text(4, m.Domain)
	e.int(5, m.ModelVersion)
	e.text(6, m.DocString)
	if m.Graph != nil {
		e.message(7, m.Graph.message())
	}
	for _, o := range m.Opsets {
		e.message(8, o.message())
	}
	for _, k := range slices.Sorted(maps.Keys(m.Metadata)) {
		e.message(14, pair(k, m.Metadata[k]))
	}
	for _, t := range m.Training {
		e.message(20, t.message())
	}
	for _, f := range m.Functions {
		e.message(25, f.message())
	}
	for _, c := range m.Devices {
		e.message(26, c.message())
	}
	return e
}

func (o Opset) message() *message {
	e := &message{}
	e.text(1, o.Domain)
	e.int(2, o.Version)
	return e
}

func (e *message) entries(n protowire.Number, list []Entry) {
	for _, x := range list {
		e.message(n, pair(x.Key, x.Value))
	}
}

// pair encodes a StringStringEntryProto.
func pair(key, value string) *message {
	e := &message{}
	e.string(1, key)
	e.string(2, value)
	return e
}

func (g *Graph) message() *message {
	e := &message{}
	for _, n := range g.Nodes {
		e.message(1, n.message())
	}
	e.text(2, g.Name)
	for _, t := range g.Initializers {
		e.message(5, t.message())
	}
	e.text(10, g.DocString)
	for _, v := range g.Inputs {
		e.message(11, v.message())
	}
	for _, v := range g.Outputs {
		e.message(12, v.message())
	}
	for _, v := range g.Values {
		e.message(13, v.message())
	}
	for _, a := range g.Annotations {
		sub := &message{}
		sub.text(1, a.Tensor)
		sub.entries(2, a.Parameters)
		e.message(14, sub)
	}
	for _, t := range g.Sparse {
		e.message(15, t.message())
	}
	e.entries(16, g.Metadata)
	return e
}

func (n *Node) message() *message {
	e := &message{}
	for _, s := range n.Inputs {
		e.string(1, s)
	}
	for _, s := range n.Outputs {
		e.string(2, s)
	}
	e.text(3, n.Name)
	e.text(4, n.Op)
	for _, a := range n.Attributes {
		e.message(5, a.message())
	}
	e.text(6, n.DocString)
	e.text(7, n.Domain)
	e.text(8, n.Overload)
	e.entries(9, n.Metadata)
	for _, c := range n.Devices {
		sub := &message{}
		sub.text(1, c.Configuration)
		for _, s := range c.Sharding {
			sub.bytes(2, s)
		}
		if c.Stage != nil {
			sub.varint(3, uint64(*c.Stage))
		}
		e.message(10, sub)
	}
	return e
}

func (a Attribute) message() *message {
	e := &message{}
	e.text(1, a.Name)
	if a.Ref == "" {
		a.value(e)
	}
	e.text(13, a.DocString)
	e.int(20, int64(a.Type))
	e.text(21, a.Ref)
	return e
}

// value writes the field of the attribute's type.
func (a Attribute) value(e *message) {
	switch a.Type {
	case AttrFloat:
		e.float(2, a.Float)
	case AttrInt:
		e.varint(3, uint64(a.Int))
	case AttrString:
		e.bytes(4, a.String)
	case AttrTensor:
		if a.Tensor != nil {
			e.message(5, a.Tensor.message())
		}
	case AttrGraph:
		if a.Graph != nil {
			e.message(6, a.Graph.message())
		}
	case AttrFloats:
		for _, x := range a.Floats {
			e.float(7, x)
		}
	case AttrInts:
		for _, x := range a.Ints {
			e.varint(8, uint64(x))
		}
	case AttrStrings:
		for _, s := range a.Strings {
			e.bytes(9, s)
		}
	case AttrTensors:
		for _, t := range a.Tensors {
			e.message(10, t.message())
		}
	case AttrGraphs:
		for _, g := range a.Graphs {
			e.message(11, g.message())
		}
	case AttrType, AttrTypes:
		n := map[AttributeType]protowire.Number{AttrType: 14, AttrTypes: 15}[a.Type]
		for _, t := range a.Types {
			e.message(n, t.message())
		}
	case AttrSparse, AttrSparses:
		n := map[AttributeType]protowire.Number{AttrSparse: 22, AttrSparses: 23}[a.Type]
		for _, t := range a.Sparse {
			e.message(n, t.message())
		}
	}
}

func (e *message) float(n protowire.Number, v float32) {
	e.grow(func(b []byte) []byte {
		return protowire.AppendFixed32(protowire.AppendTag(b, n, protowire.Fixed32Type), math.Float32bits(v))
	})
}

func (t *Tensor) message() *message {
	e := &message{}
	e.packed(1, t.Dims)
	e.int(2, int64(t.DataType))
	if t.Segment != nil {
		sub := &message{}
		sub.int(1, t.Segment.Begin)
		sub.int(2, t.Segment.End)
		e.message(3, sub)
	}
	for _, s := range t.Strings {
		e.bytes(6, s)
	}
	e.text(8, t.Name)
	if t.External == nil && t.DataType != String {
		e.bytes(9, t.Raw)
	}
	e.text(12, t.DocString)
	if x := t.External; x != nil {
		e.message(13, pair("location", x.Location))
		e.message(13, pair("offset", strconv.FormatInt(x.Offset, 10)))
		if x.Length >= 0 {
			e.message(13, pair("length", strconv.FormatInt(x.Length, 10)))
		}
		if x.Checksum != "" {
			e.message(13, pair("checksum", x.Checksum))
		}
		e.int(14, 1) // DataLocation.EXTERNAL
	}
	e.entries(16, t.Metadata)
	return e
}

func (t *SparseTensor) message() *message {
	e := &message{}
	if t.Values != nil {
		e.message(1, t.Values.message())
	}
	if t.Indices != nil {
		e.message(2, t.Indices.message())
	}
	e.packed(3, t.Dims)
	return e
}

func (v ValueInfo) message() *message {
	e := &message{}
	e.text(1, v.Name)
	typ := &message{}
	switch {
	case v.Other != nil:
		typ = v.Other.message()
	case v.DataType != 0 || !v.NoShape || v.Undefined:
		typ.message(1, tensorType(v.DataType, v.Dims, v.NoShape, v.Undefined))
	}
	typ.text(6, v.Denotation)
	if typ.size > 0 {
		e.message(2, typ)
	}
	e.text(3, v.DocString)
	e.entries(4, v.Metadata)
	return e
}

func (f *Function) message() *message {
	e := &message{}
	e.text(1, f.Name)
	for _, s := range f.Inputs {
		e.string(4, s)
	}
	for _, s := range f.Outputs {
		e.string(5, s)
	}
	for _, s := range f.Attributes {
		e.string(6, s)
	}
	for _, n := range f.Nodes {
		e.message(7, n.message())
	}
	e.text(8, f.DocString)
	for _, o := range f.Opsets {
		e.message(9, o.message())
	}
	e.text(10, f.Domain)
	for _, a := range f.Defaults {
		e.message(11, a.message())
	}
	for _, v := range f.Values {
		e.message(12, v.message())
	}
	e.text(13, f.Overload)
	e.entries(14, f.Metadata)
	return e
}

func (t *Training) message() *message {
	e := &message{}
	if t.Initialization != nil {
		e.message(1, t.Initialization.message())
	}
	if t.Algorithm != nil {
		e.message(2, t.Algorithm.message())
	}
	e.entries(3, t.InitializationBinding)
	e.entries(4, t.UpdateBinding)
	return e
}

func (c Devices) message() *message {
	e := &message{}
	e.text(1, c.Name)
	e.int(2, int64(c.Count))
	for _, s := range c.Names {
		e.string(3, s)
	}
	return e
}
