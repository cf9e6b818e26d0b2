package export_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
)

// folder returns the SHA-256 of each file of dir.
func folder(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string][32]byte{}
	for _, f := range files {
		if f.IsDir() {
			sums[f.Name()] = [32]byte{}
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sums[f.Name()] = sha256.Sum256(data)
	}
	return sums
}

// Two exports are the same bytes, in a file and in memory; what is summed up
// is what is there; and the file passes the checks of a reader.
func TestSameBytes(t *testing.T) {
	metadata := map[string]string{"z": "1", "a": "2", "m": "3"}
	for _, arch := range []string{gpt2, simple} {
		for _, v := range variants {
			t.Run(arch+" "+v.name, func(t *testing.T) {
				one, two := t.TempDir(), t.TempDir()
				var path string
				for _, dir := range []string{one, two} {
					g, w := network(t, config(arch, 2)) // built anew: maps inside must not show
					var sum export.Summary
					path, sum = v.write(t, dir, g, w, metadata)
					size := int64(0)
					for _, f := range sum.Files {
						info, err := os.Stat(f)
						if err != nil {
							t.Fatal(err)
						}
						size += info.Size()
					}
					if size != sum.Bytes || len(sum.Files) != len(folder(t, dir)) || (len(sum.Files) == 2) != v.external {
						t.Errorf("summary %+v of %d bytes", sum, size)
					}
				}
				if a, b := folder(t, one), folder(t, two); !maps.Equal(a, b) {
					t.Errorf("two exports differ: %x, %x", a, b)
				}
				m, err := onnx.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if v.external {
					return
				}
				g, w := network(t, config(arch, 2))
				data, err := export.Bytes(g, w, v.profile, metadata)
				if err != nil {
					t.Fatal(err)
				}
				var again bytes.Buffer
				if err := m.Encode(&again); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(data, again.Bytes()) {
					t.Error("the file and the bytes differ")
				}
			})
		}
	}
}

// Each weight is stored once, under its name, also where two places of the
// network share it.
func TestWeightsOnce(t *testing.T) {
	for _, arch := range []string{gpt2, simple} {
		g, w := network(t, config(arch, 2))
		m, err := export.Model(g, w, export.Plain{})
		if err != nil {
			t.Fatal(err)
		}
		stored, weights := map[string]*onnx.Tensor{}, int64(0)
		for _, x := range m.Graph.Initializers {
			stored[x.Name] = x
			if x.DataType == onnx.Float && len(x.Dims) > 0 && !strings.Contains(x.Name, "mask") {
				weights += x.Elements()
			}
		}
		for _, x := range w {
			s := stored[x.Name]
			if s == nil || !bytes.Equal(s.Raw, x.Data) {
				t.Errorf("%s: weight %s is not there as it is", arch, x.Name)
			}
		}
		want, err := (&model.Checkpoint{Graph: g}).Parameters()
		if err != nil || weights != int64(want) {
			t.Errorf("%s: %d numbers stored for %d parameters (%v)", arch, weights, want, err)
		}
	}
}

