package read_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/check"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/fixtures"
)

// wide writes a model of layers of width² weights each, which are in a file of their
// own, and returns the model's path and the bytes of both files.
func wide(tb testing.TB, layers, width int) (path string, size int64) {
	tb.Helper()
	dir := tb.TempDir()
	m := &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 21}}, Graph: &onnx.Graph{
		Name: "wide", Inputs: []onnx.ValueInfo{input("x0", onnx.Float, open("n"), onnx.Dim{Value: int64(width)})},
		Outputs: []onnx.ValueInfo{input(fmt.Sprintf("x%d", layers), onnx.Float, open("n"), onnx.Dim{Value: int64(width)})},
	}}
	for i := range layers {
		w := fmt.Sprintf("w%d", i)
		m.Graph.Nodes = append(m.Graph.Nodes, op("MatMul", fmt.Sprintf("x%d", i+1), fmt.Sprintf("x%d", i), w))
		m.Graph.Initializers = append(m.Graph.Initializers, &onnx.Tensor{Name: w, DataType: onnx.Float, Dims: []int64{int64(width), int64(width)}, Raw: make([]byte, 4*width*width)})
	}
	small, write := onnx.Externalize(m, "weights.bin")
	weights, err := os.Create(filepath.Join(dir, "weights.bin"))
	if err == nil {
		err = write(weights)
	}
	if err == nil {
		err = weights.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	path = filepath.Join(dir, "model.onnx")
	file, err := os.Create(path)
	if err == nil {
		err = small.Encode(file)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "weights.bin"))
	if err != nil {
		tb.Fatal(err)
	}
	return path, info.Size() + small.EncodedSize()
}

// readAndCheck reads a file with all its weights, and asks both checks.
func readAndCheck(tb testing.TB, path string) *read.Result {
	tb.Helper()
	m, err := onnx.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if found := check.Full(m, filepath.Dir(path)); len(found) > 0 {
		tb.Fatal(found)
	}
	r, err := read.Model(m, read.Options{Dir: filepath.Dir(path)})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// BenchmarkReadAndCheck reads and checks 500 MB of external data. The other one reads
// the bytes alone.
func BenchmarkReadAndCheck(b *testing.B) {
	path, size := wide(b, 48, 1616)
	b.Run("model", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			runtime.KeepAlive(readAndCheck(b, path))
		}
	})
	b.Run("bytes", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			data, err := os.ReadFile(filepath.Join(filepath.Dir(path), "weights.bin"))
			if err != nil {
				b.Fatal(err)
			}
			runtime.KeepAlive(data)
		}
	})
}

// Reading and checking takes at most 1.2 times the bytes of the files.
func TestReadingMemory(t *testing.T) {
	width := 256
	if fixtures.Exhaustive() {
		width = 1616
	}
	path, size := wide(t, 48, width)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := readAndCheck(t, path)
	runtime.ReadMemStats(&after)
	if got := float64(after.TotalAlloc-before.TotalAlloc) / float64(size); got > 1.2 {
		t.Errorf("%.2f bytes allocated for each of the files", got)
	}
	if len(r.Weights) != 48 {
		t.Errorf("%d weights", len(r.Weights))
	}
}
