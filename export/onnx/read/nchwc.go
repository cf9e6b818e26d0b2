package read

import (
	"runtime"

	"golang.org/x/sys/cpu"

	"github.com/attnx/attnx/model/graph"
)

// nchwcDomain is the domain of images whose channels ONNX Runtime has in blocks. Files
// have it that ONNX Runtime saved after all of its optimizations.
const nchwcDomain = "com.microsoft.nchwc"

// nchwcFamily computes such images in the order of ONNX, with as many channels as
// their blocks have. Only weights are stored in blocks.
var nchwcFamily = family{
	"ReorderInput":      records(readReorderInput),
	"ReorderOutput":     records(readReorderOutput),
	"Conv":              records(readBlockedConv),
	"MaxPool":           {read: readMaxPool},
	"AveragePool":       records(func(n *node) *graph.Value { return n.averagePool(n.arg(0)) }),
	"GlobalMaxPool":     records(func(n *node) *graph.Value { return n.global(graph.ReduceMax, n.arg(0)) }),
	"GlobalAveragePool": records(func(n *node) *graph.Value { return n.global(graph.ReduceMean, n.arg(0)) }),
	"Upsample":          records(readBlockedUpsample),
}

// block returns the number of channels in a block. A file does not have it: ONNX Runtime
// takes that of the processor, 16 or 8, when it saves a file and when it runs one.
// Weights whose channels only 8 divides are those of another processor.
func (n *node) block() int {
	if n.r.block == 0 {
		n.r.block = processorBlock()
		for _, c := range n.r.m.Graph.Nodes {
			if c.Domain != nchwcDomain || c.Op != "Conv" || len(c.Inputs) < 2 {
				continue
			}
			for _, w := range n.r.m.Graph.Initializers {
				if w.Name == c.Inputs[1] && len(w.Dims) == 4 && w.Dims[0]%16 != 0 {
					n.r.block = 8
				}
			}
		}
	}
	return n.r.block
}

// processorBlock is the number of channels that ONNX Runtime's kernels for this
// processor have in a block.
func processorBlock() int {
	if cpu.X86.HasAVX512F || runtime.GOARCH == "arm64" {
		return 16
	}
	return 8
}

// channelsFirst moves the last axis behind the first one.
func (n *node) channelsFirst(x *graph.Value) *graph.Value {
	order := []int{0, len(x.Shape) - 1}
	for i := 1; i < len(x.Shape)-1; i++ {
		order = append(order, i)
	}
	return n.b.Transpose(x, order...)
}

// channelsLast moves the second axis behind the last one.
func (n *node) channelsLast(x *graph.Value) *graph.Value {
	order := []int{0}
	for i := 2; i < len(x.Shape); i++ {
		order = append(order, i)
	}
	return n.b.Transpose(x, append(order, 1)...)
}

// readReorderInput adds channels of zeros up to a whole block.
func readReorderInput(n *node) *graph.Value {
	x := n.image(0)
	if n.flag("channels_last", false) {
		x = n.channelsFirst(x)
	}
	channels, known := x.Shape[1].Number()
	if !known {
		n.open("%s channels", x.Shape[1])
	}
	block := n.block()
	if rest := channels % block; rest > 0 {
		p := graph.Pad{Mode: "constant", Before: make(graph.Shape, len(x.Shape)), After: make(graph.Shape, len(x.Shape))}
		p.After[1] = graph.N(block - rest)
		x = n.apply(p, x)
	}
	return x
}

// image returns argument i, which has a batch, channels and spatial dimensions.
func (n *node) image(i int) *graph.Value {
	x := n.arg(i)
	if len(x.Shape) < 3 {
		n.invalid("%s has no spatial dimensions", x.Shape)
	}
	return x
}

// readReorderOutput drops the channels that a block has too many.
func readReorderOutput(n *node) *graph.Value {
	n.require("channels")
	x := n.image(0)
	channels := n.int("channels", 0)
	if have, known := x.Shape[1].Number(); !known || channels < 1 || channels > have {
		n.invalid("%d channels of %s", channels, x.Shape)
	}
	x = n.b.Slice(x, 1, graph.N(0), graph.N(channels))
	if n.flag("channels_last", false) {
		return n.channelsLast(x)
	}
	return x
}

// readBlockedConv is FusedConv with weights in blocks: (O/B,I/B,H,W,B,B) with the inputs
// before the outputs, or (O/B,I,H,W,B) for fewer inputs than a block has.
func readBlockedConv(n *node) *graph.Value {
	w, block := n.arg(1), n.block()
	sizes, known := w.Shape.Numbers()
	if !known || len(sizes) != 4 || sizes[0]%block != 0 || sizes[1] >= block && sizes[1]%block != 0 {
		n.refuse("weights %s in blocks of %d channels, which ONNX Runtime has on this processor: save the file with ORT_ENABLE_EXTENDED, or verify it on the machine that saved it", w.Shape, block)
	}
	outputs, inputs, height, width := sizes[0]/block, sizes[1], sizes[2], sizes[3]
	if inputs < block {
		w = n.b.Reshape(w, graph.Numbers(outputs, inputs, height, width, block)...)
		w = n.b.Transpose(w, 0, 4, 1, 2, 3)
	} else {
		w = n.b.Reshape(w, graph.Numbers(outputs, inputs/block, height, width, block, block)...)
		w = n.b.Transpose(w, 0, 5, 1, 4, 2, 3)
	}
	y := n.conv(n.arg(0), n.b.Reshape(w, graph.Numbers(sizes...)...), n.optional(2))
	if n.has(3) {
		y = n.b.Add(y, n.arg(3))
	}
	return n.activated(y, n.floats("activation_params"))
}

// readBlockedUpsample resizes height and width by whole numbers.
func readBlockedUpsample(n *node) *graph.Value {
	var scales []float64
	for _, s := range n.ints("scales") {
		scales = append(scales, float64(s))
	}
	op := graph.Resize{Mode: n.text("mode", "nearest"), Coordinates: n.text("coordinate_transformation_mode", "asymmetric")}
	if op.Mode == "nearest" {
		op.Nearest = "floor"
	}
	return n.resize(op, n.byScales(scales, nil), nil)
}
