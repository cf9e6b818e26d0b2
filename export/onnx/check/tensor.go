package check

import (
	"encoding/binary"
	"math/bits"

	"github.com/attnx/attnx/export/onnx"
)

// size returns the number of elements of a shape; ok is false if the shape is
// invalid or the number exceeds 63 bits.
func size(dims []int64) (n int64, ok bool) {
	n = 1
	for _, d := range dims {
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if d < 0 || hi != 0 || int64(lo) < 0 {
			return 0, false
		}
		n = int64(lo)
	}
	return n, true
}

// tensor checks that a tensor contains its elements. Surplus elements are
// ignored.
func (c *checker) tensor(t *onnx.Tensor, where string) {
	if t.DataType == 0 {
		c.bad(where, "it has no element type")
		return
	}
	if t.Misplaced {
		c.bad(where, "its elements are in two places, or in a field that does not hold %s", t.DataType)
		return
	}
	if t.External != nil {
		if len(t.Raw) > 0 || len(t.Strings) > 0 {
			c.bad(where, "external data and data in the file")
		} else {
			c.external(t, where)
		}
		return
	}
	n, ok := size(t.Dims)
	if !ok {
		c.bad(where, "shape %v is not a size", t.Dims)
		return
	}
	has := int64(len(t.Raw))
	want, fixed := t.DataType.BytesOf(n)
	switch {
	case n == 0 && (has > 0 || len(t.Strings) > 0):
		c.bad(where, "it has no elements, but data")
	case t.DataType == onnx.String && has > 0:
		c.bad(where, "strings as raw bytes")
	case t.DataType == onnx.String && int64(len(t.Strings)) < n:
		c.bad(where, "%d strings, its shape %v has %d", len(t.Strings), t.Dims, n)
	case t.DataType == onnx.String:
	case !t.DataType.Known() && has == 0:
		c.bad(where, "elements of type %d, which ONNX does not have", t.DataType)
	case n > 0 && !fixed && t.DataType.Known():
		c.bad(where, "shape %v is not a size", t.Dims)
	case t.Short && packed(t.DataType): // several elements in a byte: ONNX's checker does not count them
	case n > 0 && (has == 0 || has < want):
		c.bad(where, "%s%v has %d bytes, expects %d: its elements are missing, or in the wrong field", t.DataType, t.Dims, has, want)
	}
}

// packed reports whether a byte holds several elements.
func packed(t onnx.DataType) bool {
	bits, _ := t.BytesOf(8)
	return bits == 2 || bits == 4
}

// sparse checks a sparse tensor: values and their positions.
func (c *checker) sparse(t *onnx.SparseTensor, where string) {
	if t.Values == nil {
		c.bad(where, "it has no values")
		return
	}
	before := len(c.found)
	c.tensor(t.Values, where)
	if len(t.Values.Dims) != 1 {
		c.bad(where, "its values have %d axes, expects 1", len(t.Values.Dims))
	}
	if len(t.Dims) == 0 {
		c.bad(where, "it has no shape")
	}
	for _, d := range t.Dims {
		if d <= 0 {
			c.bad(where, "its shape %v has a size that is not positive", t.Dims)
		}
	}
	if len(c.found) > before {
		return
	}
	count := t.Values.Dims[0]
	if t.Indices == nil {
		if count != 0 {
			c.bad(where, "it has %d values and no indices", count)
		}
		return
	}
	if c.tensor(t.Indices, where); len(c.found) > before {
		return
	}
	c.indices(t, count, where)
}

// indices checks that the positions of the values are within the shape and in
// order. A position is one number, or one per axis.
func (c *checker) indices(t *onnx.SparseTensor, count int64, where string) {
	rank, places := int64(len(t.Dims)), t.Indices
	switch {
	case places.DataType != onnx.Int64:
		c.bad(where, "its indices are %s, expects int64", places.DataType)
		return
	case len(places.Dims) != 1 && len(places.Dims) != 2:
		c.bad(where, "its indices have %d axes, expects 1 or 2", len(places.Dims))
		return
	case places.Dims[0] != count:
		c.bad(where, "%d indices for %d values", places.Dims[0], count)
		return
	case len(places.Dims) == 2 && places.Dims[1] != rank:
		c.bad(where, "indices of %d axes, its shape has %d", places.Dims[1], rank)
		return
	}
	axes := t.Dims
	if len(places.Dims) == 1 {
		axes = []int64{1}
		for _, d := range t.Dims {
			axes[0] *= d
		}
	}
	last := int64(-1)
	for i := range count {
		place := int64(0)
		for j, d := range axes {
			at := 8 * (i*int64(len(axes)) + int64(j))
			if at+8 > int64(len(places.Raw)) {
				return // stored in another file
			}
			x := int64(binary.LittleEndian.Uint64(places.Raw[at:]))
			if x < 0 || x >= d {
				c.bad(where, "index %d of value %d is outside %v", x, i, t.Dims)
				return
			}
			place = place*d + x
		}
		if place <= last {
			c.bad(where, "value %d is not in order", i)
			return
		}
		last = place
	}
}
