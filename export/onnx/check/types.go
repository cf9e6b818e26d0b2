package check

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// copied returns a deep copy of t.
func copied(t *onnx.Type) *onnx.Type {
	if t == nil {
		return nil
	}
	out := *t
	out.Dims, out.Elem = slices.Clone(t.Dims), copied(t.Elem)
	return &out
}

func fixed(dims []int64) []onnx.Dim {
	out := make([]onnx.Dim, len(dims))
	for i, d := range dims {
		out[i] = onnx.Dim{Value: d}
	}
	return out
}

func isTensor(t *onnx.Type) bool {
	return t != nil && (t.Kind == onnx.TensorType || t.Kind == onnx.SparseTensorType)
}

func shaped(t *onnx.Type) bool { return isTensor(t) && !t.NoShape }

// agree refuses an inferred type that contradicts the declared one.
func agree(inferred, declared *onnx.Type) {
	if inferred == nil || declared == nil || inferred.Kind == 0 || declared.Kind == 0 {
		return
	}
	if inferred.Kind != declared.Kind {
		refuse("the file declares %s, it is %s", declared, inferred)
	}
	switch inferred.Kind {
	case onnx.TensorType, onnx.SparseTensorType:
		if inferred.DataType != 0 && declared.DataType != 0 && inferred.DataType != declared.DataType {
			refuse("the file declares elements of %s, it has %s", declared.DataType, inferred.DataType)
		}
		if inferred.NoShape || declared.NoShape {
			return
		}
		if len(inferred.Dims) != len(declared.Dims) {
			refuse("the file declares %s, it is %s", declared, inferred)
		}
		for i, d := range inferred.Dims {
			if e := declared.Dims[i]; !d.Open && !e.Open && d.Value != e.Value {
				refuse("the file declares %s, it is %s", declared, inferred)
			}
		}
	case onnx.MapType:
		if inferred.DataType != declared.DataType {
			refuse("the file declares keys of %s, they are %s", declared.DataType, inferred.DataType)
		}
		agree(inferred.Elem, declared.Elem)
	case onnx.SequenceType, onnx.OptionalType:
		agree(inferred.Elem, declared.Elem)
	case onnx.OpaqueType:
		if inferred.Domain != "" && declared.Domain != "" && inferred.Domain != declared.Domain || inferred.Name != "" && declared.Name != "" && inferred.Name != declared.Name {
			refuse("the file declares %s, it is %s", declared, inferred)
		}
	}
}

// merge completes the declared type with the inferred one, which agrees with
// it.
func merge(inferred, declared *onnx.Type) {
	if inferred == nil || inferred.Kind == 0 || declared.Kind == 0 {
		return
	}
	if declared.DataType == 0 {
		declared.DataType = inferred.DataType
	}
	if inferred.Elem != nil {
		if declared.Elem == nil {
			declared.Elem = copied(inferred.Elem)
		} else {
			merge(inferred.Elem, declared.Elem)
		}
	}
	switch {
	case inferred.NoShape:
	case declared.NoShape:
		declared.NoShape, declared.Dims = false, slices.Clone(inferred.Dims)
	default:
		for i, d := range inferred.Dims {
			if e := declared.Dims[i]; e.Open && e.Param == "" || !d.Open {
				declared.Dims[i] = d
			}
		}
	}
}

// call is a node with the inferred types of its outputs.
type call struct {
	frame *frame
	node  *onnx.Node
	op    *schema.Operator
	outs  []*onnx.Type
}

// has reports whether the node has its i-th input.
func (c *call) has(i int) bool {
	return i < len(c.node.Inputs) && c.node.Inputs[i] != "" && !c.frame.omitted[c.node.Inputs[i]]
}

// in returns the type of the i-th input, nil if it is not known.
func (c *call) in(i int) *onnx.Type {
	if i >= len(c.node.Inputs) || c.node.Inputs[i] == "" {
		return nil
	}
	if t := c.frame.typeOf(c.node.Inputs[i]); t != nil && t.Kind != 0 {
		return t
	}
	return nil
}

