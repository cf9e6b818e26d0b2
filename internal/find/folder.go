package find

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// ONNXFolder is where a Hugging Face folder has its ONNX files.
const ONNXFolder = "onnx"

// ModelIn returns the path of the model in a folder that export wrote, or
// another tool that has its names. Any other path is returned as it is.
func ModelIn(path string) string {
	if !IsFolder(path) {
		return path
	}
	for _, name := range []string{"model.onnx", filepath.Join(ONNXFolder, "model.onnx")} {
		file := filepath.Join(path, name)
		if info, err := os.Lstat(file); err == nil && !info.IsDir() { // a link to one too
			return file
		}
	}
	return path
}

// VerifyWeights begins to compare the weights beside a model with what it says
// of them. What was started beside it may go on; the answer comes with wait.
func VerifyWeights(path string, m *onnx.Model) (wait func() error, err error) {
	w, err := bundle.WeightsOf(path, m)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- w.Verify(context.Background()) }()
	return func() error { return <-done }, nil
}

// ReadFolder reads the checkpoint in a Hugging Face folder, whole or not at all.
// It says what it leaves out.
func ReadFolder(path string, tell Tell) (*model.Checkpoint, format.Rounding, error) {
	if err := verifyFolder(path); err != nil {
		return nil, format.Rounding{}, err
	}
	c, report, err := huggingface.Read(path)
	for _, note := range report.Notes {
		tell.Say(Warning, "%s", quote.Line(note, 2000))
	}
	return c, report.Rounding, err
}

// explained returns a better reason for a folder that holds no checkpoint: what it
// is instead, or what is to be named.
func explained(folder string, err error) error {
	switch {
	case !errors.Is(err, store.ErrNone):
		return err
	case huggingface.IsFolder(folder):
		return &KindError{File: folder, Kind: ModelFolder, Wanted: "a run's folder"}
	}
	return cmp.Or(huggingface.Explain(folder), fmt.Errorf("%w: name the folder of a run or of a model", err))
}

// NoCheckpoint is the error for a folder in which nothing was saved.
func NoCheckpoint(folder string) error {
	return explained(folder, fmt.Errorf("%s: %w", folder, store.ErrNone))
}

// verifyFolder compares the weights of a folder that export wrote with what its
// model says of them. A folder that another tool wrote says nothing.
func verifyFolder(path string) error {
	file := ModelIn(path)
	if file == path {
		return nil
	}
	m, err := ReadModel(file)
	if err != nil || m.Metadata[bundle.MetaWeightsSHA256] == "" {
		return nil // the checkpoint is what is asked for
	}
	w, err := bundle.WeightsOf(file, m)
	if err != nil {
		return err
	}
	w.Path = filepath.Join(path, huggingface.WeightsName) // of --web, the other name or the copy
	return w.Verify(context.Background())
}
