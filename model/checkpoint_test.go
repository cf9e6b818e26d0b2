package model

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
)

func tinyCheckpoint(t *testing.T, name string) *Checkpoint {
	t.Helper()
	sizes, err := arch.Preset("tiny")
	if err != nil {
		t.Fatal(err)
	}
	n, err := arch.New(name, sizes, 31)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	val, w := 2.5, c.Weights
	c.ValLoss, c.Tokenizer, c.Step = &val, []byte(`{"model":{}}`), 12
	c.Train = &TrainState{Options: []byte(`{"steps":100}`), Random: []byte(`{"seed":1}`), Data: []byte(`{"batches":3}`), Moments: []format.Tensor{w[0].WithName("optim.m." + w[0].Name)}}
	return c
}

func TestCheckpointRoundTrip(t *testing.T) {
	for _, name := range arch.Names() {
		path := filepath.Join(t.TempDir(), "c.safetensors")
		c := tinyCheckpoint(t, name)
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if back.Arch != c.Arch || !bytes.Equal(back.Config, c.Config) || graph.Fingerprint(back.Graph) != graph.Fingerprint(c.Graph) || back.Weights.Hash() != c.Weights.Hash() || back.Step != 12 ||
			!bytes.Equal(back.Tokenizer, c.Tokenizer) || string(back.Train.Options) != `{"steps":100}` ||
			string(back.Train.Random) != `{"seed":1}` || string(back.Train.Data) != `{"batches":3}` || len(back.Train.Moments) != 1 ||
			back.Seal == nil || back.Loss != nil || *back.ValLoss != 2.5 {
			t.Errorf("%s: read back %+v", name, back)
		}
		if err := back.Save(path); err != nil {
			t.Fatal(err)
		}
		if second, err := os.ReadFile(path); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s: saved again it has other bytes (%v)", name, err)
		}
	}
}

// rewrite saves a checkpoint file with something changed.
func rewrite(t *testing.T, from, to string, change func(meta map[string]string, tensors []format.Tensor) []format.Tensor) {
	t.Helper()
	f, err := format.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tensors []format.Tensor
	for _, i := range f.Tensors() {
		x, err := f.Tensor(i.Name)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	meta := f.Metadata()
	tensors = change(meta, tensors)
	var b bytes.Buffer
	if err := format.WriteSealed(&b, meta, tensors); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	if err := tinyCheckpoint(t, "gpt2").Save(good); err != nil {
		t.Fatal(err)
	}
	type tensors = []format.Tensor
	meta := func(key, value string) func(map[string]string, tensors) tensors {
		return func(m map[string]string, x tensors) tensors { m[key] = value; return x }
	}
	for _, c := range []struct {
		name, want string
		change     func(map[string]string, tensors) tensors
	}{
		{"no configuration", "not an attnx checkpoint", func(m map[string]string, x tensors) tensors { delete(m, metaConfig); return x }},
		{"a broken configuration", "configuration", meta(metaConfig, "{")},
		{"a configuration that makes no network", "vocab_size is 0", meta(metaConfig, `{"model_type":"gpt2"}`)},
		{"more layers than tensors", "the configuration has 999 layers, the file", meta(metaConfig, `{"model_type":"gpt2","vocab_size":31,"n_positions":16,"n_embd":32,"n_layer":999,"n_head":2,"n_inner":128,"layer_norm_epsilon":1e-5,"position_embeddings":true}`)},
		{"a context that takes gigabytes", "n_positions is 600000, must be from 1 to 131072", meta(metaConfig, `{"model_type":"gpt2","vocab_size":31,"n_positions":600000,"n_embd":32,"n_layer":2,"n_head":2,"n_inner":128,"layer_norm_epsilon":1e-5,"position_embeddings":true}`)},
		{"another fingerprint", "fingerprint", meta(metaFingerprint, "00")},
		{"no step", metaStep, meta(metaStep, "")},
		{"a negative step", metaStep, meta(metaStep, "-1")},
		{"a loss that is no number", "attnx.val_loss is", meta(metaValLoss, "low")},
		{"a missing weight", `"wte.weight" is missing`, func(_ map[string]string, x tensors) tensors {
			return slices.DeleteFunc(x, func(t format.Tensor) bool { return t.Name == "wte.weight" })
		}},
		{"a weight of another shape", `"wpe.weight"`, func(_ map[string]string, x tensors) tensors {
			i := slices.IndexFunc(x, func(t format.Tensor) bool { return t.Name == "wpe.weight" })
			x[i].Shape = []int{x[i].Elements()}
			return x
		}},
		{"a tensor that belongs to nothing", `"extra" is not a weight`, func(_ map[string]string, x tensors) tensors {
			return append(x, format.FromUint8s("extra", []int{1}, []byte{1}))
		}},
		{"moments without training options", "is not a weight", func(_ map[string]string, x tensors) tensors {
			return slices.DeleteFunc(x, func(t format.Tensor) bool { return t.Name == blobOptions })
		}},
	} {
		rewrite(t, good, bad, c.change)
		if _, err := Load(bad); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: got %v, want the file's name and %q", c.name, err, c.want)
		}
	}
}

func TestSaveRefusesOtherWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	c := tinyCheckpoint(t, "gpt2")
	c.Weights = c.Weights[:3]
	if err := c.Save(path); err == nil || !strings.Contains(err.Error(), `weight "h.0.ln_1.bias": it is missing`) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("a file was left behind")
	}
}

// LoadModel leaves the training state where it is.
func TestLoadModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.safetensors")
	c := tinyCheckpoint(t, "gpt2")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	if back.Train != nil || back.Weights.Hash() != c.Weights.Hash() || !bytes.Equal(back.Tokenizer, c.Tokenizer) || back.Seal == nil {
		t.Errorf("%+v", back)
	}
}

// A file without a seal, as another tool writes it, gives its weights and no
// more.
func TestLoadForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.safetensors")
	c := tinyCheckpoint(t, "gpt2")
	meta, tensors, err := c.contents()
	if err != nil {
		t.Fatal(err)
	}
	h := format.Header{Metadata: meta}
	for _, x := range tensors {
		h.Tensors = append(h.Tensors, x.Info())
	}
	var b bytes.Buffer
	w := format.NewWriter(&b, h)
	for _, x := range tensors {
		w.Add(x)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	back, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if back.Seal != nil || back.Train != nil || back.Weights.Hash() != c.Weights.Hash() || !bytes.Equal(back.Tokenizer, c.Tokenizer) {
		t.Errorf("%+v", back)
	}
}
