package export_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
)

// Writing GPT-2 (124 M parameters) the way the command does, its hash
// included. peak/weights is the largest memory of the process over the size of
// the weights; it is known on Linux only, and true only when nothing else ran
// in the process: go test -bench ExportGPT2 -run '^$' ./export
func BenchmarkExportGPT2(b *testing.B) {
	sizes, err := arch.Preset("gpt2")
	if err != nil {
		b.Fatal(err)
	}
	n, err := arch.New(gpt2, sizes, 50257)
	if err != nil {
		b.Fatal(err)
	}
	checkpoint, err := model.Of(n)
	if err != nil {
		b.Fatal(err)
	}
	g, size := checkpoint.Graph, 0
	for _, p := range g.Params {
		shape, _ := p.Shape.Numbers()
		n, _ := format.Elements(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i%251) / 1024
		}
		checkpoint.Weights = append(checkpoint.Weights, format.FromFloat32s(p.Name, shape, v))
		size += 4 * n
	}
	path := filepath.Join(b.TempDir(), "gpt2.onnx")
	for b.Loop() {
		meta, err := checkpoint.Metadata()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := export.File(path, g, checkpoint.Weights, export.Plain{}, meta); err != nil {
			b.Fatal(err)
		}
	}
	if peak := highWater(); peak > 0 {
		b.ReportMetric(float64(peak)/float64(size), "peak/weights")
	}
}

// highWater returns the most memory that the process has held, in bytes, 0
// where the system does not tell.
func highWater() (bytes int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); n == 1 {
			return bytes << 10
		}
	}
	return 0
}
