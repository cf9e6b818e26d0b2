package huggingface_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/nn"
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
		"a tied head of another type": func(all []format.Tensor) []format.Tensor {
			head, _, _ := named(all, wte).Convert(format.Float64)
			return append(all, head.WithName("lm_head.weight"))
		},
		"the head in the place of the embedding": rename(func(s string) string { return strings.Replace(s, wte, "lm_head.weight", 1) }),
		"DataParallel":                           rename(func(s string) string { return "module." + s }),
		"torch.compile":                          rename(func(s string) string { return "_orig_mod." + s }),
		"torch.compile of a part":                rename(func(s string) string { return strings.Replace(s, "h.0.", "h.0._orig_mod.", 1) }),
		"both, without the head":                 rename(func(s string) string { return "module._orig_mod." + strings.TrimPrefix(s, "transformer.") }),
		"Lightning":                              rename(func(s string) string { return "model." + s }),
		"a wrapper of DeepSpeed":                 rename(func(s string) string { return "_forward_module." + s }),
		"an object of training code":             rename(func(s string) string { return "net.gpt2." + strings.TrimPrefix(s, "transformer.") }),
		"PEFT":                                   rename(func(s string) string { return "base_model.model." + s }),
		"FSDP and recomputing": rename(func(s string) string {
			return "_fsdp_wrapped_module." + strings.Replace(s, "h.1.", "h.1._checkpoint_wrapped_module.", 1)
		}),
		"wrapped masks": func(all []format.Tensor) []format.Tensor {
			return append(all, format.FromUint8s("module.transformer.h.1.attn.bias", []int{4}, make([]byte, 4)))
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
		}, `model.safetensors: tensor "score.weight": it is the head of a classifier`},
		{"mask of no layer", func(all []format.Tensor) []format.Tensor {
			return append(all, format.FromFloat32s("h.2.attn.bias", []int{1}, []float32{1}))
		}, `"h.2.attn.bias": it is not a weight of the network`},
		{"transposed", func(all []format.Tensor) []format.Tensor {
			x := named(all, "transformer.h.0.attn.c_attn.weight")
			x.Shape = []int{72, 24}
			return all
		}, `tensor "transformer.h.0.attn.c_attn.weight": its shape is (72,24), config.json expects (24,72)`},
		{"integers", func(all []format.Tensor) []format.Tensor {
			x := named(all, "transformer.ln_f.bias")
			*x = format.FromUint8s(x.Name, x.Shape, make([]byte, 24))
			return all
		}, `tensor "transformer.ln_f.bias": its elements are U8`},
		{"with and without prefix", func(all []format.Tensor) []format.Tensor { return append(all, named(all, wte).WithName("wte.weight")) },
			`the same weight is in "model.safetensors" as`},
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
		{"a head and no embedding, of another shape", func(all []format.Tensor) []format.Tensor {
			*named(all, wte) = format.FromFloat32s("lm_head.weight", []int{24, 61}, make([]float32, 24*61))
			return all
		}, `tensor "lm_head.weight": its shape is (24,61)`},
		{"neither head nor embedding", func(all []format.Tensor) []format.Tensor {
			return slices.DeleteFunc(all, func(x format.Tensor) bool { return x.Name == wte })
		}, `weight "wte.weight" is missing`},
		{"under two wrappers", func(all []format.Tensor) []format.Tensor { return append(all, named(all, wte).WithName("module."+wte)) },
			`the same weight is in "model.safetensors" as`},
		{"two networks", func(all []format.Tensor) []format.Tensor {
			for _, x := range slices.Clone(all) {
				all = append(all, x.WithName("teacher."+x.Name))
			}
			return all
		}, "the same weight is in"},
		{"an adapter", func(all []format.Tensor) []format.Tensor {
			return append(all, format.FromFloat32s("base_model.model.transformer.h.0.attn.c_attn.lora_A.weight", []int{1}, []float32{1}))
		}, "merge_and_unload"},
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
		{"pickle", instead(weightsFile, replace("pytorch_model.bin", "x")), "write it with save_pretrained"},
		{"pickled shards", instead(weightsFile, replace("pytorch_model.bin.index.json", "{}")), "it is a pickle"},
		{"torn", replace(weightsFile, "\x10\x00\x00\x00\x00\x00\x00\x00{}"), "model.safetensors: byte 0"},
		{"config too large", large("config.json", 1<<20+1), "it has 1048577 bytes, at most 1048576 are read"},
		{"tokenizer too large", large("tokenizer.json", 64<<20+1), "at most 67108864"},
		{"index too large", instead(weightsFile, large("model.safetensors.index.json", 1<<40)), "at most 16777216"},
		{"more layers than weights", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "config.json"), map[string]any{"n_layer": 4000})
		}, "the network has 4000 layers, but the folder has only 28 weights"},
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
		wantRefused(t, dir, name+": it is a symbolic link, which is followed only from a snapshot")
	}
}

