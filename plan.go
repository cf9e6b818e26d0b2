package attnx

import (
	"errors"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/internal/find"
)

// Plan reports where ONNX Runtime with CUDA would run the nodes of an ONNX file
// of any tool. It runs nothing. file is the model file at the path.
func Plan(path string) (file string, plan *placement.Report, err error) {
	file = find.ModelIn(path)
	if _, err := find.Expect(file, "an ONNX file", find.ONNX); err != nil {
		return file, nil, err
	}
	m, err := find.ReadModelAs(file, onnx.CheckStructure)
	if err != nil {
		return file, nil, err
	}
	plan, err = placement.Plan(m)
	if unsupported := new(onnx.UnsupportedError); errors.As(err, &unsupported) {
		unsupported.File = file
	}
	return file, plan, err
}
