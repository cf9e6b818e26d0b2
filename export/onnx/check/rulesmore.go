package check

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

func init() {
	rules["Resize"], rules["Attention"], rules["GridSample"], rules["BitCast"] = resize, attention, gridSample, bitCast
	rules["Einsum"], rules["StringSplit"] = einsum, stringSplit
}

// resize is the rule of Resize from opset 11 on, where an input has the sizes
// or the scales.
func resize(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok || c.op.Since < 11 {
		return
	}
	if a := c.attribute("keep_aspect_ratio_policy"); a != nil {
		if policy := string(a.String); !slices.Contains([]string{"stretch", "not_larger", "not_smaller"}, policy) {
			refuse("keep_aspect_ratio_policy is %.80q", policy)
		} else if policy != "stretch" {
			return
		}
	}
	scaled := c.has(2) && (c.tensor(2) == nil || len(c.tensor(2).Raw) > 0)
	given := c.has(3) && (c.tensor(3) == nil || len(c.tensor(3).Raw) > 0)
	if scaled == given && c.op.Since >= 13 {
		refuse("it needs either sizes or scales")
	}
	var axes []int
	if a := c.attribute("axes"); a != nil {
		for _, x := range a.Ints {
			at := axis(x, len(dims), 0)
			if slices.Contains(axes, at) {
				refuse("axis %d is there twice", x)
			}
			axes = append(axes, at)
		}
	} else {
		for i := range dims {
			axes = append(axes, i)
		}
	}
	if list, ok := c.shape(3); ok && given && (len(list) != 1 || !list[0].Open && list[0].Value != int64(len(axes))) {
		refuse("sizes of the shape %v for %d axes", list, len(axes))
	}
	out := slices.Clone(dims)
	scales := c.tensor(2)
	sizes, known := c.ints(3)
	switch {
	case known && len(sizes) > 0:
		if len(sizes) != len(axes) {
			refuse("%d sizes for %d axes", len(sizes), len(axes))
		}
		for i, a := range axes {
			out[a] = onnx.Dim{Value: sizes[i]}
		}
	case scales != nil && scales.DataType == onnx.Float && scales.External == nil && len(scales.Raw) > 0 && !c.has(3):
		if len(scales.Raw) != 4*len(axes) {
			refuse("%d scales for %d axes", len(scales.Raw)/4, len(axes))
		}
		for i, a := range axes {
			scale := math.Float32frombits(binary.LittleEndian.Uint32(scales.Raw[4*i:]))
			if out[a].Open {
				out[a] = onnx.Dim{Open: true}
			} else {
				out[a].Value = int64(math.Floor(float64(float32(out[a].Value) * scale)))
			}
		}
	default:
		return
	}
	c.sized(0, out)
}

// attention is the rule of Attention for inputs of four axes: (batch, heads, rows,
// size). In inputs of three axes the heads are concatenated.
func attention(c *call) {
	for i, from := range []int{0, 1, 2, 0} { // the present keys and values, and the scores
		if i < len(c.outs) {
			c.elem(from, i)
		}
	}
	q, ok := c.shape(0)
	v, okV := c.shape(2)
	for i := range 3 {
		if dims, known := c.shape(i); known && len(dims) != 3 && len(dims) != 4 {
			refuse("input %d has %d axes, expects 3 or 4", i, len(dims))
		}
	}
	if !ok || !okV {
		return
	}
	if len(v) != len(q) {
		return
	}
	if len(q) == 4 {
		c.sized(0, []onnx.Dim{q[0], q[1], q[2], v[3]})
		return
	}
	heads, keys := c.int("q_num_heads", 0), c.int("kv_num_heads", 0)
	if heads <= 0 || keys <= 0 {
		refuse("q_num_heads %d and kv_num_heads %d", heads, keys)
	}
	width := onnx.Dim{Open: true}
	if !v[2].Open {
		width = onnx.Dim{Value: heads * (v[2].Value / keys)}
	}
	c.sized(0, []onnx.Dim{q[0], q[1], width})
}

func gridSample(c *call) {
	c.elem(0, 0)
	x, okX := c.shape(0)
	grid, okG := c.shape(1)
	if !okX || !okG {
		return
	}
	rank := len(x)
	if len(grid) != rank || rank < 3 {
		refuse("a value with %d axes and a grid with %d", rank, len(grid))
	}
	if last := grid[rank-1]; !last.Open && last.Value != int64(rank-2) {
		refuse("a grid of points with %d coordinates, expects %d", last.Value, rank-2)
	}
	if !x[0].Open && !grid[0].Open && x[0].Value != grid[0].Value {
		refuse("batches of %d and %d", x[0].Value, grid[0].Value)
	}
	c.sized(0, slices.Concat(x[:2], grid[1:rank-1]))
}

func bitCast(c *call) {
	c.named("to", 0, 0)
	c.keep(0, 0)
}

func stringSplit(c *call) {
	c.is(0, onnx.String)
	c.is(1, onnx.Int64)
	if dims, ok := c.shape(0); ok {
		c.sized(0, slices.Concat(dims, open(1)))
		c.sized(1, dims)
	}
}

// einsum counts the axes of each term and of the result.
func einsum(c *call) {
	c.elem(0, 0)
	a := c.attribute("equation")
	if a == nil || len(a.String) == 0 {
		return
	}
	equation := strings.ReplaceAll(string(a.String), " ", "")
	left, right, arrow := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(c.node.Inputs) {
		refuse("%d terms for %d inputs", len(terms), len(c.node.Inputs))
	}
	if !c.shapes(len(terms)) || strings.Contains(equation, ".") {
		return
	}
	sizes := map[rune]onnx.Dim{}
	for i, term := range terms {
		dims, _ := c.shape(i)
		if len(term) != len(dims) {
			refuse("term %.80q of a value with %d axes", term, len(dims))
		}
		for j, letter := range term {
			if d, seen := sizes[letter]; !seen || d.Open || d.Value == 1 {
				sizes[letter] = dims[j]
			}
		}
	}
	if !arrow {
		return
	}
	var out []onnx.Dim
	for _, letter := range right {
		d, known := sizes[letter]
		if !known {
			refuse("%.80q of the result is in no term", string(letter))
		}
		out = append(out, d)
	}
	c.sized(0, out)
}
