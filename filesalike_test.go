package attnx

import (
	"context"
	"encoding/binary"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// smallPair writes a file that multiplies x (n,t,4) by a matrix, and goes on with nodes
// from "a" to "y".
func smallPair(t *testing.T, name string, edit func(g *onnx.Graph), nodes ...*onnx.Node) string {
	t.Helper()
	open := []onnx.Dim{{Open: true, Param: "n"}, {Open: true, Param: "t"}, {Value: 4}}
	w := hostileFloats("w", 4, 4)
	for i := range 16 {
		binary.LittleEndian.PutUint32(w.Raw[4*i:], math.Float32bits(float32(i%5)/3-0.6))
	}
	g := &onnx.Graph{Name: "g",
		Inputs:       []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: open}},
		Outputs:      []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
		Initializers: []*onnx.Tensor{w},
		Nodes:        append([]*onnx.Node{hostileNode("MatMul", "a", nil, "x", "w")}, nodes...)}
	if edit != nil {
		edit(g)
	}
	return writeModel(t, filepath.Join(t.TempDir(), name), g)
}

// floatOf is an initializer of one number.
func floatOf(name string, x float32) *onnx.Tensor {
	v := hostileFloats(name)
	binary.LittleEndian.PutUint32(v.Raw, math.Float32bits(x))
	return v
}

func with(all ...*onnx.Tensor) func(g *onnx.Graph) {
	return func(g *onnx.Graph) { g.Initializers = append(g.Initializers, all...) }
}