// TestCache reads a snapshot of Hugging Face's cache, whose links lead to the
// blobs beside it, and refuses links and blobs that lead elsewhere.
func TestCache(t *testing.T) {
	want, _ := mustRead(t, unpacked(t, "sharded"))
	hash := func(i int) string { return fmt.Sprintf("%040x", i) }
	cached := func(t *testing.T) (repo, snapshot string) {
		repo = t.TempDir()
		snapshot = filepath.Join(repo, "snapshots", "0123abcd")
		if err := os.MkdirAll(snapshot, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(unpacked(t, "sharded"), filepath.Join(repo, "blobs")); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(filepath.Join(repo, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range files {
			if err := os.Rename(filepath.Join(repo, "blobs", f.Name()), filepath.Join(repo, "blobs", hash(i))); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../../blobs/"+hash(i), filepath.Join(snapshot, f.Name())); err != nil {
				t.Skipf("no symbolic links here: %v", err)
			}
		}
		return repo, snapshot
	}
	repo, snapshot := cached(t)
	if c, _ := mustRead(t, snapshot); c.Weights.Hash() != want.Weights.Hash() {
		t.Error("other weights")
	}
	t.Chdir(snapshot)
	mustRead(t, ".")
	if err := huggingface.Explain(repo); err == nil || !strings.Contains(err.Error(), snapshot) {
		t.Errorf("the repository: got %v, want it to name the snapshot", err)
	}

	config := func(snapshot string) string { return filepath.Join(snapshot, "config.json") } // of blob 0
	for name, change := range map[string]func(repo, snapshot string) error{
		"another folder": func(repo, snapshot string) error {
			return os.Symlink("../../other/"+hash(0), config(snapshot))
		},
		"a path": func(repo, snapshot string) error {
			return os.Symlink(filepath.Join(repo, "blobs", hash(0)), config(snapshot))
		},
		"out of the blobs": func(repo, snapshot string) error {
			return os.Symlink("../../blobs/../../"+hash(0), config(snapshot))
		},
		"a blob that is a link": func(repo, snapshot string) error {
			blob := filepath.Join(repo, "blobs", hash(0))
			return errors.Join(os.Symlink("../../blobs/"+hash(0), config(snapshot)), os.Rename(blob, filepath.Join(repo, "secret")), os.Symlink("../secret", blob))
		},
		"blobs that are a link": func(repo, snapshot string) error {
			return errors.Join(os.Symlink("../../blobs/"+hash(0), config(snapshot)),
				os.Rename(filepath.Join(repo, "blobs"), filepath.Join(repo, "secret")), os.Symlink("secret", filepath.Join(repo, "blobs")))
		},
		"no blob": func(repo, snapshot string) error { return os.Symlink("../../blobs/"+hash(99), config(snapshot)) },
	} {
		t.Run(name, func(t *testing.T) {
			repo, snapshot := cached(t)
			if err := errors.Join(os.Remove(config(snapshot)), change(repo, snapshot)); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, snapshot, "config.json: ")
		})
	}
}

// TestExplain names what is missing in a folder that is not read.
func TestExplain(t *testing.T) {
	explain := func(want string, names ...string) {
		t.Helper()
		dir := t.TempDir()
		for _, name := range names {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			put(t, path, nil)
		}
		err := huggingface.Explain(dir)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), dir)) {
			t.Errorf("%q: got %v, want it to say %q", names, err, want)
		}
	}
	explain("")
	explain("", "step-00000004.safetensors")
	explain("", "config.json")
	explain("no config.json", "model.safetensors")
	explain("no config.json", "pytorch_model.bin")
	explain("merge_and_unload", "adapter_config.json", "adapter_model.safetensors")
	explain("checkpoint-20", "checkpoint-10/config.json", "checkpoint-20/config.json", "README.md")
}

// TestNoWeights names the form of weights that a folder has instead.
func TestNoWeights(t *testing.T) {
	for name, want := range map[string]string{
		"pytorch_model.bin":                 "it is a pickle",
		"pytorch_model.bin.index.json":      "it is a pickle",
		"model.pt":                          "it is a pickle",
		"tf_model.h5":                       "from_tf=True",
		"flax_model.msgpack":                "from_flax=True",
		"model.gguf":                        "GGUF",
		"model.onnx":                        "convert it into one",
		"model.fp16.safetensors":            "it is not named model.safetensors",
		"model.safetensors.index.fp16.json": "it is not named model.safetensors",
		"adapter_model.safetensors":         "merge_and_unload",
		"sub/model.safetensors":             "but sub/model.safetensors",
		"training_args.bin":                 "no model.safetensors.index.json",
		"optimizer.pt":                      "no model.safetensors.index.json",
	} {
		dir := unpacked(t, "whole")
		if err := errors.Join(os.Remove(filepath.Join(dir, weightsFile)), os.MkdirAll(filepath.Join(dir, "sub"), 0o700)); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, filepath.FromSlash(name)), []byte("x"))
		wantRefused(t, dir, want)
	}
}

