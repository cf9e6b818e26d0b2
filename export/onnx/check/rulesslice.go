package check

import (
	"encoding/binary"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// listed returns axes from an attribute or, in newer versions, an input. known is
// false if neither the node nor the file contains them; given is false if there
// are none.
func (c *call) listed(name string, input int) (list []int64, given, known bool) {
	if c.op.Attribute(name) != nil {
		a := c.attribute(name)
		if a == nil {
			return nil, false, true
		}
		return a.Ints, true, true
	}
	if !c.has(input) {
		return nil, false, true
	}
	list, known = c.ints(input)
	return list, true, known
}

func squeeze(c *call) {
	c.elem(0, 0)
	list, given, known := c.listed("axes", 1)
	dims, ok := c.shape(0)
	if !known || !ok {
		return
	}
	var out []onnx.Dim
	if !given {
		for _, d := range dims {
			if d.Open {
				return
			}
			if d.Value != 1 {
				out = append(out, d)
			}
		}
		c.sized(0, out)
		return
	}
	drop := map[int]bool{}
	for _, a := range list {
		drop[axis(a, len(dims), 0)] = true
	}
	for i, d := range dims {
		switch {
		case !drop[i]:
			out = append(out, d)
		case !d.Open && d.Value != 1:
			refuse("axis %d has the size %d, expects 1", i, d.Value)
		}
	}
	c.sized(0, out)
}

func unsqueeze(c *call) {
	c.elem(0, 0)
	list, _, known := c.listed("axes", 1)
	dims, ok := c.shape(0)
	if !known || !ok {
		return
	}
	rank := len(dims) + len(list)
	added := map[int]bool{}
	for _, a := range list {
		at := axis(a, rank, 0)
		if added[at] {
			refuse("axis %d is there twice", a)
		}
		added[at] = true
	}
	var out []onnx.Dim
	for i, j := 0, 0; i < rank; i++ {
		if added[i] {
			out = append(out, onnx.Dim{Value: 1})
			continue
		}
		out = append(out, dims[j])
		j++
	}
	c.sized(0, out)
}

func slice(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	c.ranked(0, len(dims))
	if c.op.Since < 10 {
		return
	}
	if n := len(c.node.Inputs); n < 3 {
		return
	}
	if c.tensor(1) == nil || c.tensor(2) == nil {
		return
	}
	starts, okS := c.ints(1)
	ends, okE := c.ints(2)
	var axes, steps []int64
	okA, okT := true, true
	if c.has(3) {
		axes, okA = c.ints(3)
	}
	if c.has(4) {
		steps, okT = c.ints(4)
	}
	if !okS || !okE || !okA || !okT {
		return
	}
	if len(starts) != len(ends) {
		refuse("%d starts and %d ends", len(starts), len(ends))
	}
	if !c.has(3) {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	if !c.has(4) {
		steps = slices.Repeat([]int64{1}, len(starts))
	}
	if len(axes) != len(starts) || len(steps) != len(starts) {
		refuse("%d starts, %d axes and %d steps", len(starts), len(axes), len(steps))
	}
	out := slices.Clone(dims)
	seen := map[int]bool{}
	for i, a := range axes {
		at := axis(a, len(dims), 0)
		if seen[at] {
			refuse("axis %d is there twice", a)
		}
		seen[at] = true
		if steps[i] == 0 {
			refuse("a step of 0")
		}
		if dims[at].Open {
			out[at] = onnx.Dim{Open: true}
			continue
		}
		out[at] = onnx.Dim{Value: sliced(starts[i], ends[i], steps[i], dims[at].Value)}
	}
	c.sized(0, out)
}

// sliced returns the length of a slice of n elements.
func sliced(start, end, step, n int64) int64 {
	clamp := func(v, low, high int64) int64 {
		if v < 0 {
			v += n
		}
		return min(max(v, low), high)
	}
	if step < 0 {
		start, end = clamp(start, 0, n-1), clamp(end, -1, n)
		return max(0, (end-start+step+1)/step)
	}
	start, end = clamp(start, 0, n), clamp(end, 0, n)
	return max(0, (end-start+step-1)/step)
}

func split(c *call) {
	for i := range c.outs {
		c.elem(0, i)
	}
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	at := axis(c.int("axis", 0), len(dims), 0)
	if counted := c.attribute("num_outputs") != nil; c.op.Since >= 18 && counted == c.has(1) && !dims[at].Open {
		refuse("it needs either the input split or the attribute num_outputs")
	}
	list, given, known := c.listed("split", 1)
	if !known {
		return
	}
	for i := range c.outs {
		out := slices.Clone(dims)
		n := int64(len(c.outs))
		switch {
		case dims[at].Open:
			out[at] = onnx.Dim{Open: true}
		case given && len(list) != len(c.outs):
			refuse("%d parts for %d outputs", len(list), len(c.outs))
		case given:
			out[at] = onnx.Dim{Value: list[i]}
		case c.op.Since >= 18:
			if n = c.int("num_outputs", n); n < 1 || int64(i) >= n { // ONNX's own rule reads beyond its list of parts
				refuse("num_outputs is %d, it has %d outputs", n, len(c.outs))
			}
			out[at] = chunk(dims[at].Value, n, int64(i))
		case dims[at].Value%n != 0:
			refuse("%d elements for %d equal parts", dims[at].Value, n)
		default:
			out[at] = onnx.Dim{Value: dims[at].Value / n}
		}
		c.sized(i, out)
	}
	if total := int64(0); given && !dims[at].Open {
		for _, n := range list {
			total += n
		}
		if total != dims[at].Value {
			refuse("parts of %v, the axis has the size %d", list, dims[at].Value)
		}
	}
}

// chunk returns the size of the i-th of n parts of an axis: they are equal, or the last
// one is smaller.
func chunk(size, n, i int64) onnx.Dim {
	part := (size + n - 1) / n
	if i == n-1 {
		return onnx.Dim{Value: size - part*(n-1)}
	}
	return onnx.Dim{Value: part}
}

func tile(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok || c.op.Since < 6 {
		return
	}
	list, known := c.ints(1)
	if !known {
		c.ranked(0, len(dims))
		return
	}
	if len(list) != len(dims) {
		refuse("%d repeats of a value with %d axes", len(list), len(dims))
	}
	out := slices.Clone(dims)
	for i := range out {
		if out[i].Open {
			out[i] = onnx.Dim{Open: true}
		} else {
			out[i].Value *= list[i]
		}
	}
	c.sized(0, out)
}

func oneHot(c *call) {
	if dims, ok := c.shape(1); ok && !(len(dims) == 0 || len(dims) == 1 && (dims[0].Open || dims[0].Value == 1)) {
		refuse("the depth has %d axes, expects one number", len(dims))
	}
	if dims, ok := c.shape(2); ok && (len(dims) != 1 || !dims[0].Open && dims[0].Value != 2) {
		refuse("the values have %d axes, expects two numbers", len(dims))
	}
	if c.in(2) != nil {
		c.elem(2, 0)
	}
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if len(dims) < 1 {
		refuse("the indices have no axes")
	}
	at := axis(c.int("axis", -1), len(dims)+1, 0)
	depth := onnx.Dim{Open: true}
	if t := c.tensor(1); t != nil && t.DataType == onnx.Int64 && t.External == nil && len(t.Raw) == 8 {
		if depth = (onnx.Dim{Value: int64(binary.LittleEndian.Uint64(t.Raw))}); depth.Value <= 0 {
			refuse("depth %d", depth.Value)
		}
	}
	c.sized(0, slices.Concat(dims[:at], []onnx.Dim{depth}, dims[at:]))
}

func nonZero(c *call) {
	c.is(0, onnx.Int64)
	out := open(2)
	if dims, ok := c.shape(0); ok {
		out[0] = onnx.Dim{Value: int64(len(dims))}
	}
	c.sized(0, out)
}

func eyeLike(c *call) {
	if c.attribute("dtype") != nil {
		c.named("dtype", 0, 0)
	} else {
		c.elem(0, 0)
	}
	if dims, ok := c.shape(0); ok {
		if len(dims) != 2 {
			refuse("input 0 has %d axes, expects 2", len(dims))
		}
		c.sized(0, dims)
	}
}

func rangeRule(c *call) {
	c.elem(0, 0)
	c.ranked(0, 1)
	var v [3]int64
	for i := range v {
		if c.tensor(i) == nil {
			return
		}
	}
	for i := range v {
		if n := len(c.tensor(i).Dims); n != 0 {
			refuse("input %d has %d axes, expects none", i, n)
		}
	}
	for i := range v {
		t := c.tensor(i)
		if t == nil || t.DataType != onnx.Int64 || len(t.Raw) < 8 {
			return
		}
		v[i] = int64(binary.LittleEndian.Uint64(t.Raw))
	}
	if v[2] == 0 {
		refuse("a step of 0")
	}
	n := (v[1] - v[0]) / v[2]
	if (v[1]-v[0])%v[2] != 0 && n*v[2] < v[1]-v[0] == (v[2] > 0) {
		n++
	}
	c.sized(0, fixed([]int64{max(0, n)}))
}

func topK(c *call) {
	c.elem(0, 0)
	c.is(1, onnx.Int64)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	at := axis(c.int("axis", -1), len(dims), 0)
	k, known := []int64{c.int("k", -1)}, c.op.Since < 10
	if !known {
		if k, known = c.ints(1); known && len(k) != 1 {
			refuse("k has %d elements, expects one", len(k))
		}
	}
	if !known {
		c.ranked(0, len(dims))
		c.ranked(1, len(dims))
		return
	}
	if !dims[at].Open && dims[at].Value < k[0] {
		refuse("the first %d of %d", k[0], dims[at].Value)
	}
	out := slices.Clone(dims)
	out[at] = onnx.Dim{Value: k[0]}
	c.sized(0, out)
	c.sized(1, out)
}

func compress(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if c.attribute("axis") == nil {
		c.ranked(0, 1)
		return
	}
	if ok {
		at := axis(c.int("axis", 0), len(dims), 0)
		out := slices.Clone(dims)
		out[at] = onnx.Dim{Open: true}
		c.sized(0, out)
	}
}

func pad(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	list, _, known := c.listed("pads", 1)
	if c.op.Since < 2 || !known || c.has(3) {
		if c.op.Since >= 2 {
			c.ranked(0, len(dims))
		}
		return
	}
	if len(list) != 2*len(dims) {
		refuse("%d pads of a value with %d axes", len(list), len(dims))
	}
	out := slices.Clone(dims)
	for i := range out {
		n := list[i] + list[i+len(dims)]
		switch {
		case !out[i].Open:
			out[i].Value += n
		case n != 0:
			out[i] = onnx.Dim{Open: true}
		}
	}
	c.sized(0, out)
}
