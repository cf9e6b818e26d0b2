package ref_test

import (
	"maps"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

func init() { maps.Copy(gradCases, windowGradCases) }

// ofParams is a case that applies an operator to parameters of the shapes.
func ofParams(name string, positive bool, op graph.Op, shapes ...[]int) gradCase {
	return gradCase{name, positive, func(b *graph.Builder) *graph.Value {
		args := make([]*graph.Value, len(shapes))
		for i, s := range shapes {
			args[i] = param(b, string(rune('a'+i)), s...)
		}
		return b.Apply(op, 1, args...)[0]
	}}
}

// windowGradCases are convolutions, pools and the normalizations of channels.
var windowGradCases = map[string][]gradCase{
	"Conv": {
		ofParams("a vector", false, graph.Conv{Strides: []int{1}, Pads: []int{0, 0}, Dilations: []int{1}, Group: 1}, []int{2, 2, 5}, []int{3, 2, 2}, []int{3}),
		ofParams("strides that leave a rest, pads on one side, groups", false,
			graph.Conv{Strides: []int{2, 3}, Pads: []int{1, 0, 0, 2}, Dilations: []int{1, 2}, Group: 2}, []int{2, 4, 6, 8}, []int{4, 2, 3, 2}, []int{4}),
		ofParams("every channel by itself", false, graph.Conv{Strides: []int{1, 1}, Pads: []int{1, 1, 1, 1}, Dilations: []int{1, 1}, Group: 3}, []int{1, 3, 4, 3}, []int{6, 1, 3, 3}),
		ofParams("three dimensions", false, graph.Conv{Strides: []int{1, 2, 1}, Pads: make([]int, 6), Dilations: []int{2, 1, 1}, Group: 1}, []int{1, 2, 3, 4, 3}, []int{2, 2, 2, 2, 2}),
		ofParams("cropped", false, graph.Conv{Strides: []int{2}, Pads: []int{-1, -1}, Dilations: []int{1}, Group: 1}, []int{1, 1, 8}, []int{1, 1, 3}),
	},
	"ConvTranspose": {
		ofParams("a vector", false, graph.ConvTranspose{Strides: []int{1}, Pads: []int{0, 0}, Dilations: []int{1}, OutputPadding: []int{0}, Group: 1}, []int{2, 2, 3}, []int{2, 3, 2}, []int{3}),
		ofParams("everything", false, graph.ConvTranspose{Strides: []int{2, 3}, Pads: []int{1, 0, 0, 2}, Dilations: []int{1, 2}, OutputPadding: []int{1, 2}, Group: 2},
			[]int{2, 4, 3, 3}, []int{4, 2, 3, 2}, []int{4}),
		ofParams("output padding of more than a stride", false, graph.ConvTranspose{Strides: []int{1}, Pads: []int{0, 0}, Dilations: []int{3}, OutputPadding: []int{2}, Group: 1}, []int{1, 1, 4}, []int{1, 2, 2}),
	},
	"MaxPool": {
		ofParams("overlapping, padded", false, graph.MaxPool{KernelShape: []int{3, 2}, Strides: []int{2, 1}, Pads: []int{1, 0, 1, 1}, Dilations: []int{1, 2}}, []int{2, 2, 5, 6}),
		ofParams("beyond the end", false, graph.MaxPool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{0, 0}, Dilations: []int{1}, CeilMode: true}, []int{1, 2, 6}),
	},
	"AveragePool": {
		ofParams("without pads", false, graph.AveragePool{KernelShape: []int{3, 2}, Strides: []int{2, 1}, Pads: []int{1, 0, 1, 1}, Dilations: []int{1, 2}}, []int{2, 2, 5, 6}),
		ofParams("with pads, beyond the end", false, graph.AveragePool{KernelShape: []int{3, 2}, Strides: []int{2, 2}, Pads: []int{1, 0, 1, 1}, Dilations: []int{1, 1}, CeilMode: true, CountIncludePad: true}, []int{1, 2, 6, 4}),
		ofParams("beyond the end", false, graph.AveragePool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{0, 0}, Dilations: []int{1}, CeilMode: true}, []int{1, 2, 6}),
	},
	"MaxUnpool": {{"places", false, func(b *graph.Builder) *graph.Value {
		at := b.Const(format.FromInt64s("at", []int{1, 1, 2, 2}, []int64{1, 7, 8, 14}))
		return b.Apply(graph.MaxUnpool{Shape: graph.Numbers(1, 1, 4, 4)}, 1, param(b, "x", 1, 1, 2, 2), at)[0]
	}}},
	"BatchNormalization": {
		ofParams("an image", true, graph.BatchNormalization{Epsilon: 1e-2}, []int{2, 3, 2, 2}, []int{3}, []int{3}, []int{3}, []int{3}),
		ofParams("rows", true, graph.BatchNormalization{Epsilon: 1e-2}, []int{4, 3}, []int{3}, []int{3}, []int{3}, []int{3}),
	},
	"GroupNormalization": {
		ofParams("two groups", false, graph.GroupNormalization{Epsilon: 1e-2, NumGroups: 2}, []int{2, 4, 2, 3}, []int{4}, []int{4}),
		ofParams("every channel by itself", false, graph.GroupNormalization{Epsilon: 1e-2, NumGroups: 3}, []int{2, 3, 4}, []int{3}, []int{3}),
	},
}
