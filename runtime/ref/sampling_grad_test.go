package ref_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime/ref"
)

func init() { maps.Copy(gradCases, samplingGradCases) }

// numbers is a constant.
func numbers(b *graph.Builder, name string, shape []int, x ...float32) *graph.Value {
	return b.Const(format.FromFloat32s(name, shape, x))
}

// shrunk returns x times a number, plus another: where a function has a slope at each
// of a normal distribution's numbers.
func shrunk(b *graph.Builder, x *graph.Value, by, plus float64) *graph.Value {
	return b.Add(b.Mul(x, b.Scalar(by)), b.Scalar(plus))
}

// inRange are the cases of a function that is defined or smooth in part only.
func inRange(op graph.Op, by, plus float64) []gradCase {
	return unary(func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Apply(op, 1, shrunk(b, x, by, plus))[0] })
}

func grids() (out []gradCase) {
	for _, mode := range []string{"nearest", "linear", "cubic"} {
		for _, padding := range []string{"zeros", "border", "reflection"} {
			for _, align := range []bool{false, true} {
				op := graph.GridSample{Mode: mode, Padding: padding, AlignCorners: align}
				out = append(out, gradCase{fmt.Sprint(mode, padding, align), false, func(b *graph.Builder) *graph.Value {
					return b.Apply(op, 1, param(b, "x", 2, 2, 3, 4), shrunk(b, param(b, "grid", 2, 2, 3, 2), 0.71, 0.0137))[0]
				}})
			}
		}
	}
	return append(out, gradCase{"a volume", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.GridSample{Mode: "linear", Padding: "zeros"}, 1, param(b, "x", 1, 2, 3, 2, 4), shrunk(b, param(b, "grid", 1, 2, 1, 3, 3), 0.71, 0.0137))[0]
	}}, gradCase{"a line of one element", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.GridSample{Mode: "linear", Padding: "reflection", AlignCorners: true}, 1, param(b, "x", 1, 2, 1), shrunk(b, param(b, "grid", 1, 4, 1), 0.71, 0.0137))[0]
	}})
}

func deformed(name string, op graph.DeformConv, x, w, offset []int, mask ...int) gradCase {
	return gradCase{name, false, func(b *graph.Builder) *graph.Value {
		args := []*graph.Value{param(b, "x", x...), param(b, "w", w...), shrunk(b, param(b, "offset", offset...), 0.71, 0.0137)}
		if mask != nil {
			args = append(args, param(b, "mask", mask...))
		}
		return b.Apply(op, 1, args...)[0]
	}}
}

// regions has two regions inside an image, and one that goes beyond it.
func regions(b *graph.Builder) *graph.Value {
	return b.Add(b.Mul(param(b, "regions", 3, 4), b.Scalar(0.0713)), numbers(b, "corners", []int{3, 4}, 0.313, 0.517, 4.111, 3.217, 2.113, 1.319, 6.717, 5.923, -2.417, -1.319, 1.117, 8.519))
}

func aligned() (out []gradCase) {
	for _, samples := range []int{2, 0} {
		for _, half := range []bool{false, true} {
			for _, most := range []bool{false, true} {
				op := graph.RoiAlign{Height: 2, Width: 3, Samples: samples, Scale: 0.75, HalfPixel: half, Max: most}
				out = append(out, gradCase{fmt.Sprint(samples, half, most), false, func(b *graph.Builder) *graph.Value {
					x := param(b, "x", 2, 2, 5, 6)
					if most { // the largest of weighted elements is none twice
						x = apart(b, x)
					}
					return b.Apply(op, 1, x, regions(b), fixedIDs(b, "images", []int{3}, 0, 1, 0))[0]
				}})
			}
		}
	}
	return append(out, gradCase{"empty parts", false, func(b *graph.Builder) *graph.Value {
		r := numbers(b, "corners", []int{2, 4}, 3, 3, 1, 1, 1, 1, 40.3, 30.7)
		op := graph.RoiAlign{Height: 2, Width: 2, Scale: 1, HalfPixel: true}
		return b.Apply(op, 1, param(b, "x", 1, 1, 4, 5), r, fixedIDs(b, "images", []int{2}, 0, 0))[0]
	}})
}

func pooledRegions(b *graph.Builder) *graph.Value {
	r := numbers(b, "regions", []int{3, 5}, 0, 0.4, 0.6, 4, 3, 1, 2, 1, 9, 8.5, 0, -3.5, 1, 1, 2)
	return b.Apply(graph.MaxRoiPool{Height: 2, Width: 3, Scale: 0.75}, 1, apart(b, param(b, "x", 2, 2, 5, 6)), r)[0]
}

