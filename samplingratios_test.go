package attnx

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/runtime"
)

// ratioCase is a node with its inputs: float32 are drawn, integers are given.
type ratioCase struct {
	op      string
	version int64
	inputs  []format.Tensor
	stored  []int // inputs that are initializers
	attrs   []onnx.Attribute
	exact   bool // it moves elements, and differs in none
}

// ratioCases are operators whose points, regions or roots of one are computed. With all of
// them there are more sizes.
func ratioCases(all bool) map[string]ratioCase {
	random := rand.New(rand.NewPCG(5, 7))
	normal := func(shape ...int) format.Tensor {
		n, _ := format.Elements(shape)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(random.NormFloat64())
		}
		return format.FromFloat32s("", shape, x)
	}
	between := func(low, high float64, shape ...int) format.Tensor {
		n, _ := format.Elements(shape)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(low + (high-low)*random.Float64())
		}
		return format.FromFloat32s("", shape, x)
	}
	regions := func(columns int) format.Tensor { // (6,4), or (6,5) with the image first
		var x []float32
		for i := range 6 {
			a, b, c, d := random.Float64()*40, random.Float64()*40, random.Float64()*40, random.Float64()*40
			if columns == 5 {
				x = append(x, float32(i%2))
			}
			x = append(x, float32(min(a, b)), float32(min(c, d)), float32(max(a, b)), float32(max(c, d)))
		}
		return format.FromFloat32s("", []int{6, columns}, x)
	}
	axis := format.FromInt64s("", []int{}, []int64{1})
	text := func(name, value string) onnx.Attribute {
		return onnx.Attribute{Name: name, Type: onnx.AttrString, String: []byte(value)}
	}
	cases := map[string]ratioCase{}
	lengths := []int{16, 100, 256, 127}
	if all {
		lengths = append(lengths, 8, 64, 1024, 4096, 5, 7, 17, 30, 400, 1000)
	}
	for _, n := range lengths {
		for inverse := range int64(2) {
			cases[fmt.Sprint("DFT of ", n, ", inverse ", inverse)] = ratioCase{op: "DFT", version: 20, inputs: []format.Tensor{normal(3, n, 2), {}, axis}, stored: []int{2}, attrs: []onnx.Attribute{onnx.IntAttr("inverse", inverse)}}
		}
		cases[fmt.Sprint("DFT of ", n, ", one-sided")] = ratioCase{op: "DFT", version: 20, inputs: []format.Tensor{normal(3, n, 1), {}, axis}, stored: []int{2}, attrs: []onnx.Attribute{onnx.IntAttr("onesided", 1)}}
	}
	cases["STFT"] = ratioCase{op: "STFT", version: 17, inputs: []format.Tensor{normal(2, 512, 1), format.FromInt64s("", []int{}, []int64{100}), normal(128)}, stored: []int{1, 2}}
	for _, mode := range []string{"linear", "cubic", "nearest"} {
		for _, padding := range []string{"zeros", "reflection", "border"} {
			for corners := range int64(2) {
				if mode == "cubic" && padding == "border" || !all && corners == 0 && padding != "zeros" {
					continue // ONNX's reference moves a point to the border; PyTorch and ONNX Runtime move elements
				}
				cases[fmt.Sprint("GridSample ", mode, " ", padding, " ", corners)] = ratioCase{op: "GridSample", version: 20, inputs: []format.Tensor{normal(2, 3, 13, 17), between(-1.3, 1.3, 2, 9, 11, 2)},
					attrs: []onnx.Attribute{text("mode", mode), text("padding_mode", padding), onnx.IntAttr("align_corners", corners)}, exact: mode == "nearest"}
			}
		}
	}
	cases["GridSample of a volume"] = ratioCase{op: "GridSample", version: 20, inputs: []format.Tensor{normal(1, 2, 7, 8, 9), between(-1.3, 1.3, 1, 4, 5, 6, 3)}}
	images := format.FromInt64s("", []int{6}, []int64{0, 1, 0, 1, 1, 0})
	for _, mode := range []string{"avg", "max"} {
		for samples := range int64(3) {
			cases[fmt.Sprint("RoiAlign ", mode, " ", samples)] = ratioCase{op: "RoiAlign", version: 16, inputs: []format.Tensor{normal(2, 3, 25, 30), regions(4), images},
				attrs: []onnx.Attribute{text("mode", mode), onnx.IntAttr("sampling_ratio", samples), onnx.IntAttr("output_height", 4), onnx.IntAttr("output_width", 5), onnx.FloatAttr("spatial_scale", 0.6)}}
		}
	}
	cases["MaxRoiPool"] = ratioCase{op: "MaxRoiPool", version: 1, inputs: []format.Tensor{normal(2, 3, 25, 30), regions(5)}, attrs: []onnx.Attribute{onnx.IntsAttr("pooled_shape", 3, 4), onnx.FloatAttr("spatial_scale", 0.6)}, exact: true}
	sizes := []int{3, 8}
	if all {
		sizes = append(sizes, 2, 4, 5, 16, 40)
	}
	for _, n := range sizes {
		cases[fmt.Sprint("Det of ", n)] = ratioCase{op: "Det", version: 11, inputs: []format.Tensor{normal(200, n, n)}}
	}
	cases["DeformConv"] = ratioCase{op: "DeformConv", version: 19, inputs: []format.Tensor{normal(2, 4, 12, 13), normal(6, 4, 3, 3), normal(2, 18, 10, 11)}}
	cases["DeformConv in groups"] = ratioCase{op: "DeformConv", version: 19, inputs: []format.Tensor{normal(1, 4, 12, 13), normal(6, 2, 3, 3), normal(1, 36, 10, 11), normal(6), between(0, 1, 1, 18, 10, 11)},
		attrs: []onnx.Attribute{onnx.IntAttr("group", 2), onnx.IntAttr("offset_group", 2)}}
	return cases
}

