package find

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// ONNXFolder is the name of the folder of ONNX files in a Hugging Face folder.
const ONNXFolder = "onnx"

// ModelIn returns the path of the model in a folder that attnx exported, or
// that another tool wrote with the same names. It returns any other path
// unchanged.
func ModelIn(path string) string {
	if path = Held(path); !IsFolder(path) {
		return path
	}
	for _, name := range []string{"model.onnx", filepath.Join(ONNXFolder, "model.onnx")} {
		file := filepath.Join(path, name)
		if info, err := os.Lstat(file); err == nil && !info.IsDir() { // may be a link to one
			return file
		}
	}
	if len(TestSets(path)) > 0 { // the model has any name, as in ONNX's collection of models
		if files := entries(path, func(name string) bool { return strings.HasSuffix(name, ".onnx") }); len(files) == 1 {
			return files[0]
		}
	}
	return path
}

// TestSets returns the folders test_data_set_N in a folder, in the order of N. They
// hold recorded inputs and outputs of its model, as ONNX's tests do.
func TestSets(folder string) []string {
	number := func(path string) int {
		digits, is := strings.CutPrefix(filepath.Base(path), "test_data_set_")
		n, err := strconv.Atoi(digits)
		if !is || err != nil || n < 0 {
			return -1
		}
		return n
	}
	sets := entries(folder, func(name string) bool { return number(name) >= 0 && IsFolder(filepath.Join(folder, name)) })
	slices.SortFunc(sets, func(a, b string) int { return number(a) - number(b) })
	return sets
}

// entries returns the paths in a folder whose names are wanted.
func entries(folder string, wanted func(name string) bool) (paths []string) {
	all, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	for _, e := range all {
		if wanted(e.Name()) {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths
}

// TestedIn returns the path of the ONNX file in a folder that holds no checkpoint, or
// recorded inputs and outputs beside the file. It returns any other path unchanged.
func TestedIn(path string) string {
	if !IsFolder(path) {
		return path
	}
	if kind := kindOfFolder(path); kind == OtherFolder || len(TestSets(path)) > 0 {
		return ModelIn(path)
	}
	return path
}

// VerifyWeights starts to compare the external weights of a model with the
// digests in the model. It runs in the background; wait returns its result.
func VerifyWeights(path string, m *onnx.Model) (wait func() error, err error) {
	w, err := bundle.WeightsOf(path, m)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- w.Verify(context.Background()) }()
	return func() error { return <-done }, nil
}

// ReadFolder reads the checkpoint in a Hugging Face folder, completely or not
// at all. It reports to tell which files it ignores.
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

// explained adds to the error for a folder without a checkpoint what the
// folder is instead, or which path to name.
func explained(folder string, err error) error {
	switch {
	case !errors.Is(err, store.ErrNone):
		return err
	case huggingface.IsFolder(folder):
		return &KindError{File: folder, Kind: ModelFolder, Wanted: "a run's folder"}
	}
	return cmp.Or(huggingface.Explain(folder), fmt.Errorf("%w: name the folder of a run or of a model", err))
}

// NoCheckpoint returns the error for a run's folder without a checkpoint.
func NoCheckpoint(folder string) error {
	return explained(folder, fmt.Errorf("%s: %w", folder, store.ErrNone))
}

// verifyFolder compares the weights of an exported folder with the digests in
// its model. A folder of another tool has no digests to compare.
func verifyFolder(path string) error {
	file := ModelIn(path)
	if file == path {
		return nil
	}
	m, err := ReadModel(file)
	if err != nil || m.Metadata[bundle.MetaWeightsSHA256] == "" {
		return nil // the caller reads only the checkpoint
	}
	w, err := bundle.WeightsOf(file, m)
	if err != nil {
		return err
	}
	w.Path = filepath.Join(path, huggingface.WeightsName) // in a --web folder, the second name or the copy
	return w.Verify(context.Background())
}
