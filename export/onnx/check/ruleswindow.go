package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// Rules of operators that slide a window over the axes after the second one, or cut
// regions out of them.
func init() {
	rules["Conv"] = func(c *call) { c.elem(0, 0); c.convolution(0, 1) }
	rules["DeformConv"] = rules["Conv"]
	rules["ConvInteger"] = func(c *call) { c.tensors(0, 1); c.is(0, onnx.Int32); c.convolution(0, 1) }
	rules["QLinearConv"] = func(c *call) { c.tensors(0, 3); c.elem(7, 0); c.convolution(0, 3) }
	rules["ConvTranspose"], rules["MaxUnpool"], rules["MaxRoiPool"] = convTranspose, maxUnpool, maxRoiPool
	rules["RoiAlign"], rules["Col2Im"], rules["CausalConvWithState"] = roiAlign, col2Im, causalConv
}

// tensors refuses inputs whose types are not known or that are no tensors.
func (c *call) tensors(inputs ...int) {
	for _, i := range inputs {
		if t := c.in(i); t == nil || t.Kind != onnx.TensorType {
			refuse("input %d is no tensor, or its type is not known", i)
		}
	}
}

// convolution gives the output the shape of a convolution of input x with the
// weights in input w.
func (c *call) convolution(x, w int) {
	dims, ok := c.shape(x)
	weights, okW := c.shape(w)
	if !ok || !okW {
		return
	}
	if len(dims) < 3 {
		refuse("input %d has %d axes, expects 3 or more", x, len(dims))
	}
	if len(weights) == 0 {
		refuse("input %d has no axes", w)
	}
	if kernel, known := c.kernel(weights, len(dims)-2); known {
		c.window(dims, kernel, weights[0])
	}
}

// kernel returns the kernel's shape, from its attribute or the weights; known is
// false if the sizes of the weights are not known.
func (c *call) kernel(weights []onnx.Dim, n int) (kernel []int64, known bool) {
	if a := c.attribute("kernel_shape"); a != nil {
		if len(a.Ints) != n {
			refuse("kernel_shape %v for %d axes", a.Ints, n)
		}
		return a.Ints, true
	}
	for _, d := range weights[min(2, len(weights)):] {
		if d.Open {
			return nil, false
		}
		kernel = append(kernel, d.Value)
	}
	if len(kernel) != n {
		refuse("a kernel with %d axes for %d", len(kernel), n)
	}
	return kernel, true
}

// numbers returns an attribute with a number for each of count places, otherwise if
// the node has none. It refuses another count, and numbers below least.
func (c *call) numbers(name string, count int, otherwise, least int64) []int64 {
	a := c.attribute(name)
	if a == nil {
		return slices.Repeat([]int64{otherwise}, count)
	}
	if len(a.Ints) != count {
		refuse("%s %v, expects %d numbers", name, a.Ints, count)
	}
	for _, v := range a.Ints {
		if v < least {
			refuse("%s %v has a number below %d", name, a.Ints, least)
		}
	}
	return a.Ints
}

func convTranspose(c *call) {
	c.elem(0, 0)
	if !c.shapes(2) {
		return
	}
	dims, _ := c.shape(0)
	weights, _ := c.shape(1)
	if len(dims) < 3 {
		refuse("input 0 has %d axes, expects 3 or more", len(dims))
	}
	n := len(dims) - 2
	dilations, strides := c.numbers("dilations", n, 1, 1), c.numbers("strides", n, 1, 1)
	kernel, known := c.kernel(weights, n)
	if !known {
		return
	}
	for _, k := range kernel {
		if k <= 0 {
			refuse("kernel %v", kernel)
		}
	}
	pads, auto := c.numbers("pads", 2*n, 0, 0), "NOTSET"
	if a := c.attribute("auto_pad"); a != nil {
		auto = string(a.String)
	}
	if c.attribute("pads") != nil && auto != "NOTSET" {
		refuse("it has both pads and auto_pad")
	}
	if len(weights) < 2 {
		refuse("input 1 has %d axes, expects %d", len(weights), len(dims))
	}
	channels := weights[1]
	if group := c.int("group", 1); channels.Open {
		channels = onnx.Dim{Open: true}
	} else {
		channels.Value *= group
	}
	added := c.numbers("output_padding", n, 0, 0)
	out := []onnx.Dim{dims[0], channels}
	if a := c.attribute("output_shape"); a != nil {
		for i, v := range c.numbers("output_shape", n, 0, 0) {
			if d := dims[i+2]; !d.Open && v < d.Value {
				return
			}
			out = append(out, onnx.Dim{Value: v})
		}
		c.sized(0, out)
		return
	}
	for i, k := range kernel {
		d := dims[i+2]
		if d.Open {
			out = append(out, onnx.Dim{Open: true})
			continue
		}
		k = (k-1)*dilations[i] + 1
		pad := pads[i] + pads[i+n]
		if c.attribute("pads") == nil && (auto == "SAME_UPPER" || auto == "SAME_LOWER") {
			pad = max(0, k-strides[i])
		}
		out = append(out, onnx.Dim{Value: strides[i]*(d.Value-1) + added[i] + k - pad})
	}
	c.sized(0, out)
}

