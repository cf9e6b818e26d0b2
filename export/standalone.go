package export

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// Standalone reports whether the file at path is a model that File wrote and
// that contains all its weights, so that exporting again replaces only itself.
// It is false for an unreadable file.
func Standalone(path string) bool {
	o, err := onnx.ReadOutline(path)
	return err == nil && o.Producer == producer && slices.Contains(o.Metadata, MetaFingerprint) && len(o.Data) == 0
}
