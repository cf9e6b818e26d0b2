package arch_test

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// network returns the network of a preset with its graph.
func network(t *testing.T, preset, name string, vocab int) (nn.Network, *graph.Graph) {
	t.Helper()
	sizes, err := arch.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	n, err := arch.New(name, sizes, vocab)
	if err != nil {
		t.Fatal(err)
	}
	g, err := nn.Build(n)
	if err != nil {
		t.Fatal(err)
	}
	return n, g
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
		n, _ := network(t, c.preset, "gpt2", c.vocab)
		m, err := model.Of(n)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := m.Parameters(); err != nil || n != c.want {
			t.Errorf("%s has %d parameters (%v), want %d", c.preset, n, err, c.want)
		}
	}
}

// The weights have Hugging Face's names, without the prefix "transformer.", and
// its layout [in, out].
func TestWeightsAreHuggingFaces(t *testing.T) {
	_, g := network(t, "tiny", "gpt2", 31)
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

// GPT-2's distribution: normal(0.02), divided by √(2L) where a layer writes to the
// residual stream; norms 1, biases 0.
func TestFirstWeights(t *testing.T) {
	_, g := network(t, "nano", "gpt2", 65)
	w := model.NewWeights(g, 7)
	if w.Hash() != model.NewWeights(g, 7).Hash() {
		t.Error("one seed gives two sets of weights")
	}
	if w.Hash() == model.NewWeights(g, 8).Hash() {
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

// A network checks its own sizes, however it is made.
func TestSizesAreChecked(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*arch.GPT2)
	}{
		{"vocab_size is 1:", func(c *arch.GPT2) { c.Vocab = 1 }},
		{"vocab_size is 0", func(c *arch.GPT2) { c.Vocab = 0 }},
		{"n_positions is -1", func(c *arch.GPT2) { c.Context = -1 }},
		{"n_positions is 131073, must be from 1 to 131072", func(c *arch.GPT2) { c.Context = 131073 }},
		{"n_embd is 2000000", func(c *arch.GPT2) { c.Width = 2000000 }},
		{"n_layer is 5000, must be from 1 to 4096", func(c *arch.GPT2) { c.Layers = 5000 }},
		{"n_head 3 does not divide n_embd 32", func(c *arch.GPT2) { c.Heads = 3 }},
		{"layer_norm_epsilon is 0", func(c *arch.GPT2) { c.Epsilon = 0 }},
		{"layer_norm_epsilon is NaN", func(c *arch.GPT2) { c.Epsilon = math.NaN() }},
	} {
		n, _ := network(t, "tiny", "gpt2", 31)
		g := n.(arch.GPT2)
		c.change(&g)
		if _, err := nn.Build(g); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("built: got %v, want an error with %q", err, c.want)
		}
	}
	for config, want := range map[string]string{
		`{"vocab_size":31,"n_positions":16,"n_embd":32,"n_layer":2,"n_head":3,"n_inner":128,"layer_norm_epsilon":1e-5}`: "n_head 3 does not divide n_embd 32",
		`{"vocab_size":31,"n_positions":16,"n_embd":32,"n_layer":2,"n_head":2,"n_inner":128}`:                           "layer_norm_epsilon is 0",
		`{"model_type":"gpt2"}`:  "vocab_size is 0",
		`{"vocab_size":"many"}`:  "configuration of gpt2",
		`{"vocab_size":31`:       "configuration of gpt2",
		gpt2With(`false`):        "position_embeddings is false",
		gpt2With(`[true, "no"]`): "configuration of gpt2",
	} {
		if _, err := arch.Parse("gpt2", []byte(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", config, err, want)
		}
	}
	if _, err := arch.Parse("simple", []byte(`{"vocab_size":31,"n_positions":16,"n_embd":32,"n_head":3,"n_inner":128}`)); err == nil || !strings.Contains(err.Error(), "n_head 3 does not divide") {
		t.Errorf("simple: %v", err)
	}
}

func gpt2With(positions string) string {
	return `{"vocab_size":31,"n_positions":16,"n_embd":32,"n_layer":2,"n_head":2,"n_inner":128,"layer_norm_epsilon":1e-5,"position_embeddings":` + positions + `}`
}

func TestUnknownNames(t *testing.T) {
	if _, err := arch.Preset("large"); err == nil || !strings.Contains(err.Error(), "tiny, nano, small, gpt2") {
		t.Errorf("an unknown preset: %v", err)
	}
	for _, f := range []func() (nn.Network, error){
		func() (nn.Network, error) { return arch.Parse("elman", []byte("{}")) },
		func() (nn.Network, error) { return arch.New("elman", arch.Sizes{}, 31) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), `unknown architecture "elman": take gpt2, simple, llama`) {
			t.Errorf("an unknown architecture: %v", err)
		}
	}
	if arch.Known("elman") || !arch.Known("simple") {
		t.Error("Known is wrong")
	}
}

// A network and its configuration are the same thing.
func TestConfigurationRoundTrip(t *testing.T) {
	for _, name := range arch.Names() {
		for _, preset := range arch.Presets() {
			n, _ := network(t, preset, name, 100)
			m, err := model.Of(n)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := arch.Parse(name, m.Config); err != nil || back != n {
				t.Errorf("%s of %s: %+v, back %+v, %v", name, preset, n, back, err)
			}
		}
	}
}

// A sequence longer than the position table cannot be bound.
func TestSequenceLongerThanContext(t *testing.T) {
	_, g := network(t, "tiny", "gpt2", 31)
	if _, err := graph.Apply(g, graph.Bind(map[string]int{"B": 1, "T": 16})); err != nil {
		t.Errorf("the whole context: %v", err)
	}
	if _, err := graph.Apply(g, graph.Bind(map[string]int{"B": 1, "T": 17})); err == nil || !strings.Contains(err.Error(), "17 tokens: the network has a context of 16") {
		t.Errorf("one token too many: %v", err)
	}
}