func TestMetadata(t *testing.T) {
	g, w := network(t, config(gpt2, 2))
	given := map[string]string{"k": "v", export.MetaProfile: "forged"}
	for _, p := range []export.Profile{export.Plain{}, export.Flat{Length: 5}} {
		m, err := export.Model(g, w, p, given)
		if err != nil {
			t.Fatal(err)
		}
		info, err := export.Describe(m)
		want := export.Info{Fingerprint: graph.Fingerprint(g), Profile: p}
		if err != nil || info != want || m.Metadata["k"] != "v" {
			t.Errorf("%+v, want %+v (%v)", info, want, err)
		}
	}
	if len(given) != 2 || given[export.MetaProfile] != "forged" {
		t.Error("the caller's metadata changed")
	}
	for name, c := range map[string]struct {
		metadata map[string]string
		want     string
	}{
		"nobody's":           {nil, "attnx did not write this file"},
		"an unknown profile": {map[string]string{export.MetaFingerprint: "f", export.MetaProfile: "round"}, `unknown profile "round"`},
		"a length of words":  {map[string]string{export.MetaFingerprint: "f", export.MetaProfile: "flat", export.MetaLength: "x"}, `is "x"`},
		"a length of 0":      {map[string]string{export.MetaFingerprint: "f", export.MetaProfile: "flat", export.MetaLength: "0"}, `is "0"`},
	} {
		if _, err := export.Describe(&onnx.Model{Metadata: c.metadata}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The external form runs in ONNX Runtime and gives what the oracle gives.
func TestExternalRuns(t *testing.T) {
	lib := onnxRuntime(t)
	for _, arch := range []string{gpt2, simple} {
		g, w := network(t, config(arch, 2))
		path, _ := variants[slices.IndexFunc(variants, func(v variant) bool { return v.external })].write(t, t.TempDir(), g, w)
		m, err := onnx.ReadFile(path)
		if err != nil || !m.HasExternal() {
			t.Fatalf("no external data (%v)", err)
		}
		s, err := ort.Open(path, ort.Options{Library: lib})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []runtime.Case{runtime.NewCase(3, longest, vocab, 1), runtime.NewCase(1, 1, vocab, 2)} {
			want, got := run(t, oracle(t, g, w), k.Inputs())["logits"], run(t, s, k.Inputs())["logits"]
			within(t, arch, want, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Only the profile cache takes a network with a past; it gives one to a network
// without.
func TestPast(t *testing.T) {
	whole, w := network(t, config(gpt2, 2))
	cached, err := model.Cached(whole, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []export.Profile{export.Plain{}, export.Flat{}} {
		_, err := export.Model(cached, w, p)
		if refused := new(export.ProfileError); !errors.As(err, &refused) || refused.Profile != p.Name() {
			t.Errorf("%s: %v", p.Name(), err)
		}
	}
	last, err := model.Cached(whole, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p    export.Cache
		with *graph.Graph
	}{{export.Cache{}, cached}, {export.Cache{LastLogits: true}, last}} {
		a, err := export.Bytes(whole, w, c.p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := export.Bytes(c.with, w, export.Cache{})
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%+v: other bytes than those of model.Cached (%v)", c.p, err)
		}
	}
}

// Each profile has the options that make sense for it, and refuses the values
// that do not.
func TestProfileRefuses(t *testing.T) {
	for _, c := range []struct {
		p    export.Profile
		want string
	}{
		{export.Plain{Opset: 16}, "profile plain is written in opset 17 to 21, not 16"},
		{export.Plain{Opset: 22}, "opset 17 to 21, not 22"},
		{export.Plain{Opset: -1}, "not -1"},
		{export.Cache{Opset: 22, Fuse: true}, "profile cache is written in opset 17 to 21, not 22"},
		{export.Train{Opset: 12}, "profile train is written in opset 17 to 21, not 12"},
		{export.Flat{Opset: 8}, "profile flat is written in opset 9 to 12, not 8"},
		{export.Flat{Opset: 13}, "opset 9 to 12, not 13"},
		{export.Flat{Length: -1}, "a sequence of -1 tokens"},
		{export.Plain{Quantize: "int3"}, `unknown quantization "int3"`},
		{export.Plain{DType: format.Int64}, "I64 is not a floating-point type"},
		{export.Cache{Quantize: precision.Int8, DType: format.Float16}, "supports float32 only"},
	} {
		err := c.p.Check()
		var profile *export.ProfileError
		var numbers *precision.NumbersError
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &profile) && !errors.As(err, &numbers) {
			t.Errorf("%+v: got %v, expected %q", c.p, err, c.want)
		}
		g, w := network(t, config(gpt2, 2))
		if _, written := export.Model(g, w, c.p); written == nil || written.Error() != err.Error() {
			t.Errorf("%+v: Check says %v, Model %v", c.p, err, written)
		}
	}
	if _, err := export.WithNumbers(export.Flat{}, precision.Form{DType: format.Float16}); err == nil {
		t.Error("the profile flat has float16")
	}
	for _, p := range export.Profiles() {
		if err := p.Check(); err != nil {
			t.Error(err)
		}
		if named, err := export.ParseProfile(p.Name()); err != nil || named != p {
			t.Errorf("%s is the name of %v (%v)", p.Name(), named, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	g, w := network(t, config(gpt2, 2))
	swapped := slices.Clone(w)
	swapped[2], swapped[3] = swapped[3], swapped[2]
	short := slices.Clone(w)
	short[0].Data = short[0].Data[4:]
	typed := slices.Clone(w)
	half, _, err := w[0].Convert(format.Float16)
	if err != nil {
		t.Fatal(err)
	}
	typed[0] = half
	other := slices.Clone(w)
	other[0] = format.FromFloat32s(other[0].Name, []int{3, 2}, make([]float32, 6))
	for name, c := range map[string]struct {
		weights  []format.Tensor
		profile  export.Profile
		want     string
		metadata map[string]string
	}{
		"a length too long":       {w, export.Flat{Length: 13}, "a sequence of 13 tokens, the network runs 1 to 12", nil},
		"a weight missing":        {w[1:], export.Plain{}, `weight "wpe.weight": the network has "wte.weight" in its place`, nil},
		"the last weight missing": {w[:len(w)-1], export.Plain{}, `weight "ln_f.bias": it is missing`, nil},
		"a weight too many":       {append(slices.Clone(w), w[0]), export.Plain{}, `weight "wte.weight": the network has no such weight`, nil},
		"weights in other order":  {swapped, export.Flat{}, `weight "h.0.ln_1.bias": the network has "h.0.ln_1.weight" in its place`, nil},
		"a weight cut short":      {short, export.Flat{}, `tensor "wte.weight"`, nil},
		"another shape":           {other, export.Flat{}, `weight "wte.weight": its shape is [3 2], the network's (31,16)`, nil},
		"another type":            {typed, export.Plain{}, `weight "wte.weight" is F16, the graph has F32`, nil},
		"metadata":                {w, export.Plain{}, "not UTF-8", map[string]string{"k": "\xff"}},
		"weights of training":     {w, export.Train{}, "profile train takes its weights as inputs: give none", nil},
		"no profile":              {w, nil, "no profile is given", nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.onnx")
			_, err := export.File(path, g, c.weights, c.profile, c.metadata)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left := folder(t, filepath.Dir(path)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A write that fails leaves the folder as it was.
func TestFailingWrite(t *testing.T) {
	g, w := network(t, config(gpt2, 2))
	for name, c := range map[string]struct {
		path  string
		limit int64
		make  []string // folders in the way
		want  string
	}{
		"a folder in the model's place":               {"x.onnx", 1 << 40, []string{"x.onnx"}, "it is a folder"},
		"external, a folder in the model's place":     {"x.onnx", 0, []string{"x.onnx"}, "it is a folder"},
		"external, a folder in the weights' place":    {"x.onnx", 0, []string{"x.onnx_data"}, "x.onnx_data: it is a folder"},
		"external, no folder":                         {"none/x.onnx", 0, nil, "does not exist"},
		"external, a name that other systems misread": {"a:x.onnx", 0, nil, `external data "a:x.onnx_data": the path leaves`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range c.make {
				if err := os.Mkdir(filepath.Join(dir, f), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			before := folder(t, dir)
			_, err := export.FileWithLimit(filepath.Join(dir, filepath.FromSlash(c.path)), c.limit, g, w, export.Plain{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if after := folder(t, dir); !maps.Equal(before, after) {
				t.Errorf("before %v, after %v", before, after)
			}
		})
	}
	// The files of an earlier export stay as they are too.
	dir := t.TempDir()
	path := filepath.Join(dir, "x.onnx")
	if _, err := export.FileWithLimit(path, 0, g, w, export.Plain{}); err != nil {
		t.Fatal(err)
	}
	before := folder(t, dir)
	if _, err := export.FileWithLimit(path, 0, g, w, export.Plain{Opset: 3}); err == nil {
		t.Error("opset 3 was written")
	}
	if after := folder(t, dir); !maps.Equal(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
}
