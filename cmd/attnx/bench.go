package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

func benchCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure training and generation on this machine",
		Example: "  attnx bench train --preset nano,small\n  attnx bench kernels --preset nano\n  attnx bench generate --preset gpt2",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchTrainCommand(s), benchKernelsCommand(s), benchGenerateCommand(s))
	return cmd
}

// benchSize is a network and a batch to measure with.
type benchSize struct {
	network        nn.Network
	batch, context int
}

// benchPresets are the names of the sizes that can be measured: the presets,
// and a network between small and gpt2.
func benchPresets() []string { return append(arch.Presets(), "w512") }

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
	case arch.Largest:
		vocab, z.batch, z.context = 50257, 4, 64
	}
	sizes, err := arch.Preset(preset)
	if err != nil {
		return z, fmt.Errorf("--preset %.80q: take one of %s", name, strings.Join(benchPresets(), ", "))
	}
	if name == "w512" {
		sizes.Layers, sizes.Heads, sizes.Width = 8, 8, 512
	}
	if batch != 0 {
		z.batch = batch
	}
	if context != 0 {
		z.context = context
	}
	if z.context == 0 {
		z.context = sizes.Context
	}
	sizes.Context = max(sizes.Context, z.context)
	z.network, err = arch.New(arch.Names()[0], sizes, vocab)
	return z, err
}

// stepFLOP counts the floating-point operations of one training step as is
// usual: 6 for each parameter and token, and 12·L·C·T for each token's
// attention (Kaplan et al., arXiv:2001.08361, appendix B).
func stepFLOP(c *model.Checkpoint, batch, context int) (float64, error) {
	n, err := c.Parameters()
	if err != nil {
		return 0, err
	}
	tokens := float64(batch * context)
	return tokens * (6*float64(n) + 12*float64(len(c.Attentions())*c.Width()*context)), nil
}
