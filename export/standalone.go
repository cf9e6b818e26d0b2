package export

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// Standalone reports whether the file at path is a model that File wrote, with
// all its weights in it: exporting again replaces nothing but itself. A file
// that cannot be read is none.
func Standalone(path string) bool {
	o, err := onnx.ReadOutline(path)
	return err == nil && o.Producer == producer && slices.Contains(o.Metadata, MetaFingerprint) && len(o.Data) == 0
}
