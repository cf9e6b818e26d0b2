package check

import (
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

func init() {
	rules["Resize"], rules["GridSample"], rules["BitCast"] = resize, gridSample, bitCast
	rules["Einsum"], rules["StringSplit"] = einsum, stringSplit
}

// resize is the rule of Resize. From opset 11 on an input has the sizes or the scales;
// before, it is that of Upsample.
func resize(c *call) {
	if c.op.Since < 11 {
		upsample(c)
		return
	}
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok {
		return
	}
	scaled := c.has(2) && (c.tensor(2) == nil || len(c.tensor(2).Raw) > 0)
	var wanted []onnx.Dim
	known := false
	if c.has(3) {
		wanted, known = c.wanted(3)
	}
	given := c.has(3) && !(known && len(wanted) == 0)
	if scaled == given && c.op.Since >= 13 {
		refuse("it needs either sizes or scales")
	}
	policy := "stretch"
	if a := c.attribute("keep_aspect_ratio_policy"); a != nil {
		if policy = string(a.String); !slices.Contains([]string{"stretch", "not_larger", "not_smaller"}, policy) {
			refuse("keep_aspect_ratio_policy is %.80q", policy)
		}
	}
	if scaled && policy != "stretch" {
		refuse("scales with keep_aspect_ratio_policy %.80q", policy)
	}
	axes := make([]int, len(dims))
	for i := range axes {
		axes[i] = i
	}
	if a := c.attribute("axes"); a != nil {
		axes = distinct(a.Ints, len(dims))
	}
	c.ranked(0, len(dims))
	out := c.outs[0].Dims
	switch {
	case given && known:
		if len(wanted) != len(axes) {
			refuse("%d sizes for %d axes", len(wanted), len(axes))
		}
		copy(out, dims)
		c.stretch(dims, axes, wanted, policy)
	case scaled && c.tensor(2) != nil:
		scales, known := c.floats(2)
		if !known {
			return
		}
		if len(scales) != len(axes) {
			refuse("%d scales for %d axes", len(scales), len(axes))
		}
		copy(out, dims)
		for i, a := range axes {
			out[a] = scaledBy(dims[a], scales[i])
		}
	}
}

// stretch gives the axes of the output their sizes, under a policy that may keep the
// proportions.
func (c *call) stretch(dims []onnx.Dim, axes []int, wanted []onnx.Dim, policy string) {
	out, scale := c.outs[0].Dims, math.NaN()
	for _, a := range axes {
		out[a] = onnx.Dim{Open: true}
	}
	for i, a := range axes {
		switch {
		case policy != "stretch" && (dims[a].Open || wanted[i].Open):
			return
		case policy == "stretch" && (wanted[i].Open || wanted[i].Value > 0):
			out[a] = wanted[i]
		case policy != "stretch":
			s := float64(wanted[i].Value) / float64(dims[a].Value)
			if math.IsNaN(scale) || policy == "not_larger" && s < scale || policy == "not_smaller" && s > scale {
				scale = s
			}
		}
	}
	if policy == "stretch" {
		return
	}
	for _, a := range axes {
		if size := math.Round(scale * float64(dims[a].Value)); size > 0 && size < 1<<62 {
			out[a] = onnx.Dim{Value: int64(size)}
		}
	}
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
	bits := func(t onnx.DataType) int64 {
		n, _ := t.BytesOf(8)
		return n
	}
	if t := c.in(0); t != nil && t.Kind == onnx.TensorType {
		from, to := bits(t.DataType), bits(c.outs[0].DataType)
		if from != 0 && to != 0 && from != to {
			refuse("numbers of %d bits as %d bits", from, to)
		}
	}
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

// einsum is the rule of Einsum: the letters of a term are the axes of its input, and an
// ellipsis those without a letter.
func einsum(c *call) {
	c.elem(0, 0)
	a := c.attribute("equation")
	n := len(c.node.Inputs)
	if a == nil || len(a.String) == 0 || n == 0 || !c.shapes(n) {
		return
	}
	equation := strings.ReplaceAll(string(a.String), " ", "")
	left, right, arrow := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != n {
		refuse("%d terms for %d inputs", len(terms), n)
	}
	sizes, count := map[byte]onnx.Dim{}, map[byte]int{}
	var unnamed []onnx.Dim // the axes of the ellipsis
	dots := false
	for i, term := range terms {
		dims, _ := c.shape(i)
		letters := len(onlyLetters(term))
		before, after, ellipsis := strings.Cut(term, "...")
		if letters > len(dims) || !ellipsis && letters != len(dims) {
			refuse("term %.80q of a value with %d axes", term, len(dims))
		}
		for j, letter := range onlyLetters(before) {
			name(sizes, count, letter, dims[j])
		}
		if !ellipsis {
			continue
		}
		rest := dims[len(onlyLetters(before)) : len(dims)-len(onlyLetters(after))]
		for j, letter := range onlyLetters(after) {
			name(sizes, count, letter, dims[len(dims)-len(onlyLetters(after))+j])
		}
		if dots && len(rest) != len(unnamed) {
			refuse("an ellipsis of %d axes and one of %d", len(unnamed), len(rest))
		}
		if !dots {
			unnamed, dots = slices.Clone(rest), true
			continue
		}
		for j, d := range rest {
			if e := unnamed[j]; !d.Open && !e.Open && e.Value == 1 && d.Value > 1 {
				unnamed[j] = d
			}
		}
	}
	out := slices.Clone(unnamed)
	if !arrow {
		var once []byte
		for letter := range sizes {
			if count[letter] == 1 {
				once = append(once, letter)
			}
		}
		slices.Sort(once)
		for _, letter := range once {
			out = append(out, sizes[letter])
		}
		c.sized(0, out)
		return
	}
	before, after, ellipsis := strings.Cut(right, "...")
	out = nil
	add := func(letters []byte) {
		for _, letter := range letters {
			d, known := sizes[letter]
			if !known {
				refuse("%.80q of the result is in no term", string(letter))
			}
			out = append(out, d)
		}
	}
	add(onlyLetters(before))
	if ellipsis {
		out = append(out, unnamed...)
	}
	add(onlyLetters(after))
	c.sized(0, out)
}

// name records the size of the axis that a letter of an equation names.
func name(sizes map[byte]onnx.Dim, count map[byte]int, letter byte, d onnx.Dim) {
	if count[letter]++; count[letter] == 1 {
		sizes[letter] = d
	}
}

// onlyLetters returns the letters of a term.
func onlyLetters(term string) (letters []byte) {
	for i := range len(term) {
		if b := term[i] | 0x20; b >= 'a' && b <= 'z' {
			letters = append(letters, term[i])
		}
	}
	return letters
}
