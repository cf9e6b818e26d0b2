package onnx_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// tensorFile returns a file with one tensor.
func tensorFile(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := (&onnx.Tensor{Name: "x", DataType: onnx.Float, Dims: []int64{2, 2}, Raw: make([]byte, 16)}).Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A file with one tensor is read, or refused by an error: where it is cut, and with each
// byte changed in each bit, so that elements are missing, twice or of another type.
func TestDecodeTensorSpoiled(t *testing.T) {
	whole := tensorFile(t)
	if _, err := onnx.DecodeTensor(whole); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for at := range whole {
		spoiled := [][]byte{whole[:at]}
		for bit := range 8 {
			changed := slices.Clone(whole)
			changed[at] ^= 1 << bit
			spoiled = append(spoiled, changed)
		}
		for _, data := range spoiled {
			if _, err := onnx.DecodeTensor(data); err != nil {
				refused++
			}
		}
	}
	if refused < 30 {
		t.Errorf("only %d are refused", refused)
	}
}

// FuzzDecodeTensor: no file makes the decoder panic.
func FuzzDecodeTensor(f *testing.F) {
	f.Add(tensorFile(f))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = onnx.DecodeTensor(data) })
}
