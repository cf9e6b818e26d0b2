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

// Limit is the size in bytes from which weights go to a separate file.
// Protobuf's limit is 2 GiB, and some readers fail earlier.
const Limit = 1_900_000_000

// External is a model whose weights are in a separate file next to it.
type External struct {
	model   *onnx.Model           // refers to the weights
	weights string                // name of their file, in the model's folder
	write   func(io.Writer) error // writes that file
}

// Split moves the weights of m, all tensors above a small size, to a file of
// ONNX external data. It does not change m.
func Split(m *onnx.Model, weights string) External {
	small, write := onnx.Externalize(m, weights)
	return External{small, weights, write}
}

// SplitAt moves the initializers named in offsets to a file of another format.
// write must write that file, with their elements at these offsets in bytes.
// The other initializers stay in the model.
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

// Save writes the model to path and its weights next to it, and returns the
// size of both. It renames the weights into place before the model, so that a
// new model never exists without them, and most errors occur before it changes
// an old file.
func (b External) Save(path string) (size int64, err error) {
	if err := onnx.Check(b.model, ""); err != nil { // the name may not be portable
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
// given name, such as "onnx/model.onnx"; the weights are in the same folder.
// Write them in this order: the model contains the SHA-256 of the weights.
func (b External) Files(name string) ([]store.File, error) {
	if err := onnx.Check(b.model, ""); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if n := b.model.EncodedSize(); n > Limit {
		return nil, fmt.Errorf("export: %d bytes besides the weights do not fit one ONNX file", n)
	}
	sum := newSummer()
	return []store.File{
		{Name: path.Join(path.Dir(name), b.weights), Write: func(w io.Writer) error { return b.write(io.MultiWriter(w, sum)) }},
		{Name: name, Write: func(w io.Writer) error { return b.stamped(sum).Encode(w) }},
	}, nil
}

// stamped returns the model with size and hash of its weights.
func (b External) stamped(sum *summer) *onnx.Model {
	m := *b.model
	m.Metadata = maps.Clone(m.Metadata)
	m.Metadata[MetaWeightsSHA256] = sum.hex()
	m.Metadata[MetaWeightsSize] = strconv.FormatInt(sum.n, 10)
	return &m
}

// summer counts and hashes the bytes written to it.
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

// Shared returns a file of weights, which write writes with the initializers named in
// offsets at these places, and models that refer to it, in the same folder. Write them
// in this order: the models contain the SHA-256 of the weights.
func Shared(weights string, offsets map[string]int64, write func(io.Writer) error, names []string, models []*onnx.Model) ([]store.File, error) {
	sum := newSummer()
	files := []store.File{{Name: weights, Write: func(w io.Writer) error { return write(io.MultiWriter(w, sum)) }}}
	for i, m := range models {
		part := SplitAt(m, weights, offsets, write)
		if err := onnx.Check(part.model, ""); err != nil {
			return nil, fmt.Errorf("export: %s: %w", names[i], err)
		}
		if n := part.model.EncodedSize(); n > Limit {
			return nil, fmt.Errorf("export: %s: %d bytes besides the weights do not fit one ONNX file", names[i], n)
		}
		files = append(files, store.File{Name: names[i], Write: func(w io.Writer) error { return part.stamped(sum).Encode(w) }})
	}
	return files, nil
}