// TestTied reads what a configuration says of the head beside what is there.
func TestTied(t *testing.T) {
	untie := func(dir string) {
		edit(t, filepath.Join(dir, "config.json"), map[string]any{"tie_word_embeddings": false})
	}
	dir := unpacked(t, "whole")
	untie(dir)
	wantRefused(t, dir, "config.json: tie_word_embeddings is false, but the folder has no lm_head.weight")
	change(t, filepath.Join(dir, weightsFile), func(all []format.Tensor) []format.Tensor {
		return append(all, named(all, wte).WithName("lm_head.weight"))
	})
	mustRead(t, dir) // the same network, whatever it is called
	change(t, filepath.Join(dir, weightsFile), func(all []format.Tensor) []format.Tensor {
		return slices.DeleteFunc(all, func(x format.Tensor) bool { return x.Name == wte })
	})
	wantRefused(t, dir, `weight "wte.weight" is missing`)
}

// An end that no token has ends nothing, as in transformers 4 and 5, which read it
// without a word: the note says it.
func TestEndsOutsideTheVocabulary(t *testing.T) {
	for text, id := range map[string]string{"-1": "-1", "99999": "99999", "[1,99999]": "99999", "1": "", "[5.0]": "", "null": ""} {
		dir := unpacked(t, "whole")
		put(t, filepath.Join(dir, "generation_config.json"), []byte(`{"eos_token_id":`+text+`}`))
		_, report, err := huggingface.Read(dir)
		want := id != ""
		if noted := len(report.Notes) == 1 && strings.Contains(report.Notes[0], "generation_config.json: eos_token_id "+id+" ends no text"); err != nil || noted != want || len(report.Notes) > 1 {
			t.Errorf("%s: notes %q, %v", text, report.Notes, err)
		}
	}
}

// TestSecondHeads leaves out heads that are not the language model's.
func TestSecondHeads(t *testing.T) {
	want, _ := mustRead(t, unpacked(t, "whole"))
	dir := unpacked(t, "whole")
	change(t, filepath.Join(dir, weightsFile), func(all []format.Tensor) []format.Tensor {
		return append(all, format.FromFloat32s("multiple_choice_head.summary.weight", []int{1}, []float32{1}), format.FromFloat32s("v_head.summary.bias", []int{1}, []float32{1}))
	})
	c, report, err := huggingface.Read(dir)
	if err != nil || c.Weights.Hash() != want.Weights.Hash() || len(report.Notes) != 2 ||
		!strings.HasPrefix(report.Notes[0], filepath.Join(dir, weightsFile)+`: tensor "multiple_choice_head.summary.weight": it is ignored`) {
		t.Errorf("got %+v, %v", report, err)
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

// The model of a classifier has another head in the place of the language
// model's. That is what the error says, for each network whose head is its own.
func TestClassifiersOfEveryFamily(t *testing.T) {
	for _, n := range []nn.Network{
		arch.GPT2{Vocab: 20, Context: 8, Width: 8, Layers: 1, Heads: 2, Inner: 8, Epsilon: 1e-5, Untied: true},
		arch.Llama{Vocab: 20, Context: 8, Width: 8, Layers: 1, Heads: 2, KVHeads: 1, HeadWidth: 4, Inner: 8, Epsilon: 1e-5, Activation: "silu", Rope: arch.Rope{Type: "default", Theta: 10}},
		arch.Qwen2{Vocab: 20, Context: 8, Width: 8, Layers: 1, Heads: 2, KVHeads: 1, Inner: 8, Epsilon: 1e-5, Activation: "silu", Rope: arch.Rope{Type: "default", Theta: 10}},
	} {
		folder, _ := mustWrite(t, filled(t, n, nil), format.Float32)
		change(t, filepath.Join(folder, weightsFile), func(all []format.Tensor) []format.Tensor {
			i := slices.IndexFunc(all, func(x format.Tensor) bool { return x.Name == "lm_head.weight" })
			all[i] = all[i].WithName("score.weight")
			return all
		})
		if _, _, err := huggingface.Read(folder); err == nil || !strings.Contains(err.Error(), `tensor "score.weight": it is the head of a classifier`) {
			t.Errorf("%s: %v", n.Architecture(), err)
		}
	}
}