func transforms() (out []gradCase) {
	for _, n := range []int{5, 6} {
		for _, length := range []int{n - 2, n, n + 3} {
			for _, parts := range []int{1, 2} {
				for _, op := range []graph.DFT{{}, {Onesided: true}, {Inverse: true}, {Inverse: true, Onesided: true}} {
					if op.Onesided && op.Inverse != (parts == 2) {
						continue
					}
					op.Axis, op.Length = 1, graph.N(length)
					out = append(out, ofParams(fmt.Sprint(n, length, parts, op.Inverse, op.Onesided), false, op, []int{2, n, 2, parts}))
				}
			}
		}
	}
	return out
}

func cumProds() (out []gradCase) {
	zeros := []float32{1, 0, 1, 1, 0, 1, 0, 1, 1, 1}
	for _, exclusive := range []bool{false, true} {
		for _, reverse := range []bool{false, true} {
			op := graph.CumProd{Axis: 1, Exclusive: exclusive, Reverse: reverse}
			out = append(out, gradCase{fmt.Sprint(exclusive, reverse), true, func(b *graph.Builder) *graph.Value {
				return b.Apply(op, 1, b.Mul(param(b, "x", 2, 5), numbers(b, "zeros", []int{2, 5}, zeros...)))[0]
			}})
		}
	}
	return out
}

func scatters() (out []gradCase) {
	x := func(b *graph.Builder) *graph.Value { return param(b, "x", 4, 2) }
	ids := func(b *graph.Builder) *graph.Value { return fixedIDs(b, "ids", []int{4, 1}, 0, 2, -4, 0) }
	for _, reduction := range []string{"", "mul", "max", "min"} {
		op := graph.ScatterND{Reduction: reduction}
		out = append(out, gradCase{"a place several times " + reduction, true, func(b *graph.Builder) *graph.Value {
			return b.Apply(op, 1, x(b), ids(b), shrunk(b, param(b, "updates", 4, 2), 1.013, 0.0037))[0]
		}})
	}
	return append(out, gradCase{"factors of 0", true, func(b *graph.Builder) *graph.Value {
		zeros := numbers(b, "zeros", []int{4, 2}, 1, 0, 0, 1, 1, 0, 1, 1)
		return b.Apply(graph.ScatterND{Reduction: "mul"}, 1, b.Mul(x(b), numbers(b, "more", []int{4, 2}, 1, 1, 1, 1, 0, 1, 0, 1)), ids(b), b.Mul(param(b, "updates", 4, 2), zeros))[0]
	}}, gradCase{"one place", false, func(b *graph.Builder) *graph.Value {
		return b.Apply(graph.ScatterND{}, 1, x(b), fixedIDs(b, "ids", []int{1, 2}, -2, 1), param(b, "updates", 1))[0]
	}})
}

func dequantized(name string, op graph.DequantizeLinear, scale []int, zero ...int64) gradCase {
	op.To = format.Float32
	return gradCase{name, true, func(b *graph.Builder) *graph.Value {
		x := b.Cast(fixedIDs(b, "x", []int{2, 5}, 3, -7, 100, 0, 8, -128, 5, 6, 7, 127), format.Int8)
		args := []*graph.Value{x, param(b, "scale", scale...)}
		if zero != nil {
			args = append(args, b.Cast(fixedIDs(b, "zero", scale, zero...), format.Int8))
		}
		return b.Apply(op, 1, args...)[0]
	}}
}