// shape returns the shape of the i-th input; ok is false if it is not known.
func (c *call) shape(i int) (dims []onnx.Dim, ok bool) {
	t := c.in(i)
	return dimsOf(t), shaped(t)
}

func dimsOf(t *onnx.Type) []onnx.Dim {
	if shaped(t) {
		return t.Dims
	}
	return nil
}

// shapes reports whether the shapes of the first n inputs are known.
func (c *call) shapes(n int) bool {
	for i := range n {
		if _, ok := c.shape(i); !ok {
			return false
		}
	}
	return true
}

// tensor returns the i-th input if the file contains it.
func (c *call) tensor(i int) *onnx.Tensor {
	if !c.has(i) {
		return nil
	}
	return c.frame.data[c.node.Inputs[i]]
}

// maxListed bounds the number of integers that are read as a shape, axes or the
// like.
const maxListed = 4096

// ints returns the i-th input as integers, if the file contains it.
func (c *call) ints(i int) (list []int64, ok bool) {
	t := c.tensor(i)
	if t == nil {
		return nil, false
	}
	if t.External != nil {
		refuse("input %d is in another file, its value decides the shape", i)
	}
	if n, _ := size(t.Dims); len(t.Raw) > 8*maxListed || n*t.DataType.Size() != int64(len(t.Raw)) {
		return nil, false // ONNX's readers disagree about surplus elements
	}
	switch t.DataType {
	case onnx.Int64:
		for b := t.Raw; len(b) >= 8; b = b[8:] {
			list = append(list, int64(binary.LittleEndian.Uint64(b)))
		}
	case onnx.Int32:
		for b := t.Raw; len(b) >= 4; b = b[4:] {
			list = append(list, int64(int32(binary.LittleEndian.Uint32(b))))
		}
	default:
		refuse("input %d is %s, expects int64", i, t.DataType)
	}
	return list, true
}

// attribute returns an attribute of the node, nil if it has none of that name.
func (c *call) attribute(name string) *onnx.Attribute {
	for i := range c.node.Attributes {
		if a := &c.node.Attributes[i]; a.Name == name {
			return c.frame.attribute(a)
		}
	}
	return nil
}

// int returns an integer attribute, or otherwise if the node has none.
func (c *call) int(name string, otherwise int64) int64 {
	if a := c.attribute(name); a != nil {
		return a.Int
	}
	return otherwise
}

// elem gives an output the element type of an input.
func (c *call) elem(in, out int) {
	t := c.in(in)
	switch {
	case t == nil:
		refuse("the type of input %d is not known", in)
	case out >= len(c.outs):
		refuse("it has no output %d", out)
	case isTensor(t):
		if t.DataType == 0 {
			refuse("the element type of input %d is not known", in)
		}
		if c.outs[out].Kind == 0 {
			c.outs[out].Kind = t.Kind
		}
		c.outs[out].DataType = t.DataType
	default:
		if t.Elem == nil && t.Kind != onnx.OpaqueType {
			refuse("the element type of input %d is not known", in)
		}
		c.outs[out] = copied(t)
	}
}

// is gives an output an element type.
func (c *call) is(out int, t onnx.DataType) {
	if out < len(c.outs) {
		c.outs[out].Kind, c.outs[out].DataType = onnx.TensorType, t
	}
}

// named gives an output the element type that an attribute names by its number.
func (c *call) named(attribute string, out int, otherwise onnx.DataType) {
	a := c.attribute(attribute)
	switch {
	case a == nil && otherwise == 0:
		refuse("attribute %.80q is missing", attribute)
	case a == nil:
		c.is(out, otherwise)
	case a.Type != onnx.AttrInt || a.Int < 0 || a.Int > math.MaxInt32 || a.Int != 0 && !onnx.DataType(a.Int).Known():
		refuse("attribute %.80q is %d, which is no element type", attribute, a.Int)
	default:
		c.is(out, onnx.DataType(a.Int))
	}
}

