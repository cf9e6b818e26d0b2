package huggingface_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/huggingface"
)

const weightsFile = "model.safetensors"

// rename gives every tensor another name.
func rename(f func(string) string) func([]format.Tensor) []format.Tensor {
	return func(all []format.Tensor) []format.Tensor {
		for i := range all {
			all[i] = all[i].WithName(f(all[i].Name))
		}
		return all
	}
}

func named(all []format.Tensor, name string) *format.Tensor {
	return &all[slices.IndexFunc(all, func(x format.Tensor) bool { return x.Name == name })]
}

const wte = "transformer.wte.weight"

// TestForms reads the same weights in the other forms that files have: none
// changes a bit.
func TestForms(t *testing.T) {
	want, _ := mustRead(t, unpacked(t, "whole"))
	for name, f := range map[string]func([]format.Tensor) []format.Tensor{
		"no prefix": rename(func(s string) string { return strings.TrimPrefix(s, "transformer.") }),
		"masks": func(all []format.Tensor) []format.Tensor {
			return append(all, format.FromFloat32s("transformer.h.0.attn.bias", []int{1, 1, 2, 2}, make([]float32, 4)),
				format.FromUint8s("h.1.attn.bias", []int{4}, make([]byte, 4)),
				format.FromFloat32s("transformer.h.1.attn.masked_bias", nil, []float32{-1e4}))
		},
		"tied head": func(all []format.Tensor) []format.Tensor {
			return append(all, named(all, wte).WithName("lm_head.weight"))
		},
		"float64": func(all []format.Tensor) []format.Tensor {
			for i, x := range all {
				all[i], _, _ = x.Convert(format.Float64)
			}
			return all
		},
	} {
		dir := unpacked(t, "whole")
		change(t, filepath.Join(dir, weightsFile), f)
		c, _ := mustRead(t, dir)
		if c.Weights.Hash() != want.Weights.Hash() {
			t.Errorf("%s: other weights", name)
		}
	}
}

// TestRounded reads what float32 does not hold.
func TestRounded(t *testing.T) {
	dir := unpacked(t, "whole")
	change(t, filepath.Join(dir, weightsFile), func(all []format.Tensor) []format.Tensor {
		x := named(all, "transformer.ln_f.bias")
		v := make([]float64, 24)
		v[0], v[1], v[2] = 1e300, 1.0/3, math.Inf(1)
		*x = format.FromFloat64s(x.Name, x.Shape, v)
		return all
	})
	_, done := mustRead(t, dir)
	if done.Changed != 2 || done.Overflowed != 1 || !(done.MaxAbs > 0 && done.MaxAbs < 1e-8) {
		t.Errorf("got %+v", done)
	}
}