var samplingGradCases = map[string][]gradCase{
	"Tan": inRange(graph.Tan, 0.2, 0), "Asin": inRange(graph.Asin, 0.2, 0), "Acos": inRange(graph.Acos, 0.2, 0), "Atan": inRange(graph.Atan, 1, -0.7),
	"Sinh": inRange(graph.Sinh, 1, -0.7), "Cosh": inRange(graph.Cosh, 1, -0.7), "Asinh": inRange(graph.Asinh, 1, -0.7), "Acosh": inRange(graph.Acosh, 1, 0.8),
	"Atanh": inRange(graph.Atanh, 0.2, 0),
	"Mod": binary(func(b *graph.Builder, x, y *graph.Value) *graph.Value {
		return b.Apply(graph.Mod, 1, shrunk(b, x, -1.013, 0.0037), shrunk(b, y, 1, 0.4137))[0]
	}),
	"FMod": binary(func(b *graph.Builder, x, y *graph.Value) *graph.Value {
		return b.Apply(graph.FMod, 1, shrunk(b, x, -1.013, 0.0037), shrunk(b, y, 1, 0.4137))[0]
	}),
	"GridSample": grids(),
	"DeformConv": {
		deformed("a vector of groups", graph.DeformConv{Strides: []int{1, 2}, Pads: []int{1, 0, 1, 1}, Dilations: []int{1, 2}, Group: 2, OffsetGroup: 2},
			[]int{2, 4, 4, 6}, []int{4, 2, 2, 2}, []int{2, 16, 5, 3}),
		deformed("weights of samples", graph.DeformConv{Strides: []int{1, 1}, Pads: []int{0, 0, 0, 0}, Dilations: []int{1, 1}, Group: 1, OffsetGroup: 1},
			[]int{1, 2, 4, 4}, []int{3, 2, 3, 3}, []int{1, 18, 2, 2}, 1, 9, 2, 2),
	},
	"Col2Im": {
		ofParams("overlapping, with a rest", false, graph.Col2Im{Image: graph.Numbers(5, 6), Block: []int{2, 3}, Strides: []int{2, 1}, Pads: []int{0, 1, 0, 1}, Dilations: []int{1, 2}}, []int{2, 12, 8}),
		ofParams("a line", false, graph.Col2Im{Image: graph.Numbers(7), Block: []int{3}, Strides: []int{1}, Pads: []int{1, 0}, Dilations: []int{1}}, []int{1, 6, 6}),
	},
	"Det": {
		ofParams("batches", false, graph.Det{}, []int{2, 2, 4, 4}),
		ofParams("a number", false, graph.Det{}, []int{1, 1}),
		{"without an inverse", false, func(b *graph.Builder) *graph.Value {
			x := param(b, "x", 1, 3)
			return b.Apply(graph.Det{}, 1, b.Concat(0, x, b.Mul(x, b.Scalar(2)), param(b, "y", 1, 3)))[0]
		}},
	},
	"RoiAlign": aligned(), "MaxRoiPool": {{"parts that overlap, and empty ones", false, pooledRegions}},
	"DFT": transforms(), "CumProd": cumProds(),
	"DequantizeLinear": {
		dequantized("one scale", graph.DequantizeLinear{}, []int{}, 3), dequantized("one scale as a vector", graph.DequantizeLinear{Axis: 1}, []int{1}),
		dequantized("columns", graph.DequantizeLinear{Axis: 1}, []int{5}, 1, -2, 3, -4, 5), dequantized("blocks", graph.DequantizeLinear{Axis: 1, Block: 2}, []int{2, 3}, 1, 2, 3, 4, 5, 6),
	},
	"Unique": {{"elements", false, func(b *graph.Builder) *graph.Value {
		return b.ReduceSum(b.Exp(b.Mul(b.Scalar(0.01), b.Apply(graph.Unique{Count: graph.Sym("n")}, 1, apart(b, param(b, "x", 2, 3)))[0])), false, 0)
	}}, {"slices", false, func(b *graph.Builder) *graph.Value {
		u := b.Apply(graph.Unique{Along: true, Axis: 1, Count: graph.Sym("n")}, 1, apart(b, param(b, "x", 2, 3)))[0]
		return b.ReduceSum(b.Exp(b.Mul(b.Scalar(0.01), u)), false, 0, 1)
	}}},
	"Compress": {{"elements", false, func(b *graph.Builder) *graph.Value {
		keep := b.Greater(numbers(b, "keep", []int{4}, 1, 0, 0, 1), b.Scalar(0.5))
		return b.ReduceSum(b.Exp(b.Apply(graph.Compress{Count: graph.Sym("n")}, 1, param(b, "x", 2, 3), keep)[0]), false, 0)
	}}, {"columns", false, func(b *graph.Builder) *graph.Value {
		keep := b.Greater(numbers(b, "keep", []int{3}, 0, 1, 1), b.Scalar(0.5))
		return b.ReduceSum(b.Exp(b.Apply(graph.Compress{Along: true, Axis: 1, Count: graph.Sym("n")}, 1, param(b, "x", 2, 3), keep)[0]), false, 0, 1)
	}}},
}

func init() { gradCases["ScatterND"] = append(gradCases["ScatterND"], scatters()...) }

// The scale of DynamicQuantizeLinear follows the largest and the smallest element, as
// far as zero lies between them.
func TestGradOfDynamicScale(t *testing.T) {
	b := graph.NewBuilder()
	scale := b.Apply(graph.DynamicQuantizeLinear{}, 3, b.Param("x", graph.Normal(1), 4))[1]
	b.Output("loss", scale)
	g, err := b.Graph()
	if err == nil {
		g, err = graph.Apply(g, graph.Grad("loss"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ x, want []float32 }{
		{[]float32{1, -3, 2, 0}, []float32{0, -1, 1, 0}},
		{[]float32{1, 3, 2, 4}, []float32{0, 0, 0, 1}},
		{[]float32{-1, -3, -2, -4}, []float32{0, 0, 0, -1}},
	} {
		o, err := ref.New(g, []format.Tensor{format.FromFloat32s("x", []int{4}, c.x)})
		if err != nil {
			t.Fatal(err)
		}
		out, err := o.Run(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := out[role.GradientOf("x").Name()].AsFloat64s()
		for i, w := range c.want {
			if len(got) != len(c.want) || got[i] != float64(w)/255 {
				t.Fatalf("%v: %v, expected %v / 255", c.x, got, c.want)
			}
		}
	}
}
