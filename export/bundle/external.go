package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format/store"
)

// Limit is the size from which weights go to a file of their own: protobuf ends
// at 2 GiB, and some readers before.
const Limit = 1_900_000_000

// External is a model whose weights lie in a file beside its own.
type External struct {
	model   *onnx.Model           // refers to the weights
	weights string                // the name of their file, in the folder of the model's
	write   func(io.Writer) error // writes it
}

// Split puts the weights of m, every tensor of some size, into a file of ONNX's
// own form. The model given stays as it is.
func Split(m *onnx.Model, weights string) External {
	small, write := onnx.Externalize(m, weights)
	return External{small, weights, write}
}

// SplitAt puts those initializers of m that offsets names into a file of
// another form, which write writes and where their elements begin at the
// offsets, in bytes. The others stay in the model.
func SplitAt(m *onnx.Model, weights string, offsets map[string]int64, write func(io.Writer) error) External {
	small := onnx.Refer(m, func(t *onnx.Tensor) *onnx.External {
		at, ok := offsets[t.Name]
		if !ok {
			return nil
		}
		return &onnx.External{Location: weights, Offset: at, Length: int64(len(t.Raw))}
	})
	return External{small, weights, write}
}

// Save writes the model to path and its weights beside it, and returns the bytes
// of both. The weights get their name while the model is still without: a new
// model is never there without them, and most of what can fail has not touched
// what was there before.
func (b External) Save(path string) (size int64, err error) {
	if err := onnx.Check(b.model, ""); err != nil { // the name may be no portable one
		return 0, fmt.Errorf("export: %w", err)
	}
	data := filepath.Join(filepath.Dir(path), b.weights)
	sum := newSummer()
	if err := b.write(sum); err != nil {
		return 0, err
	}
	small := b.stamped(sum)
	_, err = os.Lstat(data)
	fresh, saved := errors.Is(err, fs.ErrNotExist), false
	err = store.Save(path, func(w io.Writer) error {
		if err := small.Encode(w); err != nil {
			return err
		}
		err := store.Save(data, b.write)
		saved = err == nil
		return err
	})
	if err != nil && saved && fresh {
		os.Remove(data)
	}
	return small.EncodedSize() + sum.n, err
}

// Files returns the file of the weights and that of the model, which gets the
// given name, such as "onnx/model.onnx"; the weights lie beside it. They must be
// written in this order: the model carries the SHA-256 of the weights.
func (b External) Files(name string) ([]store.File, error) {
	if err := onnx.Check(b.model, ""); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if n := b.model.EncodedSize(); n > Limit {
		return nil, fmt.Errorf("export: %d bytes beside the weights do not fit one ONNX file", n)
	}
	sum := newSummer()
	return []store.File{
		{Name: path.Join(path.Dir(name), b.weights), Write: func(w io.Writer) error { return b.write(io.MultiWriter(w, sum)) }},
		{Name: name, Write: func(w io.Writer) error { return b.stamped(sum).Encode(w) }},
	}, nil
}

// stamped returns the model with what sum has seen of its weights.
func (b External) stamped(sum *summer) *onnx.Model {
	m := *b.model
	m.Metadata = maps.Clone(m.Metadata)
	m.Metadata[MetaWeightsSHA256] = sum.hex()
	m.Metadata[MetaWeightsSize] = strconv.FormatInt(sum.n, 10)
	return &m
}

// summer counts and hashes what is written to it.
type summer struct {
	hash hash.Hash
	n    int64
}

func newSummer() *summer { return &summer{hash: sha256.New()} }

func (s *summer) Write(b []byte) (int, error) {
	s.n += int64(len(b))
	return s.hash.Write(b)
}

func (s *summer) hex() string { return hex.EncodeToString(s.hash.Sum(nil)) }
