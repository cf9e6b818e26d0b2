package find

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// RefusePointer returns an error if a regular file is a Git LFS pointer. It
// leaves other faults to the code that opens the file.
func RefusePointer(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > format.MaxLFSPointer {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, info.Size())
	if _, err := io.ReadFull(f, head); err != nil || !format.IsLFSPointer(head) {
		return nil
	}
	return fmt.Errorf("%s: %s", path, format.LFSPointer)
}

// ReadModel reads an ONNX file. Its error names a Git LFS pointer in place of
// the file or of its external data.
func ReadModel(path string) (*onnx.Model, error) { return ReadModelAs(path, onnx.Check) }

// ReadModelAs is ReadModel with another check.
func ReadModelAs(path string, check func(m *onnx.Model, dir string) error) (*onnx.Model, error) {
	if err := RefusePointer(path); err != nil {
		return nil, err
	}
	m, err := onnx.ReadFileAs(path, check)
	if bad := new(onnx.FormatError); errors.As(err, &bad) && bad.External != "" {
		if err := RefusePointer(filepath.Join(filepath.Dir(path), filepath.FromSlash(bad.External))); err != nil {
			return nil, err
		}
	}
	return m, err
}

// WeightTypes lists the types that a weight may have.
var WeightTypes = map[onnx.DataType]format.DType{
	onnx.Float: format.Float32, onnx.Double: format.Float64, onnx.Float16: format.Float16, onnx.BFloat16: format.BFloat16,
}
