// Package arch holds the networks that attnx ships: one file for each, and one
// table. No other package names an architecture. Networks defined elsewhere
// need no entry here.
package arch

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/nn"
)

// row is an entry of the table of architectures.
type row struct {
	name  string
	of    func(s Sizes, vocab int) nn.Network
	parse func(text []byte) (nn.Network, error)
	kind  kind
}

// kind is what an architecture reads and gives.
type kind int

const (
	continues  kind = iota // a text, of which it scores the next token
	encodes                // a whole text: each token sees those behind it
	translates             // a source and the target so far, of which it scores the next token
)

var table = []row{
	{GPT2{}.Architecture(), gpt2Of, parseGPT2, continues},
	{Simple{}.Architecture(), simpleOf, parseSimple, continues},
	{Llama{}.Architecture(), llamaOf, parseAs[Llama], continues},
	{Mistral{}.Architecture(), mistralOf, parseAs[Mistral], continues},
	{Qwen2{}.Architecture(), qwen2Of, parseAs[Qwen2], continues},
	{Qwen3{}.Architecture(), qwen3Of, parseAs[Qwen3], continues},
	{GPTNeoX{}.Architecture(), gptNeoXOf, parseAs[GPTNeoX], continues},
	{OPT{}.Architecture(), optOf, parseAs[OPT], continues},
	{Phi{}.Architecture(), phiOf, parseAs[Phi], continues},
	{Gemma3{}.Architecture(), gemma3Of, parseAs[Gemma3], continues},
	{GPTBigCode{}.Architecture(), gptBigCodeOf, parseAs[GPTBigCode], continues},
	{GRU{}.Architecture(), gruOf, parseAs[GRU], continues},
	{LSTM{}.Architecture(), lstmOf, parseAs[LSTM], continues},
	{Bert{}.Architecture(), bertOf, parseAs[Bert], encodes},
	{DistilBert{}.Architecture(), distilBertOf, parseAs[DistilBert], encodes},
	{Roberta{}.Architecture(), robertaOf, parseAs[Roberta], encodes},
	{XLMRoberta{}.Architecture(), xlmRobertaOf, parseAs[XLMRoberta], encodes},
	{T5{}.Architecture(), t5Of, parseAs[T5], translates},
	{Marian{}.Architecture(), marianOf, parseAs[Marian], translates},
	{GRUTranslator{}.Architecture(), gruPairOf, parseAs[GRUTranslator], translates},
	{LSTMTranslator{}.Architecture(), lstmPairOf, parseAs[LSTMTranslator], translates},
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
func Decoders() []string { return namesOf(continues) }

// Translators returns the names of the architectures that turn a text into another,
// and so learn from pairs.
func Translators() []string { return namesOf(translates) }

// Translating returns the architecture that translates as the named one continues a text:
// gru_translator for gru. Any other name is returned as it is.
func Translating(name string) string {
	if whole := name + "_translator"; slices.Contains(Translators(), whole) {
		return whole
	}
	return name
}

func namesOf(k kind) (names []string) {
	for _, r := range table {
		if r.kind == k {
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

// Sizes are the sizes of a network.
type Sizes struct {
	Layers, Heads, Width, Context int

	// No preset sets these. 0 is the architecture's own: as many heads of keys as
	// of queries, and a layer's inner width as a multiple of Width.
	KVHeads, Inner int
}

// Or returns the sizes with those of base where they are 0.
func (s Sizes) Or(base Sizes) Sizes {
	return Sizes{
		Layers: cmp.Or(s.Layers, base.Layers), Heads: cmp.Or(s.Heads, base.Heads), Width: cmp.Or(s.Width, base.Width), Context: cmp.Or(s.Context, base.Context),
		KVHeads: cmp.Or(s.KVHeads, base.KVHeads), Inner: cmp.Or(s.Inner, base.Inner),
	}
}

// keys returns the number of heads of keys and values.
func (s Sizes) keys() int { return cmp.Or(s.KVHeads, s.Heads) }

// inner returns the inner width of a layer.
func (s Sizes) inner() int { return cmp.Or(s.Inner, 4*s.Width) }

// innerGated returns the inner width of a gated feed-forward network. By default
// it has about as many weights as a plain one of 4·width: 8/3 of the width, a
// multiple of 8.
func (s Sizes) innerGated() int { return cmp.Or(s.Inner, (s.Width*8/3+7)/8*8) }

// Largest is the name of the largest preset.
const Largest = "gpt2"

var presets = []struct {
	name string
	Sizes
}{
	{"tiny", Sizes{Layers: 2, Heads: 2, Width: 32, Context: 16}},
	{"nano", Sizes{Layers: 4, Heads: 4, Width: 128, Context: 64}},
	{"small", Sizes{Layers: 6, Heads: 6, Width: 384, Context: 256}},
	{Largest, Sizes{Layers: 12, Heads: 12, Width: 768, Context: 1024}},
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

// Resize is New with the sizes of base where those of given are 0. It refuses a
// given size that changes nothing, because the architecture does not have it.
func Resize(name string, given, base Sizes, vocab int) (nn.Network, error) {
	all := given.Or(base)
	n, err := New(name, all, vocab)
	if err != nil {
		return nil, err
	}
	r, _ := find(name) // New found it
	for _, x := range []struct {
		what  string
		given int
		of    func(*Sizes) *int
	}{
		{"layers", given.Layers, func(s *Sizes) *int { return &s.Layers }},
		{"heads", given.Heads, func(s *Sizes) *int { return &s.Heads }},
		{"heads of keys and values", given.KVHeads, func(s *Sizes) *int { return &s.KVHeads }},
	} {
		other := all
		*x.of(&other)++
		if x.given > 0 && x.given != *x.of(&base) && reflect.DeepEqual(r.of(other, vocab), n) {
			return nil, fmt.Errorf("arch: %s has no choice of %s: leave it out", name, x.what)
		}
	}
	return n, nil
}

// HasHeads reports whether an architecture has a choice of heads.
func HasHeads(name string, s Sizes, vocab int) bool {
	r, err := find(name)
	if err != nil {
		return false
	}
	other := s
	other.Heads++
	return !reflect.DeepEqual(r.of(other, vocab), r.of(s, vocab))
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
