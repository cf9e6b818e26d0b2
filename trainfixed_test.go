package attnx_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

// A file that was exported for a batch of one size trains with that batch, as the same
// file with an open one does, and names it if another is asked for.
func TestTrainFixedBatch(t *testing.T) {
	at := t.TempDir()
	weight := func(name string, dims ...int64) *onnx.Tensor {
		x := make([]float32, dims[0]*dims[1])
		model.NewStream(1, name).FillNormal(x, 0.5)
		return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims, Raw: format.FromFloat32s("", []int{len(x)}, x).Data}
	}
	attribute := func(name string, of onnx.Attribute) onnx.Attribute { of.Name = name; return of }
	write := func(name string, batch onnx.Dim) string {
		m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{
			Name: "g", Initializers: []*onnx.Tensor{weight("table", 9, 5), weight("w", 5, 3)},
			Nodes: []*onnx.Node{
				{Op: "Gather", Inputs: []string{"table", "words"}, Outputs: []string{"rows"}},
				{Op: "ReduceMean", Inputs: []string{"rows"}, Outputs: []string{"mean"}, Attributes: []onnx.Attribute{
					attribute("axes", onnx.Attribute{Type: onnx.AttrInts, Ints: []int64{1}}), attribute("keepdims", onnx.Attribute{Type: onnx.AttrInt}),
				}},
				{Op: "MatMul", Inputs: []string{"mean", "w"}, Outputs: []string{"logits"}},
			},
			Inputs:  []onnx.ValueInfo{{Name: "words", DataType: onnx.Int64, Dims: []onnx.Dim{batch, {Value: 6}}}},
			Outputs: []onnx.ValueInfo{{Name: "logits", DataType: onnx.Float, Dims: []onnx.Dim{batch, {Value: 3}}}},
		}}
		var b bytes.Buffer
		check(m.Encode(&b))
		path := filepath.Join(at, name)
		check(os.WriteFile(path, b.Bytes(), 0o666))
		return path
	}
	fixed, open := write("fixed.onnx", onnx.Dim{Value: 4}), write("open.onnx", onnx.Dim{Open: true, Param: "n"})
	ids, labels := make([]int64, 30*6), make([]int64, 30)
	for i := range ids {
		ids[i], labels[i/6] = int64(i*i%9), int64(i*i%9%3)
	}
	data := filepath.Join(at, "d.npz")
	check(os.WriteFile(data, npz(map[string]format.Tensor{"words": format.FromInt64s("words", []int{30, 6}, ids), "labels": format.FromInt64s("labels", []int{30}, labels)}), 0o666))
	var halted attnx.TrainOptions
	run := func(file string, batch int) (*attnx.TrainResult, error) {
		return tuned(t, at, func(o *attnx.TrainOptions) {
			o.Init, o.Loss, o.Data.Files, o.Settings.Steps, o.Settings.Batch, o.Settings.EvalEvery = file, model.CrossEntropy, []string{data}, 6, batch, 2
			halted = *o
		})
	}
	want, got := must(run(open, 4)), must(run(fixed, 4))
	if got.Model.Weights.Hash() != want.Model.Weights.Hash() || *got.History[5].ValLoss != *want.History[5].ValLoss {
		t.Error("with its own batch the file ends with other weights than with an open one")
	}
	halted.Out = filepath.Join(t.TempDir(), "halted")
	stoppedAt(t, halted, 3)
	if again := lastOf(attnx.Resume(t.Context(), halted.Out, attnx.ResumeOptions{})); again.Weights.Hash() != want.Model.Weights.Hash() {
		t.Error("the resumed run ends with other weights")
	}
	_, err := run(fixed, 8)
	if e := (*attnx.Error)(nil); !errors.As(err, &e) || e.Option != "Batch" || !strings.Contains(err.Error(), "fixed.onnx: its input \"words\" has the shape (4,6): the file computes 4 at once, so take 4") {
		t.Error(err)
	}
}