// sized gives an output a shape.
func (c *call) sized(out int, dims []onnx.Dim) {
	if out >= len(c.outs) {
		return
	}
	if c.outs[out].Kind == 0 {
		c.outs[out].Kind = onnx.TensorType
	}
	c.outs[out].NoShape, c.outs[out].Dims = false, slices.Clone(dims)
}

// ranked gives an output a rank with unknown sizes.
func (c *call) ranked(out, rank int) { c.sized(out, open(rank)) }

func open(rank int) []onnx.Dim {
	dims := make([]onnx.Dim, rank)
	for i := range dims {
		dims[i].Open = true
	}
	return dims
}

// same gives an output the type and shape of an input.
func (c *call) same(in, out int) {
	c.elem(in, out)
	if dims, ok := c.shape(in); ok {
		c.sized(out, dims)
	}
}

// axis returns an axis that may count from the last. over is how far beyond the
// last axis it may go.
func axis(a int64, rank int, over int64) int {
	a = int64(int32(a)) // as ONNX's own rules read it
	if a < -int64(rank) || a >= int64(rank)+over {
		refuse("axis %d of a value with %d axes", a, rank)
	}
	if a < 0 {
		a += int64(rank)
	}
	return int(a)
}

// constraints compares the types of inputs and outputs with those that the
// operator allows, and with one another if they share a type variable. Outputs
// without a rule get their types from the variables.
func (c *call) constraints() {
	grave := func(format string, args ...any) {
		x := guard(func() { refuse(format, args...) })
		panic(fault{x.reason, true})
	}
	first := map[string]string{}
	side := func(p *schema.Parameter, what string, i int, t *onnx.Type) {
		name := schema.TypeName(t)
		if !p.Takes(name) {
			grave("%s %d (%s) is %.80s, which %s-%d does not take", what, i, p.Name, name, c.op.Name, c.op.Since)
		}
		if p.Mixed {
			return
		}
		if have, ok := first[p.Variable]; !ok {
			first[p.Variable] = name
		} else if have != name {
			grave("%s %d (%s) is %.80s, other values of its type are %.80s", what, i, p.Name, name, have)
		}
	}
	for i := range c.node.Inputs {
		if t, p := c.in(i), c.op.Input(i); t != nil && p != nil {
			side(p, "input", i, t)
		}
	}
	for i, t := range c.outs {
		p := c.op.Output(i)
		if p == nil {
			continue
		}
		if t.Kind == 0 {
			name := first[p.Variable]
			if len(p.Types) == 1 {
				name = p.Types[0]
			}
			if name == "" || p.Mixed && len(p.Types) != 1 {
				continue
			}
			if made := schema.ParseType(name); made != nil {
				*t = *made
			}
		}
		if t.Kind != 0 {
			side(p, "output", i, t)
		}
	}
}

// constantOf converts an attribute of a Constant to a tensor, as far as rules
// need it.
func constantOf(a *onnx.Attribute) *onnx.Tensor {
	if a == nil {
		return nil
	}
	switch {
	case a.Name == "value" && a.Type == onnx.AttrTensor:
		return a.Tensor
	case a.Type == onnx.AttrInts:
		t := &onnx.Tensor{DataType: onnx.Int64, Dims: []int64{int64(len(a.Ints))}}
		for _, v := range a.Ints {
			t.Raw = binary.LittleEndian.AppendUint64(t.Raw, uint64(v))
		}
		return t
	case a.Type == onnx.AttrInt:
		return &onnx.Tensor{DataType: onnx.Int64, Raw: binary.LittleEndian.AppendUint64(nil, uint64(a.Int))}
	case a.Type == onnx.AttrFloats:
		t := &onnx.Tensor{DataType: onnx.Float, Dims: []int64{int64(len(a.Floats))}}
		for _, v := range a.Floats {
			t.Raw = binary.LittleEndian.AppendUint32(t.Raw, math.Float32bits(v))
		}
		return t
	case a.Type == onnx.AttrFloat:
		return &onnx.Tensor{DataType: onnx.Float, Raw: binary.LittleEndian.AppendUint32(nil, math.Float32bits(a.Float))}
	}
	return nil
}
