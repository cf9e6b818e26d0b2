package check

import (
	"encoding/binary"
	"math"

	"github.com/attnx/attnx/export/onnx"
)

// Rules of operators on signals, and of those whose inputs are sizes.
func init() {
	rules["HannWindow"], rules["HammingWindow"], rules["BlackmanWindow"] = cosineWindow, cosineWindow, cosineWindow
	rules["MelWeightMatrix"], rules["DFT"], rules["STFT"] = melWeights, dft, stft
	rules["AffineGrid"], rules["CenterCropPad"], rules["Upsample"] = affineGrid, centerCropPad, upsample
}

// scalar returns the first element of the i-th input as an integer, if the file
// contains it. It refuses a value with axes.
func (c *call) scalar(i int) (v int64, ok bool) {
	t := c.tensor(i)
	if t == nil {
		return 0, false
	}
	if len(t.Dims) != 0 {
		refuse("input %d has %d axes, expects none", i, len(t.Dims))
	}
	return c.first(i)
}

// first is scalar for a value that may have axes.
func (c *call) first(i int) (v int64, ok bool) {
	t := c.tensor(i)
	if t != nil && t.External != nil {
		refuse("input %d is in another file, its value decides the shape", i)
	}
	if t == nil || len(t.Raw) == 0 || len(t.Raw) < int(t.DataType.Size()) {
		return 0, false
	}
	switch t.DataType {
	case onnx.Int64:
		return int64(binary.LittleEndian.Uint64(t.Raw)), true
	case onnx.Int32:
		return int64(int32(binary.LittleEndian.Uint32(t.Raw))), true
	case onnx.Float:
		return int64(math.Float32frombits(binary.LittleEndian.Uint32(t.Raw))), true
	case onnx.Double:
		return int64(math.Float64frombits(binary.LittleEndian.Uint64(t.Raw))), true
	}
	return 0, false
}

func cosineWindow(c *call) {
	c.named("output_datatype", 0, onnx.Float)
	if _, ok := c.shape(0); !ok {
		return
	}
	if n, ok := c.scalar(0); ok {
		if n <= 0 {
			refuse("a window of %d", n)
		}
		c.sized(0, fixed([]int64{n}))
	}
}

func melWeights(c *call) {
	c.named("output_datatype", 0, onnx.Float)
	if !c.shapes(2) || c.tensor(0) == nil || c.tensor(1) == nil {
		return
	}
	bins, okB := c.scalar(0)
	length, okL := c.scalar(1)
	if okB && okL && bins > 0 && length > 0 {
		c.sized(0, fixed([]int64{length>>1 + 1, bins}))
	}
}

// dft is the rule of DFT, whose axis is an attribute before opset 20.
func dft(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	rank := len(dims)
	half, inverse := c.int("onesided", 0) != 0, c.int("inverse", 0) != 0
	if rank < 2 {
		refuse("input 0 has %d axes, expects 2 or more", rank)
	}
	parts := int64(1) // of the input's numbers
	if inverse {
		parts = 2
	}
	if last := dims[rank-1]; half && !last.Open && last.Value != parts {
		refuse("numbers of %d parts, expects %d with onesided", last.Value, parts)
	}
	out := append([]onnx.Dim{}, dims...)
	out[rank-1] = onnx.Dim{Value: 2}
	if half && inverse {
		out[rank-1] = onnx.Dim{Value: 1}
	}
	at := c.int("axis", 1)
	if c.op.Since >= 20 {
		at = -2
		if c.has(2) && c.tensor(2) == nil {
			if half || c.has(1) {
				last := out[rank-1]
				out = open(rank)
				out[rank-1] = last
			}
			c.sized(0, out)
			return
		}
		if c.has(2) {
			if at, ok = c.scalar(2); !ok {
				return
			}
		}
	}
	if at < -int64(rank) || at == -1 || at >= int64(rank)-1 {
		refuse("axis %d of a value with %d axes", at, rank)
	}
	if at < 0 {
		at += int64(rank)
	}
	switch d := dims[at]; {
	case c.has(1):
		if c.tensor(1) == nil {
			if c.op.Since < 20 {
				return
			}
			out[at] = onnx.Dim{Open: true}
			break
		}
		n, known := c.scalar(1)
		if !known {
			return
		}
		if half && !inverse {
			n = n>>1 + 1
		}
		out[at] = onnx.Dim{Value: n}
	case !half:
	case d.Open:
		out[at] = onnx.Dim{Open: true}
	case inverse:
		out[at] = onnx.Dim{Value: 2 * (d.Value - 1)}
	default:
		out[at] = onnx.Dim{Value: d.Value>>1 + 1}
	}
	c.sized(0, out)
}

