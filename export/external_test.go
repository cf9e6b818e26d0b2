package export_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
)

// split saves a model whose weights are a safetensors file beside it, and
// returns the path of the model.
func split(t *testing.T) (path string, weights model.Weights) {
	t.Helper()
	g, w := network(t, config(gpt2, 2))
	m, err := export.Model(g, w, export.Plain{})
	if err != nil {
		t.Fatal(err)
	}
	h := format.Header{}
	for _, x := range w {
		h.Tensors = append(h.Tensors, x.Info())
	}
	offsets, err := format.Offsets(h)
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]int64{}
	for i, x := range w {
		places[x.Name] = offsets[i]
	}
	var b bytes.Buffer
	fw := format.NewWriter(&b, h)
	for _, x := range w {
		fw.Add(x)
	}
	if err := fw.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := bundle.SplitAt(m, "model.safetensors", places, text(b.Bytes())).Files("onnx/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "f")
	if err := store.SaveFolder(dir, files); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "onnx", "model.onnx"), w
}

// TestSplitAt reads the weights of a model out of a safetensors file beside it,
// which the model describes as it is.
func TestSplitAt(t *testing.T) {
	path, weights := split(t)
	m, err := onnx.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*onnx.Tensor{}
	for _, x := range m.Graph.Initializers {
		found[x.Name] = x
	}
	for _, w := range weights {
		x := found[w.Name]
		if x == nil || x.External == nil || x.External.Location != "model.safetensors" {
			t.Fatalf("%s lies not in model.safetensors: %+v", w.Name, x)
		}
		if data, err := x.Load(filepath.Dir(path)); err != nil || !bytes.Equal(data, w.Data) {
			t.Errorf("%s has other elements (%v)", w.Name, err)
		}
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(path), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	w, err := bundle.WeightsOf(path, m)
	if err != nil || w.SHA256 != hex.EncodeToString(sum[:]) || w.Size != int64(len(data)) {
		t.Errorf("the weights are described as %+v (%v)", w, err)
	}
	if err := w.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if err := w.Verify(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("a stopped check says %v", err)
	}
}

// TestExternalIsDescribed checks that weights in a file of ONNX's own form are
// described too.
func TestExternalIsDescribed(t *testing.T) {
	g, w := network(t, config(gpt2, 2))
	path := filepath.Join(t.TempDir(), "m.onnx")
	if _, err := export.FileWithLimit(path, 1, g, w, export.Plain{}); err != nil {
		t.Fatal(err)
	}
	m, err := onnx.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	x, err := bundle.WeightsOf(path, m)
	if err != nil || x.Path != path+"_data" || x.Verify(context.Background()) != nil {
		t.Errorf("the weights are described as %+v (%v), %v", x, err, x.Verify(context.Background()))
	}
	flip(t, x.Path)
	if bad := new(bundle.WeightsError); !errors.As(x.Verify(context.Background()), &bad) {
		t.Error("a flipped bit is not found")
	}
}

// TestWholeModelHasNoFile checks that a model with its weights inside needs no
// file.
func TestWholeModelHasNoFile(t *testing.T) {
	g, w := network(t, config(gpt2, 2))
	m, err := export.Model(g, w, export.Plain{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := bundle.WeightsOf("nowhere/model.onnx", m)
	if err != nil || x.Path != "" || x.Verify(context.Background()) != nil {
		t.Errorf("%+v, %v", x, err)
	}
}

// flip changes one bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestWeightsThatAreNot spoils the file of weights in every way: each is found
// before or while the weights are read, by name and with a remedy.
func TestWeightsThatAreNot(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, weights string) error
		early bool // found without reading the file
		want  string
	}{
		"altered": {func(t *testing.T, w string) error { flip(t, w); return nil }, false, "it was changed"},
		"missing": {func(_ *testing.T, w string) error { return os.Remove(w) }, true, "are missing"},
		"cut":     {func(_ *testing.T, w string) error { return os.Truncate(w, 5000) }, true, "it was truncated or replaced"},
		"longer": {func(_ *testing.T, w string) error {
			f, err := os.OpenFile(w, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write([]byte{0})
			return err
		}, true, "it was truncated or replaced"},
		"link": {func(_ *testing.T, w string) error {
			if err := os.Rename(w, w+".real"); err != nil {
				return err
			}
			return os.Symlink(filepath.Base(w)+".real", w)
		}, true, "not a regular file"},
		"folder": {func(_ *testing.T, w string) error {
			if err := os.Remove(w); err != nil {
				return err
			}
			return os.Mkdir(w, 0o777)
		}, true, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := split(t)
			m, err := onnx.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			before, err := bundle.WeightsOf(path, m)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(t, before.Path); err != nil {
				t.Fatal(err)
			}
			_, err = bundle.WeightsOf(path, m)
			if (err != nil) != c.early {
				t.Errorf("a look at the file says %v", err)
			}
			found := []error{before.Verify(context.Background())}
			if c.early {
				found = append(found, err)
			}
			for _, err := range found {
				bad := new(bundle.WeightsError)
				if !errors.As(err, &bad) || bad.File != before.Path || !strings.Contains(bad.Reason, c.want) || !strings.Contains(bad.Reason, "export the checkpoint again") {
					t.Errorf("got %v, want %q of %s", err, c.want, before.Path)
				}
			}
			if _, err := onnx.ReadFile(path); name != "altered" && name != "longer" && (err == nil || !strings.Contains(err.Error(), "copy the model's folder whole")) {
				t.Errorf("reading the model says %v", err)
			}
		})
	}
}

// TestWeightsUndescribed checks that a model is refused that does not say what
// its weights are, or has them in two files.
func TestWeightsUndescribed(t *testing.T) {
	path, _ := split(t)
	read := func() *onnx.Model {
		m, err := onnx.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for want, spoil := range map[string]func(m *onnx.Model){
		"have no attnx.weights.sha256": func(m *onnx.Model) { delete(m.Metadata, bundle.MetaWeightsSHA256) },
		"and attnx.weights.size":       func(m *onnx.Model) { m.Metadata[bundle.MetaWeightsSize] = "many" },
		"in \"other\"":                 func(m *onnx.Model) { m.Graph.Initializers[1].External.Location = "other" },
	} {
		m := read()
		spoil(m)
		_, err := bundle.WeightsOf(path, m)
		if bad := new(bundle.WeightsError); !errors.As(err, &bad) || bad.File != path || !strings.Contains(bad.Reason, want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
