package bench

import (
	"context"
	"errors"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/runtime/ort/library"
)

// tinyBench is a bench of the preset tiny in ONNX Runtime on the CPU.
func tinyBench(t *testing.T) Generation {
	t.Helper()
	lib, err := library.FindOrInstall(t.Context(), "", nil)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	c, err := Random("tiny")
	if err != nil {
		t.Fatal(err)
	}
	f := export.Cache{LastLogits: true}
	return Generation{
		Past: 4, Count: 4, Options: attnx.Options{Library: lib.Path},
		Open: func(o attnx.Options) (*attnx.Model, error) { return attnx.OpenCheckpoint(c, f, o) },
	}
}

// The 512 MiB that measuring the bandwidth takes are none of generation's.
func TestBenchGeneratePeakMemory(t *testing.T) {
	debug.FreeOSMemory()
	memory.ResetPeak()
	before := memory.Peak()
	if before == 0 {
		t.Skip("this system does not tell a process's memory")
	}
	r, err := tinyBench(t).Run(t.Context(), "tiny", []int{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.PeakMemory < before/2 || row.PeakMemory > before+bandwidthBytes/2 {
			t.Errorf("batch %d of a network of 30,000 weights: peak memory %d, before %d", row.Batch, row.PeakMemory, before)
		}
	}
}

func TestBenchGenerateStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tinyBench(t).Run(ctx, "tiny", []int{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped by Ctrl-C: %v", err)
	}
}

func TestBenchGenerateFits(t *testing.T) {
	for _, sizes := range [][2]int{{15, 1}, {14, 1}, {1, 14}, {1, math.MaxInt}, {math.MaxInt, 1}} {
		b := tinyBench(t)
		b.Past, b.Count = sizes[0], sizes[1]
		if _, err := b.Run(t.Context(), "tiny", []int{1}); err == nil || !strings.Contains(err.Error(), "the model sees 16") {
			t.Errorf("past %d, tokens %d: %v", b.Past, b.Count, err)
		}
	}
	b := tinyBench(t)
	b.Past, b.Count = 13, 1
	if _, err := b.Run(t.Context(), "tiny", []int{1}); err != nil {
		t.Error(err)
	}
}

// The bandwidth of a GPU is measured with the library that --ort-lib names.
func TestBandwidthLibrary(t *testing.T) {
	if _, err := bandwidth(attnx.Options{Device: "cuda", Library: "no-such-library.so"}); err == nil || !strings.Contains(err.Error(), "no-such-library.so") {
		t.Errorf("a library that is not there: %v", err)
	}
}
