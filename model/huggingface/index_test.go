package huggingface_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

const (
	indexFile = "model.safetensors.index.json"
	shard2    = "model-00002-of-00004.safetensors"
	shard3    = "model-00003-of-00004.safetensors"
)

// place changes where the index has a tensor.
func place(t *testing.T, dir, tensor, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		t.Fatal(err)
	}
	var x struct {
		Map map[string]any `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &x); err != nil {
		t.Fatal(err)
	}
	if x.Map[tensor] = file; file == "" {
		delete(x.Map, tensor)
	}
	edit(t, filepath.Join(dir, indexFile), map[string]any{"weight_map": x.Map})
}

// TestIndexPaths has an index name files that are not plain ones of its folder.
// Those that could be there are: what is refused is the name.
func TestIndexPaths(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "model")
	if err := os.CopyFS(dir, os.DirFS(unpacked(t, "sharded"))); err != nil {
		t.Fatal(err)
	}
	shard, err := os.ReadFile(filepath.Join(dir, shard2))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(outer, "x.safetensors"), shard)
	put(t, filepath.Join(dir, "a", "b.safetensors"), shard)
	index, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"../x.safetensors", "a/../../x.safetensors", filepath.ToSlash(filepath.Join(outer, "x.safetensors")), "/etc/x.safetensors",
		"a/b.safetensors", "./" + shard2, `a\b.safetensors`, `..\x.safetensors`, "C:x.safetensors", `C:\x.safetensors`, `\\host\x.safetensors`,
		shard2 + "\x00", "x\x00.safetensors", shard2 + ":stream.safetensors", "", ".", "..", "config.json", "model.bin",
	} {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, indexFile), []byte(strings.ReplaceAll(string(index), `"`+shard2+`"`, string(quoted))))
		wantRefused(t, dir, "is refused: it must be one of the folder itself")
	}
}

func TestRefusedIndexes(t *testing.T) {
	text := func(s string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { put(t, filepath.Join(dir, indexFile), []byte(s)) }
	}
	const tensor = "transformer.h.0.mlp.c_fc.bias" // of shard 2
	for _, c := range []struct {
		name string
		f    func(*testing.T, string)
		want string
	}{
		{"no JSON", text("shards"), "not strict JSON"},
		{"empty", text(""), "not strict JSON"},
		{"an array", text("[]"), "expected a JSON object"},
		{"two objects", text("{}{}"), "unexpected text after"},
		{"no map", text("{}"), "weight_map is missing"},
		{"an empty map", text(`{"weight_map":{}}`), "weight_map is empty"},
		{"a map of numbers", text(`{"weight_map":{"a":1}}`), `tensor "a": "1" is not a string`},
		{"a map that is an array", text(`{"weight_map":["a"]}`), "weight_map: it is"},
		{"a tensor twice", text(`{"weight_map":{"a":"x.safetensors","\u0061":"y.safetensors"}}`), "a name is used twice"},
		{"two maps", text(`{"weight_map":{},"weight_map":{}}`), "a name is used twice"},
		{"deep", text(`{"a":` + strings.Repeat("[", 1<<20) + "}"), "not strict JSON"},
		{"not UTF-8", text("{\"\xff\":1}"), "not strict JSON"},
		{"a shard is missing", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, shard2)) }, shard2 + ": the folder has no such file"},
		{"a shard is a folder", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, shard2))
			os.Mkdir(filepath.Join(dir, shard2), 0o700)
		}, shard2 + ": it is not a regular file"},
		{"a weight that is not there", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, shard2), func(all []format.Tensor) []format.Tensor {
				return slices.DeleteFunc(all, func(x format.Tensor) bool { return x.Name == tensor })
			})
		}, shard2 + `: tensor "` + tensor + `" is missing, but ` + indexFile + ` has it here: fetch this file again`},
		{"a tensor in two shards", func(t *testing.T, dir string) {
			x := *named(tensorsOf(t, filepath.Join(dir, shard2)), tensor)
			change(t, filepath.Join(dir, shard3), func(all []format.Tensor) []format.Tensor { return append(all, x) })
		}, "the same weight is in"},
		{"a weight in two shards under two names", func(t *testing.T, dir string) {
			x := named(tensorsOf(t, filepath.Join(dir, shard2)), tensor).WithName("h.0.mlp.c_fc.bias")
			change(t, filepath.Join(dir, shard3), func(all []format.Tensor) []format.Tensor { return append(all, x) })
			place(t, dir, x.Name, shard3)
		}, "the same weight is in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := unpacked(t, "sharded")
			c.f(t, dir)
			wantRefused(t, dir, c.want)
		})
	}
}

// TestIndexPlaces reads indexes that do not say of each tensor where it is, such
// as those of conversions from pickles, which list the tied head and the masks.
// transformers 5.24 reads these too.
func TestIndexPlaces(t *testing.T) {
	want, _ := mustRead(t, unpacked(t, "whole"))
	const tensor = "transformer.h.0.mlp.c_fc.bias" // of shard 2
	for name, f := range map[string]func(*testing.T, string){
		"elsewhere":             func(t *testing.T, dir string) { place(t, dir, tensor, shard3) },
		"nowhere":               func(t *testing.T, dir string) { place(t, dir, tensor, "") },
		"the tied head":         func(t *testing.T, dir string) { place(t, dir, "lm_head.weight", shard3) },
		"a mask":                func(t *testing.T, dir string) { place(t, dir, "transformer.h.0.attn.bias", shard3) },
		"under its twin's name": func(t *testing.T, dir string) { place(t, dir, wte, ""); place(t, dir, "lm_head.weight", shard2) },
	} {
		dir := unpacked(t, "sharded")
		f(t, dir)
		if c, _ := mustRead(t, dir); c.Weights.Hash() != want.Weights.Hash() {
			t.Errorf("%s: other weights", name)
		}
	}
}

// TestLinkedShard has links in the place of a shard: also one to a file of the
// same folder is refused.
func TestLinkedShard(t *testing.T) {
	for _, to := range []string{"kept", "../outside", "nothing"} {
		dir := unpacked(t, "sharded")
		if to == "kept" {
			if err := os.Rename(filepath.Join(dir, shard2), filepath.Join(dir, to)); err != nil {
				t.Fatal(err)
			}
		}
		os.Remove(filepath.Join(dir, shard2))
		if err := os.Symlink(to, filepath.Join(dir, shard2)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
		wantRefused(t, dir, shard2+": it is a symbolic link")
	}
}

// TestWrappedShards reads shards whose names training code has changed, and a
// head that is kept in the place of the embedding.
func TestWrappedShards(t *testing.T) {
	want, _ := mustRead(t, unpacked(t, "whole"))
	dir := unpacked(t, "sharded")
	wrap := func(name string) string { return "module._orig_mod." + strings.Replace(name, wte, "lm_head.weight", 1) }
	text, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		t.Fatal(err)
	}
	var x struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &x); err != nil {
		t.Fatal(err)
	}
	wrapped := map[string]string{}
	for name, file := range x.Map {
		wrapped[wrap(name)] = file
	}
	edit(t, filepath.Join(dir, indexFile), map[string]any{"weight_map": wrapped})
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		change(t, file, rename(wrap))
	}
	if c, _ := mustRead(t, dir); c.Weights.Hash() != want.Weights.Hash() {
		t.Error("other weights")
	}
}

// TestIndexMetadata reads indexes whose metadata are not those of transformers:
// it reads them too, and no weight depends on them.
func TestIndexMetadata(t *testing.T) {
	want, _ := mustRead(t, unpacked(t, "whole"))
	for _, metadata := range []string{
		"", "null", "{}", "[1]", `{"total_size":65375}`, `{"total_size":65376.0}`, `{"total_size":6.5376e4}`, `{"total_size":"65376"}`,
		`{"total_size":null}`, `{"total_size":-1}`, `{"total_size":9223372036854775808}`, `{"total_size":68600,"total_parameters":16344}`,
	} {
		dir := unpacked(t, "sharded")
		change := map[string]any{"metadata": json.RawMessage(metadata)}
		if metadata == "" {
			change["metadata"] = nil
		}
		edit(t, filepath.Join(dir, indexFile), change)
		if c, _ := mustRead(t, dir); c.Weights.Hash() != want.Weights.Hash() {
			t.Errorf("%s: other weights", metadata)
		}
	}
}
