package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/attnx/attnx/export/onnx"
)

// Metadata of a model about the file with its weights.
const (
	MetaWeightsSHA256 = "attnx.weights.sha256" // hexadecimal
	MetaWeightsSize   = "attnx.weights.size"   // bytes
)

// WeightsError reports that the file of weights next to a model is not the one
// that the model was exported with, or that this cannot be determined.
type WeightsError struct {
	File   string
	Reason string // what is wrong and what to do, in one line
}

func (e *WeightsError) Error() string { return e.File + ": " + e.Reason }

// remedy is the remedy for a wrong file of weights.
const remedy = "copy the folder again from where it is whole, or export the checkpoint again"

// WeightsFile describes the file of weights next to a model, from the model's
// metadata. The zero value means that the model contains its weights; it is
// always valid.
type WeightsFile struct {
	Path   string
	Size   int64  // bytes
	SHA256 string // hexadecimal
}

// WeightsOf returns the file of weights of the model m at path, and checks
// with stat that it exists and has the right size. Verify checks its content.
// A model with external weights but without this metadata gives a
// WeightsError.
func WeightsOf(path string, m *onnx.Model) (WeightsFile, error) {
	w := WeightsFile{}
	for _, t := range m.Graph.Initializers {
		switch {
		case t.External == nil:
		case w.Path == "":
			w.Path = t.External.Location
		case w.Path != t.External.Location:
			return w, &WeightsError{path, fmt.Sprintf("its weights are in %.80q and in %.80q: attnx writes one file of weights", w.Path, t.External.Location)}
		}
	}
	if w.Path == "" {
		return w, nil
	}
	w.Path = filepath.Join(filepath.Dir(path), filepath.FromSlash(w.Path))
	var err error
	w.SHA256 = m.Metadata[MetaWeightsSHA256]
	if w.Size, err = strconv.ParseInt(m.Metadata[MetaWeightsSize], 10, 64); err != nil || len(w.SHA256) != 64 {
		return w, &WeightsError{path, fmt.Sprintf("its metadata have no %s and %s, so nothing shows whether %s is what was exported: export the checkpoint again", MetaWeightsSHA256, MetaWeightsSize, filepath.Base(w.Path))}
	}
	_, err = w.stat(os.Lstat(w.Path))
	return w, err
}

// stat checks the file system's information about the file.
func (w WeightsFile) stat(info fs.FileInfo, err error) (fs.FileInfo, error) {
	reason := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		reason = "the model's weights are missing"
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		reason = fmt.Sprintf("the model's weights are not a regular file (%v)", info.Mode().Type())
	case info.Size() != w.Size:
		reason = fmt.Sprintf("it has %d bytes, but the model was exported with %d: it was truncated or replaced", info.Size(), w.Size)
	default:
		return info, nil
	}
	return nil, &WeightsError{w.Path, reason + ": " + remedy}
}

// Verify reads the file once and compares its SHA-256. It may run while the
// model is opened.
func (w WeightsFile) Verify(ctx context.Context) error {
	if w.Path == "" {
		return nil
	}
	info, err := w.stat(os.Lstat(w.Path)) // check before opening: opening a pipe would block
	if err != nil {
		return err
	}
	f, err := os.Open(w.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return &WeightsError{w.Path, "it was replaced while it was opened: try again"}
	}
	sum := newSummer()
	buffer := make([]byte, 1<<20)
	for sum.n < w.Size {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(buffer)
		sum.Write(buffer[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if got := sum.hex(); got != w.SHA256 {
		return &WeightsError{w.Path, fmt.Sprintf("its SHA-256 is %.12s…, but the model was exported with %.12s…: it was changed: %s", got, w.SHA256, remedy)}
	}
	return nil
}
