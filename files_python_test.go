package attnx

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime/ref"
)

// fileBound is the most by which an output of the oracle may differ from ONNX
// Runtime's, relative to the largest element of that output: float32's rounding
// through some hundred layers.
const fileBound = 1e-4

// TestFilesAsONNXRuntime runs the ONNX files that ATTNX_ONNX names, and those in the
// folders that it names, in the oracle and in ONNX Runtime, without its optimizations
// and with all, on inputs drawn here. What the reader refuses is logged.
func TestFilesAsONNXRuntime(t *testing.T) {
	python, places := os.Getenv("ATTNX_PYTHON"), filepath.SplitList(os.Getenv("ATTNX_ONNX"))
	if python == "" || len(places) == 0 {
		t.Skip("set ATTNX_ONNX to ONNX files, or folders of them, and ATTNX_PYTHON to a Python with onnxruntime, to compare the two")
	}
	for _, place := range places {
		err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".onnx") {
				t.Run(filepath.Base(path), func(t *testing.T) { runFile(t, python, path) })
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func runFile(t *testing.T, python, path string) {
	start := time.Now()
	m, err := onnx.DecodeFile(path)
	if err != nil {
		t.Fatal(err)
	}
	given := drawn(t, m)
	r, err := readFor(m, filepath.Dir(path), given)
	var unsupported *read.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	oracle, err := ref.New(r.Graph, r.Weights)
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]format.Tensor{}
	for _, in := range r.Graph.Inputs {
		inputs[in.Name] = given[in.Name]
	}
	got, err := oracle.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	peak := memory.Peak()
	t.Logf("oracle: %.1f s, %d MB at most", time.Since(start).Seconds(), peak>>20)
	for _, level := range []string{"off", "all"} {
		want := inONNXRuntime(t, python, path, level, m, given)
		for i, out := range r.Graph.Outputs {
			if err := near(got[out.Name], want[i]); err != nil {
				t.Errorf("optimizations %s: output %q: %v", level, out.Name, err)
			}
		}
	}
}

// drawn returns inputs of the declared types: numbers from 0 to 1, integers below 20,
// masks of ones. An open dimension is 2 in front, that of an image 320, and else 7.
func drawn(t *testing.T, m *onnx.Model) map[string]format.Tensor {
	inputs := map[string]format.Tensor{}
	stream := model.NewStream(11, "inputs")
	for _, in := range m.Graph.Inputs {
		if slices.ContainsFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == in.Name }) {
			continue
		}
		var shape []int
		for i, d := range in.Dims {
			switch {
			case !d.Open:
				shape = append(shape, int(d.Value))
			case i == 0:
				shape = append(shape, 2)
			case d.Param == "height" || d.Param == "width":
				shape = append(shape, 320)
			default:
				shape = append(shape, 7)
			}
		}
		n, _ := format.Elements(shape)
		var data []byte
		integer := func(i int) uint64 {
			if strings.Contains(in.Name, "mask") {
				return 1
			}
			return uint64(stream.IntN(uint64(i), 20))
		}
		x := format.Tensor{Name: in.Name, Shape: shape}
		for i := range n {
			switch in.DataType {
			case onnx.Float:
				x.DType = format.Float32
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(stream.IntN(uint64(i), 1<<20))/(1<<20)))
			case onnx.Int32:
				x.DType = format.Int32
				data = binary.LittleEndian.AppendUint32(data, uint32(integer(i)))
			case onnx.Int64:
				x.DType = format.Int64
				data = binary.LittleEndian.AppendUint64(data, integer(i))
			default:
				t.Skipf("input %q is of %s", in.Name, in.DataType)
			}
		}
		x.Data = data
		inputs[in.Name] = x
	}
	return inputs
}

// inONNXRuntime returns the outputs of a model in Python's onnxruntime.
func inONNXRuntime(t *testing.T, python, path, level string, m *onnx.Model, given map[string]format.Tensor) []format.Tensor {
	t.Helper()
	dir := t.TempDir()
	types := map[format.DType]string{format.Float32: "float32", format.Int32: "int32", format.Int64: "int64"}
	list := [][]any{}
	for _, in := range m.Graph.Inputs {
		x, ok := given[in.Name]
		if !ok {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("input_%d.bin", len(list))), x.Data, 0o666); err != nil {
			t.Fatal(err)
		}
		list = append(list, []any{in.Name, types[x.DType], x.Shape})
	}
	text, err := json.Marshal(list)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "inputs.json"), text, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(python, "-B", filepath.Join("fixtures", "oracle", "onnxruntime_run.py"), path, dir, level).CombinedOutput(); err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	var shapes [][]int
	if text, err = os.ReadFile(filepath.Join(dir, "outputs.json")); err == nil {
		err = json.Unmarshal(text, &shapes)
	}
	if err != nil {
		t.Fatal(err)
	}
	outputs := make([]format.Tensor, len(shapes))
	for i, shape := range shapes {
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("output_%d.bin", i)))
		if err != nil {
			t.Fatal(err)
		}
		outputs[i] = format.Tensor{DType: format.Float64, Shape: shape, Data: data}
	}
	return outputs
}

// near reports where two outputs differ by more than fileBound of the largest element.
func near(got, want format.Tensor) error {
	if !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("its shape is %v, in ONNX Runtime %v", got.Shape, want.Shape)
	}
	x, err := got.AsFloat64s()
	if err != nil {
		return err
	}
	y, err := want.AsFloat64s()
	if err != nil {
		return err
	}
	scale := 0.0
	for _, v := range y {
		scale = max(scale, math.Abs(v))
	}
	for i := range y {
		if !(math.Abs(x[i]-y[i]) <= fileBound*scale) {
			return fmt.Errorf("element %v is %g, in ONNX Runtime %g; the largest is %g", format.Index(i, want.Shape), x[i], y[i], scale)
		}
	}
	return nil
}
