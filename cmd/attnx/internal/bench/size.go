// Package bench measures training steps, their operators, and generation on
// this machine, together with the peak speeds to compare them with.
package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// Size is a network and a batch to measure with.
type Size struct {
	Network        nn.Network
	Batch, Context int
}

// Presets returns the names of the measurable sizes: the presets, and a network
// between small and gpt2.
func Presets() []string { return append(arch.Presets(), between) }

const between = "w512"

// SizeOf returns the network of a name and a batch size typical of training on
// a CPU. Small networks get nanoGPT's character vocabulary. batch and context
// replace the defaults if they are not 0.
func SizeOf(name string, batch, context int) (Size, error) {
	z := Size{Batch: 12}
	preset, vocab := name, 65
	switch name {
	case "small":
		z.Batch = 8
	case between:
		preset, vocab, z.Batch = "small", 4096, 4
	case arch.Largest:
		vocab, z.Batch, z.Context = 50257, 4, 64
	}
	sizes, err := arch.Preset(preset)
	if err != nil {
		return z, fmt.Errorf("--preset %.80q: take one of %s", name, strings.Join(Presets(), ", "))
	}
	if name == between {
		sizes.Layers, sizes.Heads, sizes.Width = 8, 8, 512
	}
	if batch != 0 {
		z.Batch = batch
	}
	if context != 0 {
		z.Context = context
	}
	if z.Context == 0 {
		z.Context = sizes.Context
	}
	sizes.Context = max(sizes.Context, z.Context)
	z.Network, err = arch.New(arch.Names()[0], sizes, vocab)
	return z, err
}

// Random returns a network of a preset with its initial weights and its full
// context. Training steps are measured with a part of the context.
func Random(preset string) (*model.Checkpoint, error) {
	z, err := SizeOf(preset, 0, 0)
	if err != nil {
		return nil, err
	}
	return model.New(z.Network, 1)
}

// randomIDs returns n seeded ids of a vocabulary.
func randomIDs(n, vocab int) []int64 {
	ids := make([]int64, n)
	stream := model.NewStream(1, "bench")
	for i := range ids {
		ids[i] = int64(stream.IntN(uint64(i), vocab))
	}
	return ids
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
