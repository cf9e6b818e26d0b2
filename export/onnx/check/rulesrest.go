package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// Rules of operators on sequences, strings, images and sets.
func init() {
	rules["SequenceMap"], rules["SplitToSequence"] = sequenceMap, splitToSequence
	rules["StringNormalizer"], rules["TfIdfVectorizer"] = stringNormalizer, tfIdf
	rules["ImageDecoder"], rules["NonMaxSuppression"] = imageDecoder, nonMaxSuppression
	rules["ReverseSequence"], rules["Unique"], rules["SwiGLU"] = reverseSequence, unique, swiGLU
	rules["RotaryEmbedding"], rules["TensorScatter"] = rotary, tensorScatter
}

func sequenceMap(c *call) {
	var inputs []*onnx.Type
	for i := range c.node.Inputs {
		t := c.in(i)
		switch {
		case t == nil:
			refuse("the type of input %d is not known", i)
		case t.Kind == onnx.SequenceType:
			t = t.Elem
		case i == 0:
			refuse("input 0 is %s, expects a sequence", t)
		}
		inputs = append(inputs, t)
	}
	outs := c.body("body", inputs)
	if len(outs) == 0 {
		return
	}
	if len(outs) != len(c.outs) {
		refuse("the body has %d outputs, the node has %d", len(outs), len(c.outs))
	}
	for i, out := range outs {
		c.outs[i] = &onnx.Type{Kind: onnx.SequenceType, NoShape: true, Elem: copied(out)}
	}
}

func splitToSequence(c *call) {
	t := c.in(0)
	if t == nil {
		refuse("the type of input 0 is not known")
	}
	elem := &onnx.Type{Kind: onnx.TensorType, DataType: t.DataType, NoShape: true}
	c.outs[0] = &onnx.Type{Kind: onnx.SequenceType, NoShape: true, Elem: elem}
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	at := axis(c.int("axis", 0), len(dims), 0)
	part := onnx.Dim{Open: true}
	if len(c.node.Inputs) == 1 {
		part = onnx.Dim{Value: 1}
		if c.int("keepdims", 1) == 0 {
			elem.NoShape, elem.Dims = false, slices.Delete(slices.Clone(dims), at, at+1)
			return
		}
	} else if shape, known := c.shape(1); known && c.tensor(1) != nil {
		if size := c.parts(shape, dims[at]); size > 0 {
			part = onnx.Dim{Value: size}
		}
	}
	elem.NoShape, elem.Dims = false, slices.Clone(dims)
	elem.Dims[at] = part
}

// parts returns the size of the parts of a split axis, 0 if they differ or are not
// known.
func (c *call) parts(shape []onnx.Dim, whole onnx.Dim) int64 {
	list, known := c.ints(1)
	if !known {
		return 0
	}
	if len(list) == 0 {
		refuse("a split without parts")
	}
	if whole.Open {
		return 0
	}
	if len(shape) == 0 {
		if list[0] <= 0 {
			refuse("parts of %d", list[0])
		}
		if whole.Value%list[0] != 0 {
			return 0
		}
		return list[0]
	}
	total, equal := int64(0), true
	for _, n := range list {
		total += n
		equal = equal && n == list[0]
	}
	if total != whole.Value {
		refuse("parts of %v, the axis has the size %d", list, whole.Value)
	}
	if !equal {
		return 0
	}
	return list[0]
}

func stringNormalizer(c *call) {
	c.is(0, onnx.String)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	switch {
	case len(dims) == 1:
		c.ranked(0, 1)
	case len(dims) == 2 && !dims[0].Open && dims[0].Value == 1:
		c.sized(0, []onnx.Dim{dims[0], {Open: true}})
	default:
		refuse("a value with %d axes, expects [C] or [1,C]", len(dims))
	}
}

func tfIdf(c *call) {
	c.is(0, onnx.Float)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	a := c.attribute("ngram_indexes")
	if a == nil || len(a.Ints) == 0 || slices.Min(a.Ints) < 0 {
		refuse("ngram_indexes expects numbers that are not negative")
	}
	if len(dims) != 1 && len(dims) != 2 {
		refuse("input 0 has %d axes, expects 1 or 2", len(dims))
	}
	c.sized(0, append(slices.Clone(dims[:len(dims)-1]), onnx.Dim{Value: slices.Max(a.Ints) + 1}))
}

func imageDecoder(c *call) {
	if dims, ok := c.shape(0); ok && len(dims) != 1 {
		refuse("input 0 has %d axes, expects 1", len(dims))
	}
	c.is(0, onnx.Uint8)
	c.ranked(0, 3)
}

func nonMaxSuppression(c *call) {
	c.is(0, onnx.Int64)
	if c.op.Since >= 11 {
		c.sized(0, []onnx.Dim{{Open: true}, {Value: 3}})
	}
}

func reverseSequence(c *call) {
	c.elem(0, 0)
	if !c.shapes(2) {
		return
	}
	dims, _ := c.shape(0)
	lengths, _ := c.shape(1)
	if len(dims) < 2 || len(lengths) != 1 {
		refuse("inputs with %d and %d axes, expects 2 or more and 1", len(dims), len(lengths))
	}
	c.sized(0, dims)
}

func unique(c *call) {
	c.elem(0, 0)
	for i := 1; i < len(c.outs); i++ {
		c.is(i, onnx.Int64)
		c.ranked(i, 1)
	}
	if c.attribute("axis") == nil {
		c.ranked(0, 1)
		return
	}
	if dims, ok := c.shape(0); ok {
		out := slices.Clone(dims)
		out[axis(c.int("axis", 0), len(dims), 0)] = onnx.Dim{Open: true}
		c.sized(0, out)
	}
}

func swiGLU(c *call) {
	c.elem(0, 0)
	if !c.shapes(2) {
		return
	}
	dims, _ := c.shape(0)
	out := slices.Clone(dims)
	sizes := make([]*onnx.Dim, len(out))
	for i := range out {
		sizes[i] = &out[i]
	}
	c.unify(1, sizes...)
	c.sized(0, out)
}

func rotary(c *call) {
	c.same(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if len(dims) != 3 && len(dims) != 4 {
		refuse("input 0 has %d axes, expects 3 or 4", len(dims))
	}
	if len(dims) == 3 && c.attribute("num_heads") == nil {
		refuse("attribute %.80q is missing", "num_heads")
	}
}

func tensorScatter(c *call) {
	c.same(0, 0)
	dims, ok := c.shape(0)
	update, okU := c.shape(1)
	if ok && okU {
		if len(update) != len(dims) {
			refuse("a cache with %d axes and an update with %d", len(dims), len(update))
		}
		at := axis(c.int("axis", -2), len(dims), 0)
		if at == 0 {
			refuse("axis 0 of the cache, the axis of the batch")
		}
		for i, d := range update {
			if i != at {
				size := dims[i]
				meet(d, &size, 1)
			}
		}
	}
	batch := unknown()
	if ok && len(dims) > 0 {
		*batch = dims[0]
	}
	c.unify(2, batch)
}
