package model

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/attnx/attnx/format"
)

// The architectures.
const (
	GPT2   = "gpt2"
	Simple = "simple"
)

// Config says what a network is made of. Its JSON has the field names of
// Hugging Face's GPT-2 configuration.
type Config struct {
	Arch      string  `json:"model_type"`
	Vocab     int     `json:"vocab_size"`          // V
	Context   int     `json:"n_positions"`         // the longest sequence, P+T
	Width     int     `json:"n_embd"`              // C
	Layers    int     `json:"n_layer"`             // L; 1 for simple
	Heads     int     `json:"n_head"`              // H; divides C
	Inner     int     `json:"n_inner"`             // F
	Epsilon   float64 `json:"layer_norm_epsilon"`  // gpt2: added to the variance
	Positions bool    `json:"position_embeddings"` // simple: learned positions are added; gpt2: always true
}

// Preset returns the sizes known by a name, for a vocabulary that the
// tokenizer decides:
//
//	tiny   L 2  H 2  C 32   context 16    the quickstart
//	nano   L 4  H 4  C 128  context 64    nanoGPT's setting for CPUs
//	small  L 6  H 6  C 384  context 256   nanoGPT's setting for one GPU
//	gpt2   L 12 H 12 C 768  context 1024  GPT-2, 124 M parameters at V 50257
//
// The simple architecture takes heads, width and context from the preset and
// has one layer.
func Preset(name, arch string, vocab int) (Config, error) {
	c := Config{Arch: arch, Vocab: vocab, Epsilon: 1e-5, Positions: true}
	switch name {
	case "tiny":
		c.Layers, c.Heads, c.Width, c.Context = 2, 2, 32, 16
	case "nano":
		c.Layers, c.Heads, c.Width, c.Context = 4, 4, 128, 64
	case "small":
		c.Layers, c.Heads, c.Width, c.Context = 6, 6, 384, 256
	case "gpt2":
		c.Layers, c.Heads, c.Width, c.Context = 12, 12, 768, 1024
	default:
		return c, fmt.Errorf("model: no preset is called %.80q: take %s", name, strings.Join(Presets(), ", "))
	}
	c.Inner = 4 * c.Width
	if arch == Simple {
		c.Layers, c.Epsilon = 1, 0
	}
	return c, c.Check()
}

// Presets returns the names that Preset knows, smallest first.
func Presets() []string { return []string{"tiny", "nano", "small", "gpt2"} }

// HeadWidth returns D.
func (c Config) HeadWidth() int { return c.Width / c.Heads }

// maxSize bounds every field: beyond it a configuration is a mistake or an
// attack, and products of three sizes still fit in 63 bits.
const maxSize = 1 << 20

// maxContext bounds n_positions, and maxLayers n_layer. A graph holds the causal
// mask, n_positions² numbers of 4 bytes, which are 256 MiB here, and some thirty
// values a layer: a configuration of a few bytes must not take more.
const (
	maxContext = 1 << 13
	maxLayers  = 1 << 12
)

// Check reports the first field that makes no network, and why.
func (c Config) Check() error {
	for _, f := range []struct {
		name string
		n    int
	}{
		{"vocab_size", c.Vocab}, {"n_positions", c.Context}, {"n_embd", c.Width},
		{"n_layer", c.Layers}, {"n_head", c.Heads}, {"n_inner", c.Inner},
	} {
		if f.n < 1 || f.n > maxSize {
			return fmt.Errorf("model: %s is %d, must be from 1 to %d", f.name, f.n, maxSize)
		}
	}
	switch {
	case c.Context > maxContext:
		return fmt.Errorf("model: n_positions is %d, at most %d: the causal mask takes n_positions² numbers", c.Context, maxContext)
	case c.Layers > maxLayers:
		return fmt.Errorf("model: n_layer is %d, at most %d", c.Layers, maxLayers)
	case c.Vocab < 2:
		return fmt.Errorf("model: vocab_size is 1: there is nothing to predict with one token, train the tokenizer on more text")
	case c.Width%c.Heads != 0:
		return fmt.Errorf("model: n_head %d does not divide n_embd %d", c.Heads, c.Width)
	case c.Arch == GPT2 && !(c.Epsilon > 0 && c.Epsilon < 1):
		return fmt.Errorf("model: layer_norm_epsilon is %g, must be between 0 and 1", c.Epsilon)
	case c.Arch == GPT2 && !c.Positions:
		return fmt.Errorf("model: %s has position embeddings, position_embeddings is false", GPT2)
	case c.Arch == Simple && c.Layers != 1:
		return fmt.Errorf("model: %s has one layer, n_layer is %d", Simple, c.Layers)
	case c.Arch != GPT2 && c.Arch != Simple:
		return fmt.Errorf("model: no architecture is called %.80q: take %s or %s", c.Arch, GPT2, Simple)
	}
	return nil
}

// Parameters returns the number of weights of the network.
func (c Config) Parameters() (int, error) {
	g, err := Build(c)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, p := range g.Params {
		shape, _ := p.Shape.Numbers()
		n, ok := format.Elements(shape)
		if !ok || sum > math.MaxInt-n {
			return 0, fmt.Errorf("model: parameter %s%s is too large", p.Name, p.Shape)
		}
		sum += n
	}
	return sum, nil
}

// ParseConfig reads the JSON of a Config and checks it.
func ParseConfig(text string) (c Config, err error) {
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, fmt.Errorf("model: configuration: %w", err)
	}
	return c, c.Check()
}
