package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

func flatten(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	at := int64(int32(c.int("axis", 1)))
	if at < 0 && c.op.Since >= 11 {
		at += int64(len(dims))
	}
	if at < 0 || at > int64(len(dims)) {
		refuse("axis %d of a value with %d axes", c.int("axis", 1), len(dims))
	}
	c.sized(0, []onnx.Dim{product(dims[:at]), product(dims[at:])})
}

// product multiplies sizes, as far as they are known.
func product(dims []onnx.Dim) onnx.Dim {
	n := int64(1)
	for _, d := range dims {
		if d.Open {
			if len(dims) == 1 {
				return d
			}
			return onnx.Dim{Open: true}
		}
		n *= d.Value
	}
	return onnx.Dim{Value: n}
}

func shapeRule(c *call) {
	c.is(0, onnx.Int64)
	dims, ok := c.shape(0)
	if !ok {
		c.ranked(0, 1)
		return
	}
	rank := int64(len(dims))
	bound := func(name string, otherwise int64) int64 {
		v := c.int(name, otherwise)
		if v < 0 {
			v += rank
		}
		return min(max(v, 0), rank)
	}
	c.sized(0, fixed([]int64{max(0, bound("end", rank)-bound("start", 0))}))
}

func constantOfShape(c *call) {
	if a := c.attribute("value"); a != nil && a.Tensor != nil {
		c.is(0, a.Tensor.DataType)
		if n := a.Tensor.Dims; len(n) != 1 || n[0] != 1 {
			refuse("its value has the shape %v, expects one element", n)
		}
	} else {
		c.is(0, onnx.Float)
	}
	c.sizes(0, 0, false)
}

// sizes gives an output the shape in an input. If the file does not contain that
// input, only the rank is known.
func (c *call) sizes(in, out int, negative bool) (list []int64, ok bool) {
	if list, ok = c.ints(in); ok {
		for _, d := range list {
			if d < 0 && !negative {
				refuse("size %d", d)
			}
		}
		c.sized(out, fixed(list))
		return list, true
	}
	if dims, known := c.shape(in); known {
		if len(dims) != 1 {
			refuse("a shape with %d axes, expects 1", len(dims))
		}
		if d := dims[0]; !d.Open && d.Value >= 0 && d.Value < 1024 {
			c.ranked(out, int(d.Value))
		}
	}
	return nil, false
}

func concat(c *call) {
	c.elem(0, 0)
	n := len(c.node.Inputs)
	if !c.shapes(n) {
		return
	}
	first, _ := c.shape(0)
	at := axis(c.int("axis", 1), len(first), 0)
	out, total, known := slices.Clone(first), int64(0), true
	for i := range n {
		dims, _ := c.shape(i)
		if len(dims) != len(first) {
			refuse("input 0 has %d axes, input %d has %d", len(first), i, len(dims))
		}
		for j, d := range dims {
			switch {
			case j == at && d.Open:
				known = false
			case j == at:
				total += d.Value
			case d.Open:
			case !out[j].Open && out[j].Value != d.Value:
				refuse("inputs of the sizes %d and %d on axis %d", out[j].Value, d.Value, j)
			default:
				out[j] = d
			}
		}
	}
	if n > 1 {
		if out[at] = (onnx.Dim{Value: total}); !known {
			out[at] = onnx.Dim{Open: true}
		}
	}
	c.sized(0, out)
}

func transpose(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	out := slices.Clone(dims)
	a := c.attribute("perm")
	if a == nil {
		slices.Reverse(out)
		c.sized(0, out)
		return
	}
	seen := map[int64]bool{}
	if len(a.Ints) != len(dims) && !(len(a.Ints) < len(dims)) {
		refuse("perm %v of a value with %d axes", a.Ints, len(dims))
	}
	out = out[:0]
	for _, p := range a.Ints {
		if p < 0 || p >= int64(len(dims)) || seen[p] {
			refuse("perm %v of a value with %d axes", a.Ints, len(dims))
		}
		seen[p] = true
		out = append(out, dims[p])
	}
	c.sized(0, out)
}