func TestRefusedWeights(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func([]format.Tensor) []format.Tensor
		want string
	}{
		{"missing", func(all []format.Tensor) []format.Tensor {
			return slices.DeleteFunc(all, func(x format.Tensor) bool { return x.Name == "transformer.h.1.ln_2.bias" })
		}, `weight "h.1.ln_2.bias" is missing`},
		{"extra", func(all []format.Tensor) []format.Tensor {
			return append(all, format.FromFloat32s("score.weight", []int{1}, []float32{1}))
		}, `model.safetensors: tensor "score.weight": it is no weight of the network`},
		{"mask of no layer", func(all []format.Tensor) []format.Tensor {
			return append(all, format.FromFloat32s("h.2.attn.bias", []int{1}, []float32{1}))
		}, `"h.2.attn.bias": it is no weight`},
		{"transposed", func(all []format.Tensor) []format.Tensor {
			x := named(all, "transformer.h.0.attn.c_attn.weight")
			x.Shape = []int{72, 24}
			return all
		}, `tensor "transformer.h.0.attn.c_attn.weight": its shape is (72,24), config.json wants (24,72)`},
		{"integers", func(all []format.Tensor) []format.Tensor {
			x := named(all, "transformer.ln_f.bias")
			*x = format.FromUint8s(x.Name, x.Shape, make([]byte, 24))
			return all
		}, `tensor "transformer.ln_f.bias": its elements are U8`},
		{"with and without prefix", func(all []format.Tensor) []format.Tensor { return append(all, named(all, wte).WithName("wte.weight")) },
			`the same weight stands in "model.safetensors" as`},
		{"a head of its own", func(all []format.Tensor) []format.Tensor {
			x, _, _ := named(all, wte).Convert(format.BFloat16)
			x, _, _ = x.Convert(format.Float32)
			return append(all, x.WithName("lm_head.weight"))
		}, `tensor "lm_head.weight": it differs from transformer.wte.weight`},
		{"a head of another type", func(all []format.Tensor) []format.Tensor {
			x := named(all, wte)
			*x, _, _ = x.Convert(format.BFloat16)
			head := x.WithName("lm_head.weight")
			head.DType = format.Float16 // the same bytes
			return append(all, head)
		}, `tensor "lm_head.weight": it differs`},
		{"a head of another shape", func(all []format.Tensor) []format.Tensor {
			return append(all, format.FromFloat32s("lm_head.weight", []int{1}, []float32{1}))
		}, `tensor "lm_head.weight": its shape is (1)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := unpacked(t, "whole")
			change(t, filepath.Join(dir, weightsFile), c.f)
			wantRefused(t, dir, c.want)
		})
	}
}

// TestRefusedFolders takes files of a folder away, or puts others in their
// place.
func TestRefusedFolders(t *testing.T) {
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	replace := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { put(t, filepath.Join(dir, name), []byte(text)) }
	}
	// large makes a file of many bytes that takes no room on the disk.
	large := func(name string, size int64) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			replace(name, "{")(t, dir)
			if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
				t.Fatal(err)
			}
		}
	}
	instead := func(name string, f func(*testing.T, string)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			remove(weightsFile)(t, dir)
			f(t, dir)
		}
	}
	for _, c := range []struct {
		name string
		f    func(*testing.T, string)
		want string
	}{
		{"no config", remove("config.json"), "config.json: the folder has no such file"},
		{"no weights", remove(weightsFile), "no model.safetensors.index.json"},
		{"pickle", instead(weightsFile, replace("pytorch_model.bin", "x")), "safe_serialization"},
		{"pickled shards", instead(weightsFile, replace("pytorch_model.bin.index.json", "{}")), "it is a pickle"},
		{"torn", replace(weightsFile, "\x10\x00\x00\x00\x00\x00\x00\x00{}"), "model.safetensors: byte 0"},
		{"config too large", large("config.json", 1<<20+1), "it has 1048577 bytes, at most 1048576 are read"},
		{"tokenizer too large", large("tokenizer.json", 64<<20+1), "at most 67108864"},
		{"index too large", instead(weightsFile, large("model.safetensors.index.json", 1<<40)), "at most 16777216"},
		{"more layers than weights", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "config.json"), map[string]any{"n_layer": 4000})
		}, "n_layer is 4000, the folder has 28 weights only"},
		{"config of another model", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "config.json"), map[string]any{"n_embd": 48})
		}, "its shape is"},
		{"tokenizer is a folder", func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "tokenizer.json"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "tokenizer.json: it is not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := unpacked(t, "whole")
			c.f(t, dir)
			wantRefused(t, dir, c.want)
		})
	}
	wantRefused(t, filepath.Join(t.TempDir(), "none"), "no such file")
	wantRefused(t, filepath.Join(unpacked(t, "whole"), "config.json"), "it is not a folder")
}

// TestCachedFolder reads a folder like those of Hugging Face's cache: links to
// files elsewhere.
func TestCachedFolder(t *testing.T) {
	for _, name := range []string{"config.json", weightsFile, "tokenizer.json"} {
		dir, blobs := unpacked(t, "whole"), t.TempDir()
		from, to := filepath.Join(dir, name), filepath.Join(blobs, "blob")
		if name == "tokenizer.json" {
			put(t, from, []byte("{}"))
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, from); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
		if !huggingface.IsFolder(dir) {
			t.Error("it is no folder of a model")
		}
		wantRefused(t, dir, name+": it is a symbolic link, which is not followed: copy the folder with cp -rL")
	}
}

// TestOneFileBeforeIndex puts both beside each other: as in transformers the
// one file counts, and nothing of the index is opened.
func TestOneFileBeforeIndex(t *testing.T) {
	dir := unpacked(t, "whole")
	want, _ := mustRead(t, dir)
	put(t, filepath.Join(dir, "model.safetensors.index.json"), []byte("no JSON"))
	put(t, filepath.Join(dir, "pytorch_model.bin"), []byte("a pickle"))
	put(t, filepath.Join(dir, "tokenizer.json"), []byte("any bytes"))
	got, _ := mustRead(t, dir)
	if got.Weights.Hash() != want.Weights.Hash() || string(got.Tokenizer) != "any bytes" {
		t.Errorf("other weights, or the tokenizer %q", got.Tokenizer)
	}
}

func TestIsFolder(t *testing.T) {
	dir := unpacked(t, "whole")
	if !huggingface.IsFolder(dir) || huggingface.IsFolder(filepath.Join(dir, "config.json")) || huggingface.IsFolder(t.TempDir()) || huggingface.IsFolder("") {
		t.Error("IsFolder is wrong")
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub", "config.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if huggingface.IsFolder(filepath.Join(dir, "sub")) {
		t.Error("a config.json that is a folder counts")
	}
}
