package placement

import (
	"bytes"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// FuzzPlan plans whatever file passes the checker: an answer or an error, and
// every node in one place.
func FuzzPlan(f *testing.F) {
	for _, m := range []*onnx.Model{ // one that is clean, one whose sizes are computed
		model(21, nil, node("MatMul x y -> a"), microsoft(node("FastGelu a -> b"))),
		model(21, []*onnx.Tensor{vector("four", 1)}, node("Shape x -> rows"), node("Concat rows four -> shape", onnx.IntAttr("axis", 0)), node("Reshape x shape -> z")),
	} {
		var b bytes.Buffer
		if err := m.Encode(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Decode(data)
		if err != nil || onnx.CheckStructure(m, "") != nil {
			t.Skip()
		}
		r, err := Plan(m)
		if err != nil {
			return
		}
		if r.CUDA+r.CPU+r.Other != len(r.Nodes) {
			t.Errorf("%d on CUDA, %d on the CPU, %d elsewhere, of %d nodes", r.CUDA, r.CPU, r.Other, len(r.Nodes))
		}
	})
}