func maxUnpool(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if len(dims) < 2 {
		refuse("input 0 has %d axes, expects 2 or more", len(dims))
	}
	n := len(dims) - 2
	least := int64(-1 << 62)
	pads, strides := c.numbers("pads", 2*n, 0, least), c.numbers("strides", n, 1, least)
	if c.attribute("kernel_shape") == nil {
		refuse("attribute %.80q is missing", "kernel_shape")
	}
	kernel := c.numbers("kernel_shape", n, 0, least)
	if len(c.node.Inputs) == 3 {
		if size, ok := c.shape(2); ok && (len(size) != 1 || !size[0].Open && size[0].Value != int64(len(dims))) {
			refuse("the output's shape has %v numbers, the input has %d axes", size, len(dims))
		}
		return
	}
	at, ok := c.shape(1)
	if !ok {
		return
	}
	if len(at) < 2 {
		refuse("input 1 has %d axes, expects 2 or more", len(at))
	}
	out := []onnx.Dim{dims[0], at[1]}
	for i, k := range kernel {
		d := dims[i+2]
		if !d.Open {
			d.Value = strides[i]*(d.Value-1) + k - pads[i] - pads[i+n]
		}
		out = append(out, withoutName(d))
	}
	c.sized(0, out)
}

// withoutName returns a size, or an unknown one.
func withoutName(d onnx.Dim) onnx.Dim {
	if d.Open {
		return onnx.Dim{Open: true}
	}
	return d
}

func maxRoiPool(c *call) {
	c.elem(0, 0)
	if !c.shapes(2) {
		return
	}
	channels, count := unknown(), unknown()
	c.unify(0, unknown(), channels, unknown(), unknown())
	c.unify(1, count, &onnx.Dim{Value: 5})
	if c.attribute("pooled_shape") == nil {
		refuse("attribute %.80q is missing", "pooled_shape")
	}
	size := c.numbers("pooled_shape", 2, 0, 1)
	c.sized(0, []onnx.Dim{*count, *channels, {Value: size[0]}, {Value: size[1]}})
}

func roiAlign(c *call) {
	c.elem(0, 0)
	channels, count := unknown(), unknown()
	c.unify(0, unknown(), channels, unknown(), unknown())
	c.unify(1, count, &onnx.Dim{Value: 4})
	c.unify(2, count)
	c.sized(0, []onnx.Dim{*count, *channels, {Value: c.int("output_height", 1)}, {Value: c.int("output_width", 1)}})
}

// unknown returns a size of which nothing is known.
func unknown() *onnx.Dim { return &onnx.Dim{Open: true} }

// unify compares the shape of an input with sizes, which it completes: a size that
// several inputs share is the same in all of them. It passes over an input whose
// shape is not known.
func (c *call) unify(input int, sizes ...*onnx.Dim) {
	dims, ok := c.shape(input)
	if !ok {
		return
	}
	if len(dims) != len(sizes) {
		refuse("input %d has %d axes, expects %d", input, len(dims), len(sizes))
	}
	for i, d := range dims {
		meet(d, sizes[i], input)
	}
}

// meet completes a size with that of an input.
func meet(d onnx.Dim, size *onnx.Dim, input int) {
	switch {
	case !d.Open && !size.Open && d.Value != size.Value:
		refuse("input %d has the size %d, expects %d", input, d.Value, size.Value)
	case !d.Open, size.Open && size.Param == "":
		*size = d
	}
}

func col2Im(c *call) {
	c.elem(0, 0)
	if !c.shapes(3) {
		return
	}
	n := unknown()
	image, block := []int64(nil), []int64(nil)
	for i, list := range map[int]*[]int64{1: &image, 2: &block} {
		c.unify(i, n)
		if numbers, known := c.ints(i); known {
			*list = numbers
			meet(onnx.Dim{Value: int64(len(numbers))}, n, i)
		}
	}
	for _, name := range []string{"pads", "dilations", "strides"} {
		a := c.attribute(name)
		if a == nil {
			continue
		}
		count := len(a.Ints)
		if name == "pads" {
			if count%2 != 0 {
				refuse("pads %v", a.Ints)
			}
			count /= 2
		}
		if !n.Open && n.Value != int64(count) {
			refuse("%s %v for %d axes", name, a.Ints, n.Value)
		}
		*n = onnx.Dim{Value: int64(count)}
	}
	dims, _ := c.shape(0)
	if len(dims) != 3 {
		refuse("input 0 has %d axes, expects 3", len(dims))
	}
	size := int64(1)
	for _, b := range block {
		if b <= 0 {
			refuse("a block of %v", block)
		}
		size *= b
	}
	if n.Open || n.Value < 0 || n.Value > maxListed {
		return
	}
	channels := onnx.Dim{Open: true}
	if len(block) > 0 && size > 0 && !dims[1].Open {
		channels = onnx.Dim{Value: dims[1].Value / size}
	}
	out := append([]onnx.Dim{withoutName(dims[0]), channels}, open(int(n.Value))...)
	for i := range image {
		out[i+2] = onnx.Dim{Value: image[i]}
	}
	c.sized(0, out)
}

func causalConv(c *call) {
	if a := c.attribute("activation"); a != nil && !slices.Contains([]string{"none", "silu", "swish"}, string(a.String)) {
		refuse("activation is %.80q", a.String)
	}
	c.elem(0, 0)
	c.elem(0, 1)
	c.keep(0, 0)
	batch, channels, one, kernel, before := unknown(), unknown(), &onnx.Dim{Value: 1}, unknown(), unknown()
	c.unify(0, batch, channels, unknown())
	c.unify(1, channels, one, kernel)
	c.unify(2, channels)
	c.unify(3, batch, channels, before)
	if !kernel.Open {
		if kernel.Value < 1 {
			refuse("a kernel of %d", kernel.Value)
		}
		meet(onnx.Dim{Value: kernel.Value - 1}, before, 3)
	}
	c.sized(1, []onnx.Dim{*batch, *channels, *before})
}
