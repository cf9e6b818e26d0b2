package exprgraph

import (
	"reflect"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// convolution is what gorgonia.Conv2d makes: the windows of the image as rows, times
// the filter as a matrix, transposed.
type convolution struct {
	image, filter *gorgonia.Node
	windows       *node // the im2colOp
}

// convolution returns the convolution whose last node is last, nil if it is none.
func (r *reading) convolution(last *gorgonia.Node) *convolution {
	step := func(x *gorgonia.Node, name string, args int) *node {
		if x == nil || x.Op() == nil || typeName(structOf(x.Op())) != name {
			return nil
		}
		if n := r.node(x); len(n.args) == args {
			return n
		}
		return nil
	}
	t := step(last, "transposeOp", 1)
	if t == nil || !slices.Equal(t.ints("pattern"), []int{0, 3, 1, 2}) {
		return nil
	}
	images := step(t.args[0], "reshapeOp", 1)
	if images == nil {
		return nil
	}
	product := step(images.args[0], "linAlgBinOp", 2)
	if product == nil || product.text() != "A × Bᵀ" {
		return nil
	}
	patches, weights := step(product.args[0], "reshapeOp", 1), step(product.args[1], "reshapeOp", 1)
	if patches == nil || weights == nil {
		return nil
	}
	windows := step(patches.args[0], "im2colOp", 1)
	if windows == nil {
		return nil
	}
	columns, image, filter := patches.args[0].Shape(), windows.args[0].Shape(), weights.args[0].Shape()
	if len(image) != 4 || len(filter) != 4 || len(columns) != 4 ||
		filter[1] != image[1] || filter[2] != windows.int("h") || filter[3] != windows.int("w") ||
		!slices.Equal(images.shape(), []int{columns[0], columns[1], columns[2], filter[0]}) ||
		!slices.Equal(patches.shape(), []int{columns[0] * columns[1] * columns[2], columns[3]}) ||
		!slices.Equal(weights.shape(), []int{filter[0], columns[3]}) {
		return nil
	}
	return &convolution{image: windows.args[0], filter: weights.args[0], windows: windows}
}

func (c *convolution) read(n *node) *graph.Value {
	c.windows.row() // checks the fields
	return n.apply(c.windows.conv(1), n.value(c.image), n.value(c.filter))
}

// conv returns the convolution over the windows of an im2colOp.
func (n *node) conv(groups int) graph.Conv {
	h, w := n.int("padH"), n.int("padW")
	return graph.Conv{
		Strides: []int{n.int("strideH"), n.int("strideW")}, Pads: []int{h, w, h, w},
		Dilations: []int{n.int("dilationH"), n.int("dilationW")}, Group: groups,
	}
}

// columnsLimit bounds the elements of the filters that copy windows.
const columnsLimit = 1 << 20

// readColumns reads the windows of an image as rows, (B,H,W,C·h·w): each element is
// copied by a filter of one 1.
func readColumns(n *node) *graph.Value {
	x := n.arg(0)
	channels, known := 0, false
	if len(x.Shape) == 4 {
		channels, known = x.Shape[1].Number()
	}
	h, w := n.int("h"), n.int("w")
	size := h * w
	if !known || channels*size*size > columnsLimit {
		n.refuse("use gorgonia.Conv2d", "windows of %d by %d over shape %s", h, w, x.Shape)
	}
	filters := make([]float64, channels*size*size)
	for i := range channels * size {
		filters[i*size+i%size] = 1
	}
	t, _, err := format.FromFloat64s("", []int{channels * size, 1, h, w}, filters).Convert(x.DType)
	if err != nil {
		n.refuse("", "%v", err)
	}
	return n.b.Transpose(n.apply(n.conv(channels), x, n.b.Const(t)), 0, 2, 3, 1)
}

// pool returns the windows of a pool. Gorgonia begins them pad before the image; if
// the pads of each side are given, it takes those behind.
func (n *node) pool() (kernel, strides, pads []int) {
	pads = []int{n.int("padNorth"), n.int("padWest"), n.int("padSouth"), n.int("padEast")}
	if n.bool("explicitPadding") {
		pads = []int{pads[2], pads[3], pads[0], pads[1]}
	}
	return []int{n.int("h"), n.int("w")}, []int{n.int("strideH"), n.int("strideW")}, pads
}

func readMaxPool(n *node) *graph.Value {
	kernel, strides, pads := n.pool()
	return n.apply(graph.MaxPool{KernelShape: kernel, Strides: strides, Pads: pads, Dilations: []int{1, 1}}, n.arg(0))
}

// readAveragePool reads the sum over windows, divided by the width of the image.
// That is what Gorgonia computes.
func readAveragePool(n *node) *graph.Value {
	x := n.arg(0)
	kernel, strides, pads := n.pool()
	width, known := x.Shape[3].Number()
	if !known {
		n.refuse("leave the width without a name", "Gorgonia divides by the width of the image, which is the named dimension %s", x.Shape[3])
	}
	v := n.apply(graph.AveragePool{KernelShape: kernel, Strides: strides, Pads: pads, Dilations: []int{1, 1}, CountIncludePad: true}, x)
	if size := kernel[0] * kernel[1]; size != width {
		v = n.b.Mul(v, n.like(v, float64(size)/float64(width)))
	}
	return v
}

func readUpsample(n *node) *graph.Value {
	x, times := n.arg(0), graph.N(n.int("stride")+1)
	s := x.Shape
	one := graph.N(1)
	x = n.b.Reshape(x, s[0], s[1], s[2], one, s[3], one)
	x = n.b.Expand(x, s[0], s[1], s[2], times, s[3], times)
	return n.b.Reshape(x, s[0], s[1], s[2].Mul(times), s[3].Mul(times))
}

// readBatchNorm reads the normalization by the running mean and variance, which
// become weights.
func readBatchNorm(n *node) *graph.Value {
	x := n.arg(0)
	op, ok := n.node.Op().(*gorgonia.BatchNormOp)
	if !ok {
		n.refuse("take gorgonia.BatchNorm", "its operator is a %T", n.node.Op())
	}
	name := n.unique("batchnorm")
	mean, variance := op.Stats()
	stat := func(what string, t tensor.Tensor) *graph.Value {
		if t == nil || reflect.ValueOf(t).IsNil() {
			n.refuse("take gorgonia.BatchNorm", "it has no running %s", what)
		}
		v := n.reading.tensor(n.node, t, t.Shape()).WithName(n.unique(name + ".running_" + what))
		n.weights = append(n.weights, v)
		return n.b.Weight(v.Name, v.DType, v.Shape...)
	}
	m, s := stat("mean", mean), stat("variance", variance)
	one, zero := n.filled(x, 1, m.Shape), n.filled(x, 0, m.Shape)
	return n.apply(graph.BatchNormalization{Epsilon: n.float("epsilon")}, x, one, zero, m, s)
}

// readGroupNorm reads the normalization of groups of channels; gorgonia.GroupNorm
// multiplies and adds behind it.
func readGroupNorm(n *node) *graph.Value {
	x := n.arg(0)
	channels := x.Shape[1:2]
	return n.apply(graph.GroupNormalization{Epsilon: n.float("epsilon"), NumGroups: n.int("numGroups")}, x, n.filled(x, 1, channels), n.filled(x, 0, channels))
}

// filled returns a constant of one number in the type of x.
func (n *node) filled(x *graph.Value, fill float64, s graph.Shape) *graph.Value {
	shape, _ := s.Numbers()
	v := make([]float64, size(shape))
	for i := range v {
		v[i] = fill
	}
	t, _, err := format.FromFloat64s("", shape, v).Convert(x.DType)
	if err != nil {
		n.refuse("", "%v", err)
	}
	return n.b.Const(t)
}
