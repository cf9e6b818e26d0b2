package read

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// poolFamily has the operators that reduce windows, or whole channels.
var poolFamily = family{
	"MaxPool":           {read: readMaxPool},
	"AveragePool":       records(func(n *node) *graph.Value { return n.averagePool(n.arg(0)) }),
	"LpPool":            records(readLpPool),
	"GlobalMaxPool":     records(func(n *node) *graph.Value { return n.global(graph.ReduceMax, n.arg(0)) }),
	"GlobalAveragePool": records(func(n *node) *graph.Value { return n.global(graph.ReduceMean, n.arg(0)) }),
	"GlobalLpPool":      records(readGlobalLpPool),
	"MaxUnpool":         records(readMaxUnpool),
}

// pool returns the windows of a pool over an image, channels first.
func (n *node) pool(x graph.Shape) windows {
	n.require("kernel_shape")
	w := n.windows(n.ints("kernel_shape"), len(x)-2)
	n.autoPad(w, x[2:])
	return w
}

func readMaxPool(n *node) []*graph.Value {
	w := n.pool(n.shape(0))
	op := graph.MaxPool{
		KernelShape: w.kernel, Strides: w.strides, Pads: w.pads, Dilations: w.dilations,
		CeilMode: n.flag("ceil_mode", false), ColumnMajor: n.flag("storage_order", false),
	}
	return n.b.Apply(op, min(2, max(1, len(n.onnx.Outputs))), n.arg(0))
}

// averagePool records a pool of x.
func (n *node) averagePool(x *graph.Value) *graph.Value {
	w := n.pool(x.Shape)
	return n.apply(graph.AveragePool{
		KernelShape: w.kernel, Strides: w.strides, Pads: w.pads, Dilations: w.dilations,
		CeilMode: n.flag("ceil_mode", false), CountIncludePad: n.flag("count_include_pad", false),
	}, x)
}

// norm returns attribute "p", which was a floating-point number in version 1.
func (n *node) norm() float64 {
	p := 2.0
	if n.version < 2 {
		p = n.float("p", 2)
	} else {
		p = float64(n.int("p", 2))
	}
	if !(p > 0) {
		n.invalid("p is %g", p)
	}
	return p
}

// power returns |x| to the p; root is its inverse.
func (n *node) power(x *graph.Value, p float64) *graph.Value {
	switch p {
	case 1:
		return n.b.Abs(x)
	case 2:
		return n.b.Mul(x, x)
	}
	return n.b.Pow(n.b.Abs(x), n.like(x, p))
}

func (n *node) root(x *graph.Value, p float64) *graph.Value {
	switch p {
	case 1:
		return x
	case 2:
		return n.b.Sqrt(x)
	}
	return n.b.Pow(x, n.apply(graph.Reciprocal, n.like(x, p)))
}

// readLpPool sums the powers by a convolution with ones.
func readLpPool(n *node) *graph.Value {
	x, w, p := n.arg(0), n.pool(n.shape(0)), n.norm()
	dims := len(w.kernel)
	if n.flag("ceil_mode", false) {
		for i := range dims {
			size, known := x.Shape[2+i].Number()
			if !known {
				n.open("ceil_mode for a dimension of %s", x.Shape[2+i])
			}
			room := size + w.pads[i] + w.pads[dims+i] - w.extent(i)
			if rest := room % w.strides[i]; rest > 0 && (room/w.strides[i]+1)*w.strides[i] < size+w.pads[i] {
				w.pads[dims+i] += w.strides[i] - rest
			}
		}
	}
	one := graph.N(1)
	ones := n.b.Expand(n.like(x, 1), append(graph.Shape{one, one}, graph.Numbers(w.kernel...)...)...)
	planes := n.b.Reshape(n.power(x, p), append(graph.Shape{x.Shape[0].Mul(x.Shape[1]), one}, x.Shape[2:]...)...)
	sum := n.apply(graph.Conv{Strides: w.strides, Pads: w.pads, Dilations: w.dilations, Group: 1}, planes, ones)
	return n.root(n.b.Reshape(sum, append(graph.Shape{x.Shape[0], x.Shape[1]}, sum.Shape[2:]...)...), p)
}

// global reduces all dimensions after the channels.
func (n *node) global(kind graph.ReduceKind, x *graph.Value) *graph.Value {
	if len(x.Shape) < 3 {
		n.invalid("a tensor without spatial dimensions")
	}
	return n.apply(graph.Reduce{Kind: kind, Axes: spatialAxes(x), KeepDims: true}, x)
}

// spatialAxes returns the axes after the channels.
func spatialAxes(x *graph.Value) (axes []int) {
	for i := 2; i < len(x.Shape); i++ {
		axes = append(axes, i)
	}
	return axes
}

func readGlobalLpPool(n *node) *graph.Value {
	p := n.norm()
	return n.root(n.global(graph.ReduceSum, n.power(n.arg(0), p)), p)
}

// readMaxUnpool pads each dimension with zeros if output_shape is larger: the
// indices refer to the size that kernel, strides and pads give.
func readMaxUnpool(n *node) *graph.Value {
	n.require("kernel_shape")
	x := n.arg(0)
	dims := len(x.Shape) - 2
	w := n.windows(n.ints("kernel_shape"), dims)
	shape := append(graph.Shape{}, x.Shape[:2]...)
	for i := range dims {
		covered := x.Shape[2+i].Sub(graph.N(1)).Mul(graph.N(w.strides[i])).Add(graph.N(w.kernel[i] - w.pads[i] - w.pads[dims+i]))
		shape = append(shape, covered)
	}
	y := n.apply(graph.MaxUnpool{Shape: shape}, x, n.cast(n.arg(1), format.Int64))
	if !n.has(2) {
		return y
	}
	whole := graph.Shape(n.dims(2))
	if len(whole) != len(shape) {
		n.invalid("output_shape %s for %s", whole, shape)
	}
	for i, d := range whole {
		missing := d.Sub(shape[i])
		if count, known := missing.Number(); known && count == 0 {
			continue
		} else if count < 0 || !missing.NonNegative() {
			n.refuse("output_shape %s for %s", whole, shape)
		}
		s := append(graph.Shape{}, y.Shape...)
		s[i] = missing
		y = n.b.Concat(i, y, n.b.Expand(n.like(y, 0), s...))
	}
	return y
}