func reshape(c *call) {
	c.elem(0, 0)
	var list []int64
	var ok bool
	if a := c.op.Attribute("shape"); a != nil { // opset 1
		if own := c.attribute("shape"); own != nil {
			list, ok = own.Ints, true
		}
	} else {
		list, ok = c.ints(1)
	}
	if !ok {
		if c.op.Since >= 5 {
			if dims, known := c.shape(1); known && len(dims) != 1 && c.op.Since >= 14 {
				refuse("a shape with %d axes, expects 1", len(dims))
			} else if known && len(dims) == 1 && !dims[0].Open && dims[0].Value >= 0 && dims[0].Value < 1024 && c.op.Since >= 14 {
				c.ranked(0, int(dims[0].Value))
			}
		}
		return
	}
	from, known := c.shape(0)
	out, rest := make([]onnx.Dim, len(list)), -1
	allowZero := c.int("allowzero", 0) != 0
	made, whole := int64(1), true
	for i, v := range list {
		switch {
		case v == -1 && rest >= 0:
			refuse("shape %v leaves two sizes open", list)
		case v == -1:
			rest = i
			out[i] = onnx.Dim{Open: true}
			continue
		case v < 0:
			refuse("shape %v", list)
		case v == 0 && !allowZero:
			switch {
			case !known:
				out[i] = onnx.Dim{Open: true}
			case i >= len(from):
				refuse("shape %v keeps axis %d of %d", list, i, len(from))
			default:
				out[i] = from[i]
			}
		default:
			out[i] = onnx.Dim{Value: v}
		}
		if out[i].Open {
			whole = false
		} else {
			made *= out[i].Value
		}
	}
	if rest >= 0 && known && whole {
		if total := product(from); !total.Open {
			if made == 0 || total.Value%made != 0 {
				refuse("shape %v of a value with %d elements", list, total.Value)
			}
			out[rest] = onnx.Dim{Value: total.Value / made}
		}
	}
	c.sized(0, out)
}

func expand(c *call) {
	c.elem(0, 0)
	from, known := c.shape(0)
	list, ok := c.ints(1)
	if ok && known {
		c.sized(0, broadcast([][]onnx.Dim{from, fixed(list)}))
	} else if dims, k := c.shape(1); k && known {
		if len(dims) != 1 {
			refuse("a shape with %d axes, expects 1", len(dims))
		}
		if n := dims[0]; !n.Open && n.Value >= 0 && n.Value <= maxListed {
			c.sized(0, broadcast([][]onnx.Dim{from, open(int(n.Value))}))
		}
	}
}

func gather(c *call) {
	c.elem(0, 0)
	if !c.shapes(2) {
		return
	}
	dims, _ := c.shape(0)
	at, _ := c.shape(1)
	if len(dims) < 1 {
		refuse("input 0 has no axes")
	}
	a := axis(c.int("axis", 0), len(dims), 0)
	c.sized(0, slices.Concat(dims[:a], at, dims[a+1:]))
}

func gatherElements(c *call) {
	c.elem(0, 0)
	c.keep(1, 0)
}

func gatherND(c *call) {
	c.elem(0, 0)
	if !c.shapes(2) {
		return
	}
	dims, _ := c.shape(0)
	at, _ := c.shape(1)
	batch := c.int("batch_dims", 0)
	if len(dims) < 1 || len(at) < 1 {
		refuse("inputs with %d and %d axes, expects 1 or more", len(dims), len(at))
	}
	last := at[len(at)-1]
	if last.Open {
		return
	}
	from := last.Value + batch
	if from > int64(len(dims)) || from < 0 {
		refuse("indices of %d axes in a value with %d", last.Value, len(dims))
	}
	if size := slices.Concat(at[:len(at)-1], dims[from:]); len(size) > 0 { // ONNX's rule leaves a single element without a shape
		c.sized(0, size)
	}
}

func where(c *call) {
	c.elem(1, 0)
	c.broadcast(3)
}
