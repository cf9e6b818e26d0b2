package model

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/graph"
)

func preset(t *testing.T, name, arch string, vocab int) (Config, *graph.Graph) {
	t.Helper()
	c, err := Preset(name, arch, vocab)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Build(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, g
}

// The numbers of parameters that are known from elsewhere: GPT-2's own, and
// those of nanoGPT's CPU setting (its README's 0.80 M leave out the positions).
func TestParameters(t *testing.T) {
	for _, c := range []struct {
		preset string
		vocab  int
		want   int
	}{
		{"gpt2", 50257, 124_439_808}, // GPT2LMHeadModel(GPT2Config()).num_parameters() in transformers
		{"nano", 65, 809_856},        // 65·128 + 64·128 + 4·(12·128² + 13·128) + 2·128
	} {
		config, _ := preset(t, c.preset, GPT2, c.vocab)
		if n, err := config.Parameters(); err != nil || n != c.want {
			t.Errorf("%s has %d parameters (%v), want %d", c.preset, n, err, c.want)
		}
	}
}

// The weights have Hugging Face's names, without the prefix "transformer.", and
// its layout [in, out].
func TestWeightsAreHuggingFaces(t *testing.T) {
	_, g := preset(t, "tiny", GPT2, 31)
	var got []string
	for _, p := range g.Params {
		if !strings.HasPrefix(p.Name, "h.1.") {
			got = append(got, p.Name+p.Shape.String())
		}
	}
	want := []string{
		"wte.weight(31,32)", "wpe.weight(16,32)",
		"h.0.ln_1.weight(32)", "h.0.ln_1.bias(32)",
		"h.0.attn.c_attn.weight(32,96)", "h.0.attn.c_attn.bias(96)", "h.0.attn.c_proj.weight(32,32)", "h.0.attn.c_proj.bias(32)",
		"h.0.ln_2.weight(32)", "h.0.ln_2.bias(32)",
		"h.0.mlp.c_fc.weight(32,128)", "h.0.mlp.c_fc.bias(128)", "h.0.mlp.c_proj.weight(128,32)", "h.0.mlp.c_proj.bias(32)",
		"ln_f.weight(32)", "ln_f.bias(32)",
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// GPT-2's law: normal(0.02), divided by √(2L) where a layer writes to the
// residual stream; norms 1, biases 0.
func TestFirstWeights(t *testing.T) {
	_, g := preset(t, "nano", GPT2, 65)
	w := NewWeights(g, 7)
	if w.Hash() != NewWeights(g, 7).Hash() {
		t.Error("one seed gives two sets of weights")
	}
	if w.Hash() == NewWeights(g, 8).Hash() {
		t.Error("two seeds give the same weights")
	}
	residual := 0.02 / math.Sqrt(2*4)
	for _, x := range w {
		v, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		mean, std := 0.0, 0.0
		for _, y := range v {
			mean += float64(y) / float64(len(v))
		}
		for _, y := range v {
			std += (float64(y) - mean) * (float64(y) - mean) / float64(len(v))
		}
		std = math.Sqrt(std)
		wantMean, wantStd := 0.0, 0.02
		switch {
		case strings.HasSuffix(x.Name, "c_proj.weight"):
			wantStd = residual
		case strings.HasSuffix(x.Name, ".bias"):
			wantStd = 0
		case strings.Contains(x.Name, "ln_"):
			wantMean, wantStd = 1, 0
		}
		// Six standard errors of each estimate: one in 10⁹ by chance, and the
		// seed is fixed.
		n := math.Sqrt(float64(len(v)))
		if math.Abs(mean-wantMean) > 6*wantStd/n || math.Abs(std-wantStd) > 6*wantStd/(n*math.Sqrt2) {
			t.Errorf("%s: mean %g, deviation %g; want %g, %g", x.Name, mean, std, wantMean, wantStd)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Config)
	}{
		{"vocab_size is 1:", func(c *Config) { c.Vocab = 1 }},
		{"vocab_size is 0", func(c *Config) { c.Vocab = 0 }},
		{"n_positions is -1", func(c *Config) { c.Context = -1 }},
		{"n_embd is 2000000", func(c *Config) { c.Width = 2000000 }},
		{"n_head 3 does not divide n_embd 32", func(c *Config) { c.Heads = 3 }},
		{"layer_norm_epsilon is 0", func(c *Config) { c.Epsilon = 0 }},
		{"layer_norm_epsilon is NaN", func(c *Config) { c.Epsilon = math.NaN() }},
		{"position_embeddings is false", func(c *Config) { c.Positions = false }},
		{`no architecture is called "llama"`, func(c *Config) { c.Arch = "llama" }},
		{"simple has one layer", func(c *Config) { c.Arch = Simple }},
	} {
		config, err := Preset("tiny", GPT2, 31)
		if err != nil {
			t.Fatal(err)
		}
		c.change(&config)
		if _, err := Build(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
	if _, err := Preset("large", GPT2, 31); err == nil || !strings.Contains(err.Error(), "tiny, nano, small, gpt2") {
		t.Errorf("an unknown preset: %v", err)
	}
}

// A sequence longer than the position table cannot be bound.
func TestSequenceLongerThanContext(t *testing.T) {
	_, g := preset(t, "tiny", GPT2, 31)
	if _, err := graph.Apply(g, graph.Bind(map[string]int{"B": 1, "T": 16})); err != nil {
		t.Errorf("the whole context: %v", err)
	}
	if _, err := graph.Apply(g, graph.Bind(map[string]int{"B": 1, "T": 17})); err == nil || !strings.Contains(err.Error(), "0 to 17") {
		t.Errorf("one token too many: %v", err)
	}
}
