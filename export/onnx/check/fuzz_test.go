package check

import (
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// FuzzFull checks whatever can be decoded: an answer, and what is refused by the
// basic check is refused by the full one.
func FuzzFull(f *testing.F) {
	for _, v := range readVerdicts(f, filepath.Join("testdata", "verdicts.json")).Files {
		f.Add(v.Model)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Decode(data)
		if err != nil {
			t.Skip()
		}
		if len(Basic(m, "")) > 0 && len(Full(m, "")) == 0 {
			t.Error("the full check accepts what the basic one refuses")
		}
		if onnx.CheckStructure(m, "") == nil {
			Contradictions(m, schema.Lookup)
		}
		infer(m)
	})
}
