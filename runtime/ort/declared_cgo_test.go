//go:build cgo

package ort

import (
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

// TestDeclaredAgrees holds the reader against ONNX Runtime's own reading.
func TestDeclaredAgrees(t *testing.T) {
	session(t, embedModel(), Options{}) // the library is loaded
	for _, m := range []testModel{
		embedModel(),
		addModel(protoDouble, "N", "3"),
		addModel(protoInt32, "1"),
	} {
		in, out, err := ort.GetInputOutputInfoWithONNXData(m.bytes())
		if err != nil {
			t.Fatal(err)
		}
		s, err := readDeclared(m.bytes())
		if err != nil {
			t.Fatal(err)
		}
		check := func(got []runtime.Value, want []ort.InputOutputInfo) {
			t.Helper()
			if len(got) != len(want) {
				t.Fatalf("%s; ONNX Runtime counts %d", declared.List(got), len(want))
			}
			for i, w := range want {
				v := got[i]
				if v.Name != w.Name || elementNumber(v.DType) != w.DataType || len(v.Shape) != len(w.Dimensions) {
					t.Errorf("%s; ONNX Runtime says %s", v, &w)
					continue
				}
				for j, d := range w.Dimensions {
					if named := v.Shape[j].Name != ""; named != (d == -1) || !named && int64(v.Shape[j].Size) != d {
						t.Errorf("%s; ONNX Runtime says %s", v, &w)
					}
				}
			}
		}
		check(s.Inputs, in)
		check(s.Outputs, out)
	}
}