func stft(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if len(dims) < 2 {
		refuse("input 0 has %d axes, expects 2 or more", len(dims))
	}
	step, known := c.first(1)
	if dims[1].Open || !known || c.has(3) && c.tensor(3) == nil {
		return
	}
	window, hasWindow := c.shape(2)
	var size int64
	if c.has(3) {
		if size, ok = c.scalar(3); !ok {
			return
		}
	}
	if hasWindow {
		if len(window) != 1 {
			refuse("the window has %d axes, expects 1", len(window))
		}
		switch {
		case c.has(3) && !window[0].Open && window[0].Value != size:
			refuse("a window of %d for frames of %d", window[0].Value, size)
		case c.has(3):
		case window[0].Open:
			return
		default:
			size = window[0].Value
		}
	} else if !c.has(3) {
		return
	}
	bins := size
	if c.int("onesided", 0) != 0 {
		bins = size>>1 + 1
	}
	frames := float32(dims[1].Value-size) / float32(step)
	if !(math.Abs(float64(frames)) < 1<<62) { // a step of 0
		return
	}
	c.sized(0, []onnx.Dim{withoutName(dims[0]), {Value: int64(frames) + 1}, {Value: bins}, {Value: 2}})
}

func affineGrid(c *call) {
	c.elem(0, 0)
	if _, ok := c.shape(0); !ok {
		return
	}
	size, ok := c.wanted(1)
	if !ok {
		return
	}
	if len(size) != 4 && len(size) != 5 {
		refuse("a size of %d numbers, expects 4 or 5", len(size))
	}
	out := append([]onnx.Dim{size[0]}, size[2:]...)
	c.sized(0, append(out, onnx.Dim{Value: int64(len(size) - 2)}))
}

// wanted returns the i-th input as sizes: the numbers in the file, or as many unknown
// ones as the input has elements.
func (c *call) wanted(i int) (list []onnx.Dim, ok bool) {
	if numbers, known := c.ints(i); known {
		return fixed(numbers), true
	}
	dims, ok := c.shape(i)
	if !ok {
		return nil, false
	}
	if len(dims) != 1 {
		refuse("input %d has %d axes, expects 1", i, len(dims))
	}
	if d := dims[0]; !d.Open && d.Value >= 0 && d.Value <= maxListed {
		return open(int(d.Value)), true
	}
	return nil, false
}

func centerCropPad(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	size, known := c.ints(1)
	if !known {
		return
	}
	axes := make([]int, len(dims))
	for i := range axes {
		axes[i] = i
	}
	if a := c.attribute("axes"); a != nil {
		axes = distinct(a.Ints, len(dims))
	}
	if len(size) != len(axes) {
		refuse("%d sizes for %d axes", len(size), len(axes))
	}
	out := append([]onnx.Dim{}, dims...)
	for i, at := range axes {
		out[at] = onnx.Dim{Value: size[i]}
	}
	c.sized(0, out)
}

// distinct returns axes of a value, none of which may be there twice.
func distinct(list []int64, rank int) []int {
	seen, axes := make([]bool, rank), make([]int, len(list))
	for i, a := range list {
		at := axis(a, rank, 0)
		if seen[at] {
			refuse("axis %d is there twice", a)
		}
		seen[at], axes[i] = true, at
	}
	return axes
}

// upsample is the rule of Upsample, and of Resize before opset 11.
func upsample(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	if c.op.Name == "Upsample" && c.op.Since < 7 {
		return
	}
	scales, known := c.floats(1)
	if a := c.attribute("scales"); a != nil { // opset 7
		scales, known = a.Floats, true
	}
	if !known {
		c.ranked(0, len(dims))
		return
	}
	if len(scales) != len(dims) {
		refuse("%d scales for %d axes", len(scales), len(dims))
	}
	out := make([]onnx.Dim, len(dims))
	for i, d := range dims {
		out[i] = scaledBy(d, scales[i])
	}
	c.sized(0, out)
}

// scaledBy returns a size times a scale, rounded down.
func scaledBy(d onnx.Dim, scale float32) onnx.Dim {
	size := math.Floor(float64(d.Value) * float64(scale))
	if d.Open || !(math.Abs(size) < 1<<62) {
		return onnx.Dim{Open: true}
	}
	return onnx.Dim{Value: int64(size)}
}

// floats returns the i-th input as float32 numbers, if the file contains it.
func (c *call) floats(i int) (list []float32, ok bool) {
	t := c.tensor(i)
	if t == nil {
		return nil, false
	}
	if t.DataType != onnx.Float {
		refuse("input %d is %s, expects float", i, t.DataType)
	}
	if t.External != nil {
		refuse("input %d is in another file, its values decide the shape", i)
	}
	if len(t.Raw) > 4*maxListed {
		return nil, false
	}
	for b := t.Raw; len(b) >= 4; b = b[4:] {
		list = append(list, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return list, true
}