// The bounds of operators that compute points, regions and roots of one are near what ONNX
// Runtime does.
func TestSamplingRatios(t *testing.T) {
	for name, c := range ratioCases(fixtures.Exhaustive()) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			node := &onnx.Node{Op: c.op, Outputs: []string{"y"}, Attributes: c.attrs}
			m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: c.version}}, Graph: &onnx.Graph{Name: "g", Nodes: []*onnx.Node{node}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}}}}
			var files Files
			for i, x := range c.inputs {
				x.Name = fmt.Sprint("x", i)
				if x.Shape == nil {
					node.Inputs = append(node.Inputs, "")
					continue
				}
				node.Inputs = append(node.Inputs, x.Name)
				dtype, dims := onnx.Float, []int64{}
				if x.DType == format.Int64 {
					dtype = onnx.Int64
				}
				var declared []onnx.Dim
				for _, n := range x.Shape {
					dims, declared = append(dims, int64(n)), append(declared, onnx.Dim{Value: int64(n)})
				}
				if slices.Contains(c.stored, i) {
					m.Graph.Initializers = append(m.Graph.Initializers, &onnx.Tensor{Name: x.Name, DataType: dtype, Dims: dims, Raw: x.Data})
					continue
				}
				m.Graph.Inputs = append(m.Graph.Inputs, onnx.ValueInfo{Name: x.Name, DataType: dtype, Dims: declared})
				files = append(files, File{Input: x.Name, Path: filepath.Join(dir, x.Name+".npy")})
				if err := writeTo(files[len(files)-1].Path, func(w io.Writer) error { return npy.Write(w, x) }); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "model.onnx")
			if err := writeTo(path, m.Encode); err != nil {
				t.Fatal(err)
			}
			report, err := VerifyONNX(t.Context(), []string{path}, VerifyOptions{Runtimes: []string{"ort-cpu"}, Inputs: files})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				if r.Status == runtime.StatusUnavailable {
					t.Skip(r.Reason)
				}
				ratio := float64(r.BoundRatio)
				switch {
				case r.Status != runtime.StatusOK:
					t.Errorf("%s: %s: %s", r.Runtime, r.Status, r.Reason)
				case c.exact && r.MaxAbs != 0, !c.exact && !(ratio >= leastRatio && ratio <= mostRatio):
					t.Errorf("%s: off by %g, the bound is %.3g times that", r.Runtime, float64(r.MaxAbs), ratio)
				}
			}
		})
	}
}
