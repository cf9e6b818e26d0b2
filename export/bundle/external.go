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
	"slices"
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
	if m.Metadata = maps.Clone(m.Metadata); m.Metadata == nil {
		m.Metadata = map[string]string{}
	}
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

// Data is a file of weights that several models share.
type Data struct {
	Write func(io.Writer) error              // writes the file
	At    func(t *onnx.Tensor) (int64, bool) // where the elements of an initializer start in it, in bytes; false: they stay in the model
}

// DataAt is the file that write writes, with the initializers that offsets names at these
// places.
func DataAt(offsets map[string]int64, write func(io.Writer) error) Data {
	return Data{write, func(t *onnx.Tensor) (at int64, ok bool) {
		at, ok = offsets[t.Name]
		return at, ok
	}}
}

// Union is a file of ONNX external data with every large initializer of the models, each
// content once.
func Union(models []*onnx.Model) Data {
	all := &onnx.Model{Graph: &onnx.Graph{}}
	seen := map[[sha256.Size]byte]*onnx.Tensor{}
	for _, m := range models {
		for _, t := range m.Graph.Initializers {
			if key := sha256.Sum256(t.Raw); seen[key] == nil {
				seen[key] = t
				all.Graph.Initializers = append(all.Graph.Initializers, t)
			}
		}
	}
	small, write := onnx.Externalize(all, "data")
	offsets := map[*onnx.Tensor]int64{}
	for i, t := range small.Graph.Initializers {
		if t.External != nil {
			offsets[all.Graph.Initializers[i]] = t.External.Offset
		}
	}
	return Data{write, func(t *onnx.Tensor) (at int64, ok bool) {
		at, ok = offsets[seen[sha256.Sum256(t.Raw)]]
		return at, ok
	}}
}

// Shared returns models and the file of weights that they refer to. names are those
// of the models, and locations those of the file in the folder of each model; where the
// locations differ, the file has several names. Write them in this order: the models
// contain the SHA-256 of the weights.
func Shared(d Data, names, locations []string, models []*onnx.Model) (files []store.File, err error) {
	sum := newSummer()
	first := ""
	for i, m := range models {
		location := path.Join(path.Dir(names[i]), locations[i])
		switch {
		case first == "":
			first = location
			files = append(files, store.File{Name: location, Write: func(w io.Writer) error { return d.Write(io.MultiWriter(w, sum)) }})
		case !slices.ContainsFunc(files, func(f store.File) bool { return f.Name == location }):
			files = append(files, store.File{Name: location, Link: first})
		}
		small := onnx.Refer(m, func(t *onnx.Tensor) *onnx.External {
			at, ok := d.At(t)
			if !ok {
				return nil
			}
			return &onnx.External{Location: locations[i], Offset: at, Length: int64(len(t.Raw))}
		})
		if err := onnx.Check(small, ""); err != nil {
			return nil, fmt.Errorf("export: %s: %w", names[i], err)
		}
		if n := small.EncodedSize(); n > Limit {
			return nil, fmt.Errorf("export: %s: %d bytes besides the weights do not fit one ONNX file", names[i], n)
		}
		part := External{small, locations[i], d.Write}
		files = append(files, store.File{Name: names[i], Write: func(w io.Writer) error { return part.stamped(sum).Encode(w) }})
	}
	return files, nil
}
