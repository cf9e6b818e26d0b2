package attnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

// Parameters of one element are trained, constants and moments of one element are not,
// and the file that is written differs in initializers only.
func TestTrainSingles(t *testing.T) {
	dir := torchFiles(t)
	for name, constants := range map[string][]string{"singles": {"norm.running_mean", "norm.running_var"}, "singles_dynamo": {"norm.running_mean", "norm.running_var", "val_13", "val_14"}} {
		at := filepath.Join(dir, name)
		file, to := filepath.Join(at, "model.onnx"), filepath.Join(t.TempDir(), "tuned.onnx")
		r := must(tuned(t, dir, func(o *attnx.TrainOptions) {
			o.Init, o.Loss, o.Data.Files, o.Settings.Batch = file, model.CrossEntropy, []string{filepath.Join(at, "data.npz")}, 5
			o.Settings.Epochs, o.Settings.Steps, o.Settings.WeightDecay = 2, 0, 0
		}))
		must(attnx.Convert(r.Run, to, attnx.ConvertOptions{Like: file}))
		old, now := must(onnx.DecodeFile(file)), must(onnx.DecodeFile(to))
		for i, x := range now.Graph.Initializers {
			was := old.Graph.Initializers[i]
			constant := x.DataType != onnx.Float
			for _, c := range constants {
				constant = constant || c == x.Name
			}
			same := bytes.Equal(must(x.Load(at)), must(was.Load(at)))
			if same != constant {
				t.Errorf("%s: initializer %s %v: it stayed: %t", name, x.Name, x.Dims, same)
			}
			*x = *was
		}
		var before, after bytes.Buffer
		check(old.Encode(&before))
		check(now.Encode(&after))
		if !bytes.Equal(before.Bytes(), after.Bytes()) {
			t.Errorf("%s: more than initializers differ", name)
		}
	}
}

// Where a file does not show whether a number is learned, it says so, and a pattern trains it.
func TestTrainDoubtful(t *testing.T) {
	at := t.TempDir()
	one := func(name string, x float32, shape ...int64) *onnx.Tensor {
		return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: shape, Raw: format.FromFloat32s("", []int{1}, []float32{x}).Data}
	}
	w := &onnx.Tensor{Name: "w", DataType: onnx.Float, Dims: []int64{2, 1}, Raw: format.FromFloat32s("", []int{2}, []float32{0.5, -0.3}).Data}
	node := func(op, out string, in ...string) *onnx.Node {
		return &onnx.Node{Op: op, Inputs: in, Outputs: []string{out}}
	}
	batch := func(n int64) []onnx.Dim { return []onnx.Dim{{Open: true, Param: "n"}, {Value: n}} }
	m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{
		Name: "g", Initializers: []*onnx.Tensor{w, one("bias", 0.1, 1), one("rezero", 0.3), one("root", 1.4), one("exponent", 1)},
		Nodes: []*onnx.Node{
			node("MatMul", "a", "x", "w"), node("Add", "b", "a", "bias"), node("Mul", "c", "b", "rezero"), node("Div", "d", "c", "root"), node("Pow", "y", "d", "exponent"),
		},
		Inputs: []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: batch(2)}}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, Dims: batch(1)}},
	}}
	file, data := filepath.Join(at, "model.onnx"), filepath.Join(at, "d.csv")
	check(os.WriteFile(data, []byte("a,b,y\n1,2,3\n2,1,0\n0,1,2\n3,1,1\n"), 0o666))
	write := func() {
		var b bytes.Buffer
		check(m.Encode(&b))
		check(os.WriteFile(file, b.Bytes(), 0o666))
	}
	write()
	trained := func(freeze ...string) (names, told string) {
		r := must(tuned(t, at, func(o *attnx.TrainOptions) {
			o.Init, o.Loss, o.Data.Files, o.Settings.Steps, o.Settings.Freeze = file, model.SquaredError, []string{data}, 2, freeze
			o.Events.Tell = func(_ attnx.Level, line string) { told += line + "\n" }
		}))
		was := must(read.Model(m, read.Options{Training: true, Learned: map[string]bool{"rezero": true, "root": true, "exponent": true}}))
		for _, x := range r.Model.Weights {
			for _, old := range was.Weights {
				if x.Name == old.Name && !bytes.Equal(x.Data, old.Data) {
					names += " " + x.Name
				}
			}
		}
		return names, told
	}
	if names, told := trained(); names != " w bias" || !strings.Contains(told, `3 numbers that may be parameters or constants, such as "exponent": `+attnx.ThawNumber) {
		t.Errorf("trained%s: %s", names, told)
	}
	if names, told := trained("!rezero"); names != " w bias rezero" || !strings.Contains(told, "2 numbers that may be") {
		t.Errorf("trained%s: %s", names, told)
	}
	// With its constants in nodes, the file shows what is one.
	m.Graph.Initializers = m.Graph.Initializers[:3]
	for name, x := range map[string]float32{"root": 1.4, "exponent": 1} {
		m.Graph.Nodes = append([]*onnx.Node{{Op: "Constant", Outputs: []string{name}, Attributes: []onnx.Attribute{{Name: "value_float", Type: onnx.AttrFloat, Float: x}}}}, m.Graph.Nodes...)
	}
	write()
	if names, told := trained(); names != " w bias rezero" || strings.Contains(told, "may be parameters") {
		t.Errorf("trained%s: %s", names, told)
	}
}
