package attnx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
)

// meansONNX reports whether a target path means an ONNX file.
func meansONNX(path string) bool {
	return !MeansFolder(path) && strings.EqualFold(filepath.Ext(path), ".onnx")
}

// convertLike writes the weights of a model into a copy of an ONNX file, whose
// other bytes stay as they are.
func convertLike(from, to string, o ConvertOptions) (*ConvertReport, error) {
	like := find.ModelIn(o.Like)
	if _, err := find.Expect(like, find.ONNXFile, find.ONNX); err != nil {
		return nil, err
	}
	place, err := output.Claim(output.ONNX, to, from, like)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	c, _, err := readAny(from, o.Tell, model.LoadModel)
	if err != nil {
		return nil, err
	}
	if c, err = withoutAdapter(from, c, o.Merge, false); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(like)
	if err != nil {
		return nil, err
	}
	m, err := onnx.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", like, err)
	}
	elements, err := elementsFor(from, like, c, m)
	if err != nil {
		return nil, err
	}
	patched, err := onnx.Patch(data, m, elements)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", like, err)
	}
	if o.Saving != nil {
		o.Saving()
	}
	if err := copyExternal(filepath.Dir(like), filepath.Dir(to), m, patched.External); err != nil {
		return nil, err
	}
	err = store.Save(to, func(w io.Writer) error {
		_, err := w.Write(patched.Data)
		return err
	})
	r := &ConvertReport{Path: to, Arch: c.Arch, DType: dtypeName(format.Float32), hub: true}
	if err == nil {
		r.Parameters, err = c.Parameters()
	}
	return r, err
}

// elementsFor returns the elements of the initializers that a model has weights
// for. It rejects a file of another network.
func elementsFor(from, like string, c *model.Checkpoint, m *onnx.Model) (map[string][]byte, error) {
	initializers := map[string]*onnx.Tensor{}
	for _, t := range m.Graph.Initializers {
		initializers[t.Name] = t
	}
	var constants map[string]format.Tensor // of nodes, which a file has as weights too
	elements := map[string][]byte{}
	for _, w := range c.Weights {
		t := initializers[w.Name]
		if t == nil {
			if constants == nil {
				constants = map[string]format.Tensor{}
				r, err := read.Model(m, read.Options{Dir: filepath.Dir(like)})
				if err != nil && !errors.As(err, new(*read.OpenError)) {
					return nil, fmt.Errorf("%s: %w", like, err)
				}
				if err == nil {
					for _, x := range r.Weights {
						constants[x.Name] = x
					}
				}
			}
			if x, ok := constants[w.Name]; ok && slices.Equal(x.Data, w.Data) {
				continue
			}
			return nil, fmt.Errorf("%s: it has no initializer %.80q, which %s has: name the file that the run began with", like, w.Name, from)
		}
		shape := make([]int, len(t.Dims))
		for i, d := range t.Dims {
			shape[i] = int(d)
		}
		dtype, err := read.ElementType(t.DataType)
		single := len(shape) == 0 && slices.Equal(w.Shape, []int{1}) // see read.Options.Training
		if err != nil || dtype != w.DType || !slices.Equal(shape, w.Shape) && !single {
			return nil, fmt.Errorf("%s: initializer %.80q is %s%v, in %s it is %s%v: name the file that the run began with", like, w.Name, t.DataType, t.Dims, from, w.DType, w.Shape)
		}
		old, err := t.Load(filepath.Dir(like))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", like, err)
		}
		if !slices.Equal(old, w.Data) {
			elements[w.Name] = w.Data
		}
	}
	return elements, nil
}

// copyExternal copies the files beside a model to another folder, with other
// bytes in some places.
func copyExternal(from, to string, m *onnx.Model, patches []onnx.ExternalPatch) error {
	var locations []string
	for _, t := range m.Graph.Initializers {
		if t.External != nil && !slices.Contains(locations, t.External.Location) {
			if err := t.CheckExternal(from); err != nil {
				return err
			}
			locations = append(locations, t.External.Location)
		}
	}
	for _, location := range locations {
		target := filepath.Join(to, filepath.FromSlash(location))
		if _, err := os.Lstat(target); err == nil {
			return fmt.Errorf("%s: it is there already, and the weights of the new file would replace it: write to another folder", target)
		}
	}
	for _, location := range locations {
		source, err := os.Open(filepath.Join(from, filepath.FromSlash(location)))
		if err != nil {
			return err
		}
		err = store.Save(filepath.Join(to, filepath.FromSlash(location)), func(w io.Writer) error {
			return patchedCopy(w, source, location, patches)
		})
		if err := errors.Join(err, source.Close()); err != nil {
			return err
		}
	}
	return nil
}

// patchedCopy copies a file with other bytes in some places, which do not overlap.
func patchedCopy(w io.Writer, r io.Reader, location string, patches []onnx.ExternalPatch) error {
	var mine []onnx.ExternalPatch
	for _, p := range patches {
		if p.Location == location && len(p.Data) > 0 {
			mine = append(mine, p)
		}
	}
	slices.SortFunc(mine, func(a, b onnx.ExternalPatch) int { return int(min(max(a.Offset-b.Offset, -1), 1)) })
	at := int64(0)
	for _, p := range mine {
		if p.Offset < at {
			return fmt.Errorf("%s: initializers share its bytes, so they cannot differ", location)
		}
		if _, err := io.CopyN(w, r, p.Offset-at); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, int64(len(p.Data))); err != nil {
			return err
		}
		if _, err := w.Write(p.Data); err != nil {
			return err
		}
		at = p.Offset + int64(len(p.Data))
	}
	_, err := io.Copy(w, r)
	return err
}
