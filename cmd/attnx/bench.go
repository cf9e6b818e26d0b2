package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ort"
)

func benchCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure training on this machine",
		Example: "  attnx bench train --preset nano,small\n  attnx bench kernels --preset nano",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchTrainCommand(s), benchKernelsCommand(s))
	return cmd
}

// benchSize is a network and a batch to measure with.
type benchSize struct {
	config         model.Config
	batch, context int
}

// benchPresets are the names of the sizes that can be measured: the presets,
// and a network between small and gpt2.
func benchPresets() []string { return append(model.Presets(), "w512") }

// benchSizeOf returns the network of a name, with nanoGPT's vocabulary of
// characters for the small ones, and a batch that one would train it with on
// a CPU. batch and context replace those of the name where they are not 0.
func benchSizeOf(name string, batch, context int) (benchSize, error) {
	z := benchSize{batch: 12}
	preset, vocab := name, 65
	switch name {
	case "small":
		z.batch = 8
	case "w512":
		preset, vocab, z.batch = "small", 4096, 4
	case "gpt2":
		vocab, z.batch, z.context = 50257, 4, 64
	}
	var err error
	if z.config, err = model.Preset(preset, model.GPT2, vocab); err != nil {
		return z, fmt.Errorf("--preset %q: take one of %s", name, strings.Join(benchPresets(), ", "))
	}
	if name == "w512" {
		z.config.Layers, z.config.Heads, z.config.Width, z.config.Inner = 8, 8, 512, 2048
	}
	if batch != 0 {
		z.batch = batch
	}
	if context != 0 {
		z.context = context
	}
	if z.context == 0 {
		z.context = z.config.Context
	}
	z.config.Context = max(z.config.Context, z.context)
	return z, z.config.Check()
}

// stepFLOP counts the floating-point operations of one training step as is
// usual: 6 for each parameter and token, and 12·L·C·T for each token's
// attention (Kaplan et al., arXiv:2001.08361, appendix B).
func stepFLOP(c model.Config, batch, context int) (float64, error) {
	n, err := c.Parameters()
	if err != nil {
		return 0, err
	}
	tokens := float64(batch * context)
	return tokens * (6*float64(n) + 12*float64(c.Layers*c.Width*context)), nil
}

// gemmPeak returns the speed of a float32 product of 1024³ through ONNX
// Runtime, in GFLOP/s: what a training step can at most come near.
func gemmPeak() (float64, error) {
	lib, err := ort.Find("")
	if err != nil {
		return 0, err
	}
	const n = 1024
	b := graph.NewBuilder()
	x, y := b.Input("x", format.Float32, graph.N(n), graph.N(n)), b.Input("y", format.Float32, graph.N(n), graph.N(n))
	b.Output("z", b.Gemm(x, y, nil, false, false))
	g, err := b.Graph()
	if err != nil {
		return 0, err
	}
	data, err := export.Bytes(g, nil, export.Options{Profile: export.Train})
	if err != nil {
		return 0, err
	}
	session, err := ort.OpenBytes(data, ort.Options{Library: lib.Path})
	if err != nil {
		return 0, err
	}
	defer session.Close()
	tensor := func(name string) format.Tensor {
		e := make([]float32, n*n)
		for i := range e {
			e[i] = float32(i%7) - 3
		}
		return format.FromFloat32s(name, []int{n, n}, e)
	}
	run, release, err := session.Bind([]format.Tensor{tensor("x"), tensor("y")}, []format.Tensor{tensor("z")})
	if err != nil {
		return 0, err
	}
	defer release()
	best := math.Inf(1) // of some: a peak is what the machine can do when it is left alone
	for range 15 {
		began := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		best = min(best, time.Since(began).Seconds())
	}
	return 2 * n * n * n / best / 1e9, nil
}

// peakMemory returns the most memory that this process has held since
// resetPeakMemory, in bytes; 0 where the system does not tell.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n * 1024
		}
	}
	return 0
}

// resetPeakMemory forgets the peak so far, where the system can (proc(5),
// clear_refs).
func resetPeakMemory() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
