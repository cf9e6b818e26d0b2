package read_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
)

// The ONNX files that ATTNX_ONNX names, and those in the folders that it names, are
// read, or refused with an error of this package's. What is missing is logged.
func TestFiles(t *testing.T) {
	places := filepath.SplitList(os.Getenv("ATTNX_ONNX"))
	if len(places) == 0 {
		t.Skip("set ATTNX_ONNX to ONNX files, or folders of them, to read these")
	}
	for _, place := range places {
		err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".onnx") {
				t.Run(path, func(t *testing.T) { readFile(t, path) })
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func readFile(t *testing.T, path string) {
	m, err := onnx.DecodeFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	lacks := read.Missing(m)
	for _, name := range slices.Sorted(maps.Keys(lacks)) {
		missing = append(missing, fmt.Sprintf("%s %d", name, lacks[name]))
	}
	r, err := read.Model(m, read.Options{Dir: filepath.Dir(path)})
	var unsupported *read.UnsupportedError
	var open *read.OpenError
	switch {
	case err == nil:
		t.Logf("read: %d nodes become %d", len(m.Graph.Nodes), len(r.Graph.Nodes))
	case errors.As(err, &unsupported) || errors.As(err, &open):
		t.Logf("refused: %v", err)
	default:
		t.Error(err)
	}
	if len(missing) > 0 {
		t.Logf("missing: %s", strings.Join(missing, ", "))
	}
}
