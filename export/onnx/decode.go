package onnx

import "fmt"

// Decode reads a model; Check says whether it is valid. The elements of its
// tensors share memory with data where the file holds them as raw bytes.
func Decode(data []byte) (*Model, error) {
	if len(data) == 0 {
		return nil, &FormatError{Offset: 0, Reason: "the file is empty"}
	}
	if len(data) > maxFile {
		return nil, &FormatError{Offset: -1, Reason: fmt.Sprintf("%d bytes are more than protobuf can hold", len(data))}
	}
	m := &Model{Metadata: map[string]string{}}
	d := &decoder{}
	if err := d.fields(data, 0, "model", func(f field) error { return d.model(f, m) }); err != nil {
		return nil, err
	}
	if m.Graph == nil {
		return nil, &FormatError{Offset: -1, Reason: "the model has no graph: it is no ONNX file, or truncated"}
	}
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
		m.Graph = &Graph{}
		return d.graph(f, m.Graph, 1)
	case 8:
		if len(m.Opsets) >= maxPerNode {
			return f.bad("more than %d operator sets", maxPerNode)
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
		m.Opsets = append(m.Opsets, o)
		return err
	case 14:
		if err := d.object(f); err != nil {
			return err
		}
		k, v, err := d.pair(f, maxText)
		if _, twice := m.Metadata[k]; twice && err == nil {
			return f.bad("metadata %q is there twice", k)
		}
		m.Metadata[k] = v
		return err
	case 20:
		return f.unsupported("training information is not supported")
	case 25:
		return f.unsupported("functions are not supported")
	}
	return nil
}

// graph reads the one graph of a model or an attribute.
func (d *decoder) graph(f field, g *Graph, depth int) error {
	if depth > maxDepth {
		return f.bad("graphs nested more than %d deep", maxDepth)
	}
	return d.one(f, "graph", func(f field) error {
		switch f.number {
		case 1:
			n := &Node{}
			g.Nodes = append(g.Nodes, n)
			return d.node(f, n, fmt.Sprintf("node %d", len(g.Nodes)-1), depth)
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
			return f.unsupported("quantization annotations are not supported")
		case 15:
			return f.unsupported("sparse initializers are not supported")
		}
		return nil
	})
}

func (d *decoder) node(f field, n *Node, where string, depth int) error {
	if err := d.object(f); err != nil {
		return err
	}
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
			if len(n.Attributes) >= maxPerNode {
				return f.bad("more than %d attributes", maxPerNode)
			}
			a, err := d.attribute(f, where, depth)
			n.Attributes = append(n.Attributes, a)
			return err
		case 6:
			return f.text(&n.DocString, maxText)
		case 7:
			return f.name(&n.Domain)
		}
		return nil
	})
}

// listed appends a name.
func (d *decoder) listed(f field, list *[]string) error {
	if err := d.object(f); err != nil {
		return err
	}
	s, err := f.string(maxName)
	*list = append(*list, s)
	return err
}

// valueInfo reads a ValueInfoProto. A type may be left out, except for an
// input, which nothing else gives one.
func (d *decoder) valueInfo(f field, list *[]ValueInfo, what string) error {
	if err := d.object(f); err != nil {
		return err
	}
	where := fmt.Sprintf("%s %d", what, len(*list))
	v := ValueInfo{NoShape: true}
	err := d.each(f, where, func(f field) error {
		switch f.number {
		case 1:
			return f.name(&v.Name)
		case 2:
			return d.one(f, where, func(f field) error { return d.typ(f, &v) })
		}
		return nil
	})
	*list = append(*list, v)
	return err
}

// typ reads a field of a TypeProto.
func (d *decoder) typ(f field, v *ValueInfo) error {
	switch f.number {
	case 1:
		return d.one(f, f.where, func(f field) error {
			switch f.number {
			case 1:
				return f.enum((*int32)(&v.DataType))
			case 2:
				v.NoShape = false
				return d.one(f, f.where, func(f field) error {
					if f.number != 1 {
						return nil
					}
					return d.dim(f, v)
				})
			}
			return nil
		})
	case 4, 5, 7, 8, 9:
		return f.unsupported("a value that is no tensor is not supported")
	}
	return nil
}

// dim reads one axis of a shape: a number, a name, or neither.
func (d *decoder) dim(f field, v *ValueInfo) error {
	if len(v.Dims) >= maxRank {
		return f.bad("more than %d axes", maxRank)
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
		}
		return nil
	})
	if !dim.Open && dim.Param != "" && err == nil {
		return f.bad("an axis has the size %d and the name %q", dim.Value, dim.Param)
	}
	v.Dims = append(v.Dims, dim)
	return err
}