// judgedFiles is the verdict of VerifyONNX on files, in ONNX Runtime.
func judgedFiles(t *testing.T, paths ...string) runtime.Report {
	t.Helper()
	r, err := VerifyONNX(context.Background(), paths, VerifyOptions{Runtimes: []string{"ort-cpu"}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Results[0].Status == runtime.StatusUnavailable {
		t.Skip(r.Results[0].Reason)
	}
	return r
}

// halfOf computes y = a + f32(f16(tanh(x))), with the names of tanh and of its rounding; in is another a.
func halfOf(tanh, half string, in ...string) []*onnx.Node {
	a := append(in, "a")[0]
	return []*onnx.Node{hostileNode("Tanh", tanh, nil, "x"), hostileNode("Cast", half, castTo(onnx.Float16), tanh),
		hostileNode("Cast", half+"_", castTo(onnx.Float), half), hostileNode("Add", "y", nil, a, half+"_")}
}

func castTo(to onnx.DataType) []onnx.Attribute {
	return []onnx.Attribute{onnx.IntAttr("to", int64(to))}
}

// What only certain sizes, values or ids show in a second file is different by structure,
// because no sample may show it; and a second file is held to the roundings of the first.
func TestFilesDiffer(t *testing.T) {
	identity := hostileNode("Identity", "y", nil, "a")
	size := []*onnx.Node{hostileNode("Shape", "s", nil, "a"), hostileNode("Gather", "q", nil, "s", "axis"), hostileNode("Neg", "na", nil, "a")}
	branch := func(name, op string) onnx.Attribute {
		g := &onnx.Graph{Name: name, Nodes: []*onnx.Node{hostileNode(op, name+"_y", nil, "a")}, Outputs: []onnx.ValueInfo{{Name: name + "_y", DataType: onnx.Float, NoShape: true}}}
		return onnx.Attribute{Name: name, Type: onnx.AttrGraph, Graph: g}
	}
	changed := func(by float32) func(g *onnx.Graph) {
		return func(g *onnx.Graph) {
			raw := g.Initializers[0].Raw[20:]
			binary.LittleEndian.PutUint32(raw, math.Float32bits(math.Float32frombits(binary.LittleEndian.Uint32(raw))+by))
		}
	}
	for name, c := range map[string]struct {
		first, other []*onnx.Node
		edit, both   func(g *onnx.Graph)
		layer        runtime.Layer
		says         string
	}{
		"the same":          {layer: runtime.IdenticalLayer},
		"a size, Where":     {other: append(size, hostileNode("Equal", "e", nil, "q", "k"), hostileNode("Where", "y", nil, "e", "na", "a")), edit: with(hostileInts("axis", 1), hostileInts("k", 77)), says: "the second file has Equal"},
		"a size, If":        {other: append(size, hostileNode("Equal", "e1", nil, "q", "k"), hostileNode("Squeeze", "e", nil, "e1"), hostileNode("If", "y", []onnx.Attribute{branch("then_branch", "Neg"), branch("else_branch", "Identity")}, "e")), edit: with(hostileInts("axis", 1), hostileInts("k", 77)), says: "If"},
		"a batch":           {other: append(size, hostileNode("Greater", "e", nil, "q", "k"), hostileNode("Where", "y", nil, "e", "na", "a")), edit: with(hostileInts("axis", 0), hostileInts("k", 12)), says: "the second file has Less"},
		"a value":           {other: []*onnx.Node{hostileNode("Greater", "e", nil, "x", "k"), hostileNode("Neg", "na", nil, "a"), hostileNode("Where", "y", nil, "e", "na", "a")}, edit: with(floatOf("k", 3)), says: "the second file has Less"},
		"a product":         {other: []*onnx.Node{hostileNode("Greater", "e", nil, "x", "k"), hostileNode("Cast", "f", castTo(onnx.Float), "e"), hostileNode("Add", "y", nil, "f", "a")}, edit: with(floatOf("k", 3)), says: "Less"},
		"a limit":           {other: []*onnx.Node{hostileNode("Clip", "y", nil, "a", "lo", "hi")}, edit: with(floatOf("lo", -1e3), floatOf("hi", 1e3)), says: "M"},
		"a limit less":      {first: []*onnx.Node{hostileNode("Min", "y", nil, "a", "hi")}, both: with(floatOf("hi", 1e3)), says: "the first file has Min"},
		"another step":      {first: []*onnx.Node{hostileNode("Round", "y", nil, "a")}, other: []*onnx.Node{hostileNode("Add", "b", nil, "a", "h"), hostileNode("Floor", "y", nil, "b")}, edit: with(floatOf("h", .5)), says: "Floor"},
		"a narrower type":   {first: []*onnx.Node{hostileNode("Cast", "b", castTo(onnx.Int64), "a"), hostileNode("Cast", "y", castTo(onnx.Float), "b")}, other: []*onnx.Node{hostileNode("Cast", "b", castTo(onnx.Int8), "a"), hostileNode("Cast", "y", castTo(onnx.Float), "b")}, says: "Cast to I8"},
		"columns":           {other: []*onnx.Node{hostileNode("Trilu", "y", []onnx.Attribute{onnx.IntAttr("upper", 0)}, "a", "k")}, edit: with(&onnx.Tensor{Name: "k", DataType: onnx.Int64, Raw: hostileInts("k", 40).Raw}), says: "Trilu"},
		"a weight":          {edit: changed(1e-4), says: "other elements"},
		"a weight, rounded": {edit: changed(5e-8), layer: runtime.SamplesLayer},
		"a factor":          {first: []*onnx.Node{hostileNode("Div", "y", nil, "a", "k")}, other: []*onnx.Node{hostileNode("Mul", "y", nil, "a", "r")}, both: with(floatOf("k", 3), floatOf("r", 1./3)), layer: runtime.SamplesLayer},
		"bfloat16 and back": {other: []*onnx.Node{hostileNode("Cast", "b", castTo(onnx.BFloat16), "a"), hostileNode("Cast", "y", castTo(onnx.Float), "b")}, says: "the second file has Cast to BF16"},
		"float16 and back":  {other: []*onnx.Node{hostileNode("Cast", "b", castTo(onnx.Float16), "a"), hostileNode("Cast", "y", castTo(onnx.Float), "b")}, says: "the second file has Cast to F16"},
		"an exact input": { // drawn inputs are exact in float16
			first: []*onnx.Node{hostileNode("MatMul", "y", nil, "x", "w")}, says: "the second file has Cast to F16",
			other: []*onnx.Node{hostileNode("Cast", "b", castTo(onnx.Float16), "x"), hostileNode("Cast", "c", castTo(onnx.Float), "b"), hostileNode("MatMul", "y", nil, "c", "w")},
		},
		"one more to float16": { // drawn inputs are exact in float16
			first: halfOf("tanh", "h"), says: "the second file has Cast to F16",
			other: append([]*onnx.Node{hostileNode("Cast", "b", castTo(onnx.Float16), "x"), hostileNode("Cast", "x_", castTo(onnx.Float), "b"), hostileNode("MatMul", "a_", nil, "x_", "w")}, halfOf("tanh", "h", "a_")...),
		},
		"a smaller range": {
			first: []*onnx.Node{hostileNode("Cast", "b", castTo(onnx.BFloat16), "a"), hostileNode("Cast", "y", castTo(onnx.Float), "b")}, says: "the second file has Cast to F16",
			other: []*onnx.Node{hostileNode("Cast", "b", castTo(onnx.BFloat16), "a"), hostileNode("Cast", "c", castTo(onnx.Float16), "b"), hostileNode("Cast", "y", castTo(onnx.Float), "c")},
		},
		"parts to float16": { // each of the same numbers is rounded once
			first: []*onnx.Node{hostileNode("Tanh", "n", nil, "a"), hostileNode("Concat", "c", []onnx.Attribute{onnx.IntAttr("axis", 2)}, "a", "n"), hostileNode("Cast", "b", castTo(onnx.Float16), "c"), hostileNode("Cast", "y", castTo(onnx.Float), "b")},
			other: []*onnx.Node{hostileNode("Tanh", "n", nil, "a"), hostileNode("Cast", "a_", castTo(onnx.Float16), "a"), hostileNode("Cast", "n_", castTo(onnx.Float16), "n"), hostileNode("Concat", "c", []onnx.Attribute{onnx.IntAttr("axis", 2)}, "a_", "n_"), hostileNode("Cast", "y", castTo(onnx.Float), "c")},
			layer: runtime.SamplesLayer,
		},
		"float64 and back": {other: []*onnx.Node{hostileNode("Cast", "b", castTo(onnx.Double), "a"), hostileNode("Cast", "y", castTo(onnx.Float), "b")}, layer: runtime.IdenticalLayer},
	} {
		t.Run(name, func(t *testing.T) {
			if c.layer == "" {
				c.layer = runtime.DifferentLayer
			}
			if c.first == nil {
				c.first = []*onnx.Node{identity}
			}
			if c.other == nil {
				c.other = []*onnx.Node{identity}
			}
			if c.both != nil {
				c.edit = c.both
			}
			r := judgedFiles(t, smallPair(t, "a.onnx", c.both, c.first...), smallPair(t, "b.onnx", c.edit, c.other...))
			if want := c.layer != runtime.DifferentLayer; (r.Verdict == runtime.Pass) != want || r.Files[0].Layer != c.layer || !strings.Contains(r.Files[0].Reason, c.says) {
				t.Errorf("%s: %s: %+v", r.Verdict, r.Reason, r.Files[0])
			}
		})
	}
}

// A file whose weights were stored in float16 is held to float16, and the verdict says so.
func TestFilesInLessExactNumbers(t *testing.T) {
	half := func(g *onnx.Graph) {
		w := g.Initializers[0]
		x := format.Tensor{Name: w.Name, DType: format.Float32, Shape: []int{4, 4}, Data: w.Raw}
		rounded, _, err := x.Convert(format.Float16)
		if err != nil {
			t.Fatal(err)
		}
		w.Raw, w.DataType = rounded.Data, onnx.Float16
		g.Nodes = append([]*onnx.Node{hostileNode("Cast", "x16", castTo(onnx.Float16), "x")}, g.Nodes...)
		g.Nodes[1].Inputs[0] = "x16"
	}
	r := judgedFiles(t, smallPair(t, "a.onnx", nil, hostileNode("Identity", "y", nil, "a")),
		smallPair(t, "b.onnx", half, hostileNode("Cast", "y", castTo(onnx.Float), "a")))
	if r.Verdict != runtime.Pass || r.Files[0].Layer != runtime.SamplesLayer || !strings.Contains(r.Files[0].RestsOn, "it computes in float16, where the first file computes in float32, whose rounding bounds the difference of ") {
		t.Errorf("%s: %+v", r.Verdict, r.Files[0])
	}
}

// The report says what drawn cases reach, and what they leave out; a difference is named by a
// value of the file.
func TestWhatDrawnCasesReach(t *testing.T) {
	identity := hostileNode("Identity", "y", nil, "a")
	c := judgedFiles(t, smallPair(t, "a.onnx", nil, identity)).Coverage
	if c.Batches != "1-3" || c.Lengths != "1, 3, 5, 8" || c.Budget == 0 || !strings.Contains(strings.Join(c.LeftOut, "; "), `values of "x" beside those drawn from -2 to 2; other sizes`) {
		t.Errorf("%+v", c)
	}
	fixed := func(g *onnx.Graph) { g.Inputs[0].Dims[1] = onnx.Dim{Value: 2} }
	c = judgedFiles(t, smallPair(t, "b.onnx", fixed, identity)).Coverage
	if c.Batches != "1-3" || c.Lengths != "" {
		t.Errorf("no length is open: %+v", c)
	}
	ones := hostileFloats("g", 4)
	for i := range 4 {
		binary.LittleEndian.PutUint32(ones.Raw[4*i:], math.Float32bits(1))
	}
	normal := func(epsilon float32) *onnx.Node {
		return hostileNode("LayerNormalization", "y", []onnx.Attribute{onnx.FloatAttr("epsilon", epsilon)}, "a", "g")
	}
	v := judgedFiles(t, smallPair(t, "a.onnx", with(ones), normal(1e-5)), smallPair(t, "b.onnx", with(ones), normal(1e-4))).Files[0]
	if v.Layer != runtime.DifferentLayer || v.FirstDifference != "y" {
		t.Errorf("%+v", v)
	}
}
