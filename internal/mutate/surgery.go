package mutate

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// name returns a name that no value has.
func (s *surgeon) name(of string) string {
	s.made++
	return fmt.Sprintf("fault.%s.%d", of, s.made)
}

// integers adds an int64 vector.
func (s *surgeon) integers(v ...int64) string {
	t := &onnx.Tensor{Name: s.name("integers"), DataType: onnx.Int64, Dims: []int64{int64(len(v))}}
	for _, x := range v {
		t.Raw = binary.LittleEndian.AppendUint64(t.Raw, uint64(x))
	}
	s.Graph.Initializers = append(s.Graph.Initializers, t)
	return t.Name
}

// float adds a scalar of a floating-point type.
func (s *surgeon) float(x float32, as onnx.DataType) string {
	t := &onnx.Tensor{Name: s.name("float"), DataType: as}
	switch as {
	case onnx.Double:
		t.Raw = binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(x)))
	case onnx.Float16:
		t.DataType, t.Raw = onnx.Float, binary.LittleEndian.AppendUint32(nil, math.Float32bits(x))
	default:
		t.DataType, t.Raw = onnx.Float, binary.LittleEndian.AppendUint32(nil, math.Float32bits(x))
	}
	s.Graph.Initializers = append(s.Graph.Initializers, t)
	return t.Name
}

// before puts a node in front of node i and returns its result.
func (s *surgeon) before(i *int, op string, inputs []string, attrs ...onnx.Attribute) string {
	out := s.name(op)
	s.Graph.Nodes = slices.Insert(s.Graph.Nodes, *i, &onnx.Node{Op: op, Name: out, Inputs: inputs, Outputs: []string{out}, Attributes: attrs})
	*i++
	return out
}

// index returns the place of the node that makes a value.
func (s *surgeon) index(value string) int {
	return slices.IndexFunc(s.Graph.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, value) })
}

// rename gives a result of a node another name and returns it; the node's readers
// still read the old name.
func (s *surgeon) rename(value string) string {
	n := s.Graph.Nodes[s.index(value)]
	to := s.name("was")
	n.Outputs[slices.Index(n.Outputs, value)] = to
	return to
}

// after computes a value anew from what it was: f records nodes and gives the last
// one's operator and inputs.
func (s *surgeon) after(value string, f func(i *int, was string) (op string, inputs []string, attrs []onnx.Attribute)) {
	was := s.rename(value)
	i := s.index(was) + 1
	op, inputs, attrs := f(&i, was)
	s.Graph.Nodes = slices.Insert(s.Graph.Nodes, i, &onnx.Node{Op: op, Name: s.name(op), Inputs: inputs, Outputs: []string{value}, Attributes: attrs})
}

// bypass has the readers of a node's result read another value.
func (s *surgeon) bypass(value, to string) {
	for _, n := range s.Graph.Nodes {
		for i, in := range n.Inputs {
			if in == value {
				n.Inputs[i] = to
			}
		}
	}
	if slices.ContainsFunc(s.Graph.Outputs, func(o onnx.ValueInfo) bool { return o.Name == value }) {
		i := s.index(value)
		s.Graph.Nodes[i] = &onnx.Node{Op: "Identity", Name: s.name("Identity"), Inputs: []string{to}, Outputs: []string{value}}
		return
	}
	i := s.index(value)
	s.Graph.Nodes = slices.Delete(s.Graph.Nodes, i, i+1)
}

// input has all readers of an input read what f makes of it.
func (s *surgeon) input(name string, f func(i *int) string) {
	i := 0
	old := len(s.Graph.Nodes)
	to := f(&i)
	added := len(s.Graph.Nodes) - old
	for _, n := range s.Graph.Nodes[added:] {
		for j, in := range n.Inputs {
			if in == name {
				n.Inputs[j] = to
			}
		}
	}
}

func attribute(n *onnx.Node, name string) *onnx.Attribute {
	for i := range n.Attributes {
		if n.Attributes[i].Name == name {
			return &n.Attributes[i]
		}
	}
	return nil
}

// element returns float i of a tensor in float32, and sets it.
func get(t *onnx.Tensor, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:]))
}

func set(t *onnx.Tensor, i int, x float32) {
	binary.LittleEndian.PutUint32(t.Raw[4*i:], math.Float32bits(x))
}
