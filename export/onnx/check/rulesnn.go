package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

func reduce(c *call) {
	c.elem(0, 0)
	c.reduced()
}

func argReduce(c *call) {
	c.is(0, onnx.Int64)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	at := c.int("axis", 0)
	if c.op.Since >= 11 {
		at = int64(axis(at, len(dims), 0))
	} else if at < 0 { // ONNX's own rule passes over an axis that is not there
		at += int64(len(dims))
	}
	c.without(dims, map[int]bool{int(at): true})
}

// without gives the output a shape with some axes dropped, or set to size 1.
func (c *call) without(dims []onnx.Dim, drop map[int]bool) {
	var out []onnx.Dim
	for i, d := range dims {
		switch {
		case !drop[i]:
			out = append(out, d)
		case c.int("keepdims", 1) == 1:
			out = append(out, onnx.Dim{Value: 1})
		}
	}
	c.sized(0, out)
}

func (c *call) reduced() {
	list, _, known := c.listed("axes", 1)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if !known {
		return
	}
	drop := map[int]bool{}
	switch {
	case len(list) == 0 && c.int("noop_with_empty_axes", 0) != 0:
		c.sized(0, dims)
		return
	case len(list) == 0:
		for i := range dims {
			drop[i] = true
		}
	}
	for _, a := range list {
		drop[axis(a, len(dims), 0)] = true
	}
	c.without(dims, drop)
}

func layerNorm(c *call) {
	c.elem(0, 0)
	stash := onnx.DataType(c.int("stash_type", int64(onnx.Float)))
	for i := 1; i < len(c.outs); i++ {
		c.is(i, stash)
	}
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	c.sized(0, dims)
	at := axis(c.int("axis", -1), len(dims), 0)
	out := slices.Clone(dims)
	for i := at; i < len(out); i++ {
		out[i] = onnx.Dim{Value: 1}
	}
	for i := 1; i < len(c.outs); i++ {
		c.sized(i, out)
	}
}

func rmsNorm(c *call) {
	c.elem(0, 0)
	if dims, ok := c.shape(0); ok {
		c.sized(0, dims)
		if at := c.int("axis", -1); at < -int64(len(dims)) { // ONNX looks at this end only
			refuse("axis %d of a value with %d axes", at, len(dims))
		}
	}
}

func batchNorm(c *call) {
	c.same(0, 0)
	if c.op.Since < 14 {
		return
	}
	channels := onnx.Dim{Open: true}
	if dims, ok := c.shape(0); ok {
		if len(dims) == 1 {
			channels = onnx.Dim{Value: 1}
		} else if len(dims) > 1 {
			channels = dims[1]
		}
	}
	for i := 1; i < 5; i++ {
		dims, ok := c.shape(i)
		if !ok {
			continue
		}
		if len(dims) != 1 {
			refuse("input %d has %d axes, expects 1", i, len(dims))
		}
		if d := dims[0]; !d.Open {
			if !channels.Open && channels.Value != d.Value {
				refuse("input %d has %d elements for %d channels", i, d.Value, channels.Value)
			}
			channels = d
		}
	}
	if training := int32(c.int("training_mode", 0)) != 0; c.op.Since >= 14 && training != (len(c.outs) == 3) {
		refuse("%d outputs with training_mode %d", len(c.outs), c.int("training_mode", 0))
	}
	if len(c.outs) > 1 && c.op.Since >= 14 {
		for i := 1; i < len(c.outs) && i < 3; i++ {
			c.elem(i+2, i)
			c.sized(i, []onnx.Dim{channels})
		}
	}
}

func globalPool(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok || len(dims) < 2 {
		return
	}
	out := slices.Clone(dims)
	for i := 2; i < len(out); i++ {
		out[i] = onnx.Dim{Value: 1}
	}
	c.sized(0, out)
}

func pool(c *call) {
	c.elem(0, 0)
	if len(c.outs) > 1 {
		c.is(1, onnx.Int64)
	}
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if len(dims) < 3 {
		refuse("input 0 has %d axes, expects 3 or more", len(dims))
	}
	a := c.attribute("kernel_shape")
	if a == nil {
		refuse("attribute %.80q is missing", "kernel_shape")
	}
	if len(a.Ints) != len(dims)-2 {
		refuse("kernel_shape %v of a value with %d axes", a.Ints, len(dims))
	}
	c.window(dims, a.Ints, dims[1])
	if len(c.outs) > 1 {
		c.sized(1, c.outs[0].Dims)
	}
}

// window gives the output the shape of windows that slide over the axes after the
// second one.
func (c *call) window(dims []onnx.Dim, kernel []int64, channels onnx.Dim) {
	n := len(dims) - 2
	if len(kernel) != n {
		refuse("a kernel with %d axes for %d", len(kernel), n)
	}
	dilations, strides := c.numbers("dilations", n, 1, 1), c.numbers("strides", n, 1, 1)
	for _, k := range kernel {
		if k <= 0 {
			refuse("kernel %v", kernel)
		}
	}
	auto := ""
	if a := c.attribute("auto_pad"); a != nil {
		auto = string(a.String)
	}
	pads := slices.Repeat([]int64{0}, 2*n)
	if auto == "" || auto == "NOTSET" || c.attribute("pads") != nil {
		pads = c.numbers("pads", 2*n, 0, 0)
	}
	out := []onnx.Dim{dims[0], channels}
	for i, k := range kernel {
		d := dims[i+2]
		if d.Open {
			out = append(out, onnx.Dim{Open: true})
			continue
		}
		size := d.Value + pads[i] + pads[i+n]
		k = (k-1)*dilations[i] + 1
		switch {
		case c.attribute("pads") == nil && (auto == "SAME_UPPER" || auto == "SAME_LOWER"):
			out = append(out, onnx.Dim{Value: (d.Value + strides[i] - 1) / strides[i]})
			continue
		case c.int("ceil_mode", 0) != 0:
			m := (size-k+strides[i]-1)/strides[i] + 1
			if (m-1)*strides[i] >= d.Value+pads[i] {
				m--
			}
			out = append(out, onnx.Dim{Value: m})
			continue
		}
		out = append(out, onnx.Dim{Value: (size-k)/strides[i] + 1})
	}
	c.sized(0, out)
}

func det(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if len(dims) < 2 {
		refuse("input 0 has %d axes, expects 2 or more", len(dims))
	}
	a, b := dims[len(dims)-2], dims[len(dims)-1]
	if !a.Open && !b.Open && a.Value != b.Value {
		refuse("a matrix of %d rows and %d columns", a.Value, b.Value)
	}
	c.sized(0, dims[:len(dims)-2])
}

func blocks(c *call) {
	c.elem(0, 0)
	size := c.int("blocksize", 0)
	if size <= 0 || size > 1<<15 {
		refuse("blocksize %d", size)
	}
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if len(dims) != 4 {
		refuse("input 0 has %d axes, expects 4", len(dims))
	}
	out := slices.Clone(dims)
	for i, d := range dims {
		switch {
		case i == 0:
		case d.Open:
			out[i] = onnx.Dim{Open: true}
		case (i == 1) == (c.op.Name == "SpaceToDepth") && i == 1:
			out[i].Value = d.Value * size * size
		case i == 1:
			out[i].Value = d.Value / (size * size)
		case c.op.Name == "SpaceToDepth":
			out[i].Value = d.Value / size
		default:
			out[i].Value = d.Value * size
		}
	}
	c.sized(0, out)
}
