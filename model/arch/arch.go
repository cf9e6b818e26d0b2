// Package arch holds the networks that attnx ships: one file for each, and one
// table. No other package names an architecture. Networks defined elsewhere
// need no entry here.
package arch

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/nn"
)

// row is an entry of the table of architectures.
type row struct {
	name    string
	of      func(s Sizes, vocab int) nn.Network
	parse   func(text []byte) (nn.Network, error)
	encoder bool // each token sees those behind it: it cannot learn to continue a text
}

var table = []row{
	{GPT2{}.Architecture(), gpt2Of, parseGPT2, false},
	{Simple{}.Architecture(), simpleOf, parseSimple, false},
	{Llama{}.Architecture(), llamaOf, parseAs[Llama], false},
	{Mistral{}.Architecture(), mistralOf, parseAs[Mistral], false},
	{Qwen2{}.Architecture(), qwen2Of, parseAs[Qwen2], false},
	{Qwen3{}.Architecture(), qwen3Of, parseAs[Qwen3], false},
	{GPTNeoX{}.Architecture(), gptNeoXOf, parseAs[GPTNeoX], false},
	{OPT{}.Architecture(), optOf, parseAs[OPT], false},
	{Phi{}.Architecture(), phiOf, parseAs[Phi], false},
	{Gemma3{}.Architecture(), gemma3Of, parseAs[Gemma3], false},
	{GPTBigCode{}.Architecture(), gptBigCodeOf, parseAs[GPTBigCode], false},
	{Bert{}.Architecture(), bertOf, parseAs[Bert], true},
	{DistilBert{}.Architecture(), distilBertOf, parseAs[DistilBert], true},
	{Roberta{}.Architecture(), robertaOf, parseAs[Roberta], true},
	{XLMRoberta{}.Architecture(), xlmRobertaOf, parseAs[XLMRoberta], true},
}

// Names returns the names of the architectures.
func Names() []string {
	names := make([]string, len(table))
	for i, r := range table {
		names[i] = r.name
	}
	return names
}

// Decoders returns the names of the architectures that continue a text, and so
// learn from one.
func Decoders() []string {
	var names []string
	for _, r := range table {
		if !r.encoder {
			names = append(names, r.name)
		}
	}
	return names
}

// Parse reads and checks the JSON of a network of the named architecture.
func Parse(name string, text []byte) (nn.Network, error) {
	r, err := find(name)
	if err != nil {
		return nil, err
	}
	n, err := r.parse(text)
	if err != nil {
		return nil, fmt.Errorf("arch: configuration of %s: %w", name, err)
	}
	return n, nil
}

// Known reports whether attnx ships the named architecture.
func Known(name string) bool {
	_, err := find(name)
	return err == nil
}

func find(name string) (row, error) {
	for _, r := range table {
		if r.name == name {
			return r, nil
		}
	}
	return row{}, fmt.Errorf("arch: unknown architecture %.64q: take %s", name, quote.Or(Names()))
}

// Sizes are the sizes that a preset sets.
type Sizes struct {
	Layers, Heads, Width, Context int
}

// Largest is the name of the largest preset.
const Largest = "gpt2"

var presets = []struct {
	name string
	Sizes
}{
	{"tiny", Sizes{2, 2, 32, 16}},
	{"nano", Sizes{4, 4, 128, 64}},
	{"small", Sizes{6, 6, 384, 256}},
	{Largest, Sizes{12, 12, 768, 1024}},
}

// Preset returns the sizes of a preset:
//
//	tiny   L 2  H 2  C 32   context 16    the quickstart
//	nano   L 4  H 4  C 128  context 64    nanoGPT's setting for CPUs
//	small  L 6  H 6  C 384  context 256   nanoGPT's setting for one GPU
//	gpt2   L 12 H 12 C 768  context 1024  GPT-2, 124 M parameters at V 50257
func Preset(name string) (Sizes, error) {
	for _, p := range presets {
		if p.name == name {
			return p.Sizes, nil
		}
	}
	return Sizes{}, fmt.Errorf("arch: unknown preset %.80q: take %s", name, strings.Join(Presets(), ", "))
}

// Presets returns the names of the presets, smallest first.
func Presets() []string {
	names := make([]string, len(presets))
	for i, p := range presets {
		names[i] = p.name
	}
	return names
}

// New returns a network of the named architecture with the given sizes. vocab
// is the size of the tokenizer's vocabulary.
func New(name string, s Sizes, vocab int) (nn.Network, error) {
	r, err := find(name)
	if err != nil {
		return nil, err
	}
	n := r.of(s, vocab)
	if c, ok := n.(interface{ Check() error }); ok {
		if err := c.Check(); err != nil {
			return nil, fmt.Errorf("arch: %s: %w", name, err)
		}
	}
	return n, nil
}

// Limits of a configuration. A few bytes of it must not make attnx allocate
// gigabytes, and a product of three sizes must fit in 63 bits.
const (
	maxSize    = 1 << 20
	maxContext = 1 << 17
	maxLayers  = 1 << 12 // a graph has about thirty values per layer
)

var errOneToken = fmt.Errorf("vocab_size is 1: with one token there is nothing to predict, train the tokenizer on more text")

// size is a field of a configuration.
type size struct {
	name    string
	n, most int
}

func checkSizes(sizes ...size) error {
	for _, s := range sizes {
		if s.n < 1 || s.n > s.most {
			return fmt.Errorf("%s is %d, must be from 1 to %d", s.name, s.n, s.most)
		}
	}
	return nil
}
