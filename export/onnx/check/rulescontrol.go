package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

func ifRule(c *call) {
	then, otherwise := c.body("then_branch", nil), c.body("else_branch", nil)
	if len(then) != len(otherwise) {
		refuse("the branches have %d and %d outputs", len(then), len(otherwise))
	}
	if len(then) != len(c.outs) {
		refuse("the branches have %d outputs, the node has %d", len(then), len(c.outs))
	}
	for i := range then {
		c.outs[i] = copied(then[i])
		union(otherwise[i], c.outs[i])
	}
}

// union reduces into to the common part of both types, and refuses types that
// differ in more than shapes.
func union(other, into *onnx.Type) {
	if other.Kind != into.Kind || other.DataType != into.DataType {
		refuse("the branches give %s and %s", into, other)
	}
	if other.Elem != nil && into.Elem != nil {
		union(other.Elem, into.Elem)
		return
	}
	if !isTensor(into) || into.NoShape {
		return
	}
	if other.NoShape || len(other.Dims) != len(into.Dims) {
		into.NoShape, into.Dims = true, nil
		return
	}
	for i, d := range other.Dims {
		if e := into.Dims[i]; d.Open != e.Open || d.Value != e.Value || d.Param != e.Param {
			into.Dims[i] = onnx.Dim{Open: true}
		}
	}
}

func loop(c *call) {
	states := len(c.node.Inputs) - 2
	inputs := []*onnx.Type{{Kind: onnx.TensorType, DataType: onnx.Int64, NoShape: true}, c.in(1)}
	for i := range states {
		if i >= len(c.outs) {
			refuse("it has %d values that it carries on and %d outputs", states, len(c.outs))
		}
		c.elem(i+2, i)
		t := copied(c.in(i + 2))
		for x := t; x != nil; x = x.Elem {
			x.NoShape, x.Dims = true, nil
		}
		inputs = append(inputs, t)
	}
	outs := c.body("body", inputs)
	if len(outs) == 0 {
		return
	}
	if len(outs) != len(c.outs)+1 {
		refuse("the body has %d outputs, expects %d", len(outs), len(c.outs)+1)
	}
	for i, out := range c.outs {
		made := outs[i+1]
		if made.Kind != onnx.TensorType && (i >= states || made.Kind != onnx.SequenceType && made.Kind != onnx.OptionalType) {
			refuse("output %d of the body is %s", i+1, made)
		}
		c.carry(made, out)
		if i >= states && !made.NoShape {
			c.sized(i, slices.Concat(open(1), made.Dims))
		}
	}
}

// carry gives an output the type that a body computes, which must agree with the
// declared one.
func (c *call) carry(made, out *onnx.Type) {
	switch {
	case isTensor(made) && made.DataType == 0:
		refuse("the body makes a value without an element type")
	case out.Kind == 0, !isTensor(made) && made.Kind != out.Kind:
		*out = *copied(made)
		for x := out; x != nil; x = x.Elem {
			x.NoShape, x.Dims = true, nil
		}
	case isTensor(made) != isTensor(out) || made.DataType != out.DataType && out.DataType != 0:
		refuse("the body makes %s of %s", made, out)
	case made.Elem != nil && out.Elem != nil:
		c.carry(made.Elem, out.Elem)
	}
}

func sequenceConstruct(c *call) {
	var elem *onnx.Type
	for i := range c.node.Inputs {
		t := c.in(i)
		if t == nil {
			refuse("the type of input %d is not known", i)
		}
		if t.DataType == 0 && isTensor(t) || elem != nil && t.DataType != elem.DataType {
			refuse("inputs of other types")
		}
		if elem == nil {
			elem = copied(t)
		} else {
			union(t, elem)
		}
	}
	if elem != nil {
		c.outs[0] = &onnx.Type{Kind: onnx.SequenceType, NoShape: true, Elem: elem}
	}
}

func sequenceEmpty(c *call) {
	t := onnx.DataType(c.int("dtype", int64(onnx.Float)))
	if !t.Known() {
		refuse("attribute %.80q is %d, which is no element type", "dtype", t)
	}
	c.outs[0] = &onnx.Type{Kind: onnx.SequenceType, NoShape: true, Elem: &onnx.Type{Kind: onnx.TensorType, DataType: t, NoShape: true}}
}

func sequenceAt(c *call) {
	if t := c.in(0); t == nil {
		refuse("the type of input 0 is not known")
	}
	if t := c.in(0); t.Kind == onnx.SequenceType && t.Elem != nil {
		c.outs[0] = copied(t.Elem)
	}
}

func sequenceInsert(c *call) {
	s, t := c.in(0), c.in(1)
	if s == nil || t == nil {
		refuse("the types of its inputs are not known")
	}
	if s.Kind != onnx.SequenceType || s.Elem == nil {
		return
	}
	if s.Elem.DataType != t.DataType {
		refuse("a sequence of %s and a value of %s", s.Elem.DataType, t.DataType)
	}
	out := copied(s)
	union(t, out.Elem)
	c.outs[0] = out
}

func sequenceErase(c *call) {
	if c.in(0) == nil {
		refuse("the type of input 0 is not known")
	}
	c.outs[0] = copied(c.in(0))
}

func concatFromSequence(c *call) {
	s := c.in(0)
	if s == nil {
		refuse("the type of input 0 is not known")
	}
	if s.Kind != onnx.SequenceType || s.Elem == nil {
		return
	}
	c.is(0, s.Elem.DataType)
	if s.Elem.NoShape {
		return
	}
	rank := int64(len(s.Elem.Dims))
	at, fresh := c.int("axis", 0), c.int("new_axis", 0)
	if fresh != 0 {
		rank++
	}
	if fresh < 0 || fresh > 1 || at < -rank || at >= rank {
		refuse("axis %d of a value with %d axes, new_axis %d", at, rank, fresh)
	}
	if at < 0 {
		at += rank
	}
	dims := slices.Clone(s.Elem.Dims)
	if fresh == 1 {
		dims = slices.Concat(dims[:at], open(1), dims[at:])
	} else {
		dims[at] = onnx.Dim{Open: true}
	}
	c.sized(0, dims)
}

func optional(c *call) {
	switch a := c.attribute("type"); {
	case a != nil && len(c.node.Inputs) == 0 && len(a.Types) == 1:
		c.outs[0] = &onnx.Type{Kind: onnx.OptionalType, NoShape: true, Elem: copied(a.Types[0])}
	case len(c.node.Inputs) == 1 && c.in(0) != nil:
		c.outs[0] = &onnx.Type{Kind: onnx.OptionalType, NoShape: true, Elem: copied(c.in(0))}
	case len(c.node.Inputs) == 1:
		refuse("the type of input 0 is not known")
	default:
		refuse("it has neither an input nor a type")
	}
}

func optionalGetElement(c *call) {
	t := c.in(0)
	switch {
	case t == nil:
		refuse("the type of input 0 is not known")
	case t.Kind != onnx.OptionalType && c.op.Since >= 18:
		c.outs[0] = copied(t)
	case t.Kind != onnx.OptionalType || t.Elem == nil:
		refuse("input 0 is no optional value, or of what is not known")
	default:
		c.outs[0] = copied(t.Elem)
	}
}
