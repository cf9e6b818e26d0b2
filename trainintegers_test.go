package attnx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime/ref"
)

// integerFiles are the files with integer weights of ONNX Runtime's quantizers, which
// fixtures/oracle/train_integers.py wrote.
var integerFiles = []string{"dynamic", "channels", "qdq", "int4", "int8"}

// withMatrices returns the model of a file with the adapter of adapter.npz.
func withMatrices(dir string) *model.Checkpoint {
	var about struct {
		Rank  int
		Scale float64
	}
	check(json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "loss.json"))), &about))
	r := must(read.Model(must(onnx.DecodeFile(filepath.Join(dir, "model.onnx"))), read.Options{Training: true}))
	c := &model.Checkpoint{Arch: "onnx-file", Graph: r.Graph, Weights: model.Weights(r.Weights).Clone()}
	c = must(c.WithLoRA(about.Rank, about.Scale*float64(about.Rank), []string{"*"}, 1))
	given := arrays(filepath.Join(dir, "adapter.npz"))
	for i, w := range c.Weights {
		if key := adapterKey(c, w.Name); key != "" {
			c.Weights[i] = given[key].WithName(w.Name)
		}
	}
	return c
}

// adapterKey returns the name in adapter.npz of a matrix of an adapter: the sizes of the
// product and the part.
func adapterKey(c *model.Checkpoint, name string) string {
	for _, w := range c.LoRA.Targets {
		a, b := c.LoRA.Names(w)
		in, out := c.Graph.Lookup(a).Shape[1], c.Graph.Lookup(b).Shape[0]
		switch name {
		case a:
			return fmt.Sprintf("%s.%s.A", in, out)
		case b:
			return fmt.Sprintf("%s.%s.B", in, out)
		}
	}
	return ""
}

// The gradients of an adapter over integers are PyTorch's, in the oracle and in ONNX
// Runtime, for weights that are dequantized and for products in integers.
func TestAdapterOverIntegersAsPyTorch(t *testing.T) {
	for _, name := range integerFiles {
		dir := filepath.Join("fixtures", "train_integers", name)
		c := withMatrices(dir)
		if len(c.LoRA.Targets) != 3 {
			t.Fatalf("%s: an adapter of %q", name, c.LoRA.Targets)
		}
		var want struct{ Loss float64 }
		check(json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "loss.json"))), &want))
		c.Graph = must(must(model.LossFor(c.Graph, model.CrossEntropy, "")).Attach(c.Graph))
		data, given := arrays(filepath.Join(dir, "data.npz")), arrays(filepath.Join(dir, "adapter.npz"))
		var names []string
		for _, w := range c.Weights {
			if adapterKey(c, w.Name) != "" {
				names = append(names, w.Name)
			}
		}
		compare := func(by string, loss float64, gradient func(name string) []float64) {
			if d := furthest([]float64{loss}, []float64{want.Loss}); !(d <= 1e-5) {
				t.Errorf("%s, %s: the loss is %g, PyTorch's %g", name, by, loss, want.Loss)
			}
			for _, w := range names {
				y := must(given[adapterKey(c, w)+".grad"].AsFloat64s())
				if d, size := furthest(gradient(w), y), furthest(y, make([]float64, len(y))); !(d <= 1e-4*size) || size == 0 {
					t.Errorf("%s, %s: the gradient of %s is %g from PyTorch's, of size %g", name, by, w, d, size)
				}
			}
		}

		labels := data["labels"].WithName(role.Labels.Name())
		o := must(ref.New(must(model.StepOf(c.Graph, map[string]int{"batch": 4}, names)), c.Weights))
		out := must(o.Run(map[string]format.Tensor{"words": data["words"], labels.Name: labels}))
		check(o.Close())
		compare("oracle", must(out[role.Loss.Name()].AsFloat64s())[0], func(w string) []float64 { return must(out[role.GradientOf(w).Name()].AsFloat64s()) })

		e, _, err := attnx.OpenEngine("ort", c, attnx.EngineOptions{})
		if err != nil {
			t.Logf("without ONNX Runtime: %v", err)
			continue
		}
		grads, at := []format.Tensor{}, map[string]int{}
		for _, w := range c.Weights {
			if key := adapterKey(c, w.Name); key != "" {
				at[w.Name] = len(grads)
				grads = append(grads, format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements())))
			}
		}
		batch := train.Batch{}
		for i, in := range c.Graph.Inputs {
			x := data["words"]
			if in.Role().Kind == role.Labels {
				x = labels
			}
			batch[train.KindOf(c.Graph, i)] = x
		}
		loss, err := e.Step(c.Weights, batch, grads)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			compare("ort", loss, func(w string) []float64 { return must(grads[at[w]].AsFloat64s()) })
		}
		check(e.Close())
	}
}

// overFile trains an adapter over a file with integer weights, on labelled examples.
func overFile(t *testing.T, file string, change func(*attnx.TrainOptions)) (*attnx.TrainResult, error) {
	t.Helper()
	rows := ""
	for i := range 24 {
		rows += fmt.Sprintf("{\"words\":[%d,%d,%d,%d,%d,%d],\"labels\":%d}\n", i, (7*i+3)%24, i*i%24, (5*i)%24, (i/2+9)%24, 11*i%24, i*i%5)
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	check(os.WriteFile(path, []byte(rows), 0o666))
	settings := train.DefaultOptions(6)
	settings.Batch, settings.LR, settings.MinLR, settings.SaveEvery = 4, 3e-2, 3e-3, 100
	o := attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "run"), Init: file, Loss: model.CrossEntropy, LoRA: 2,
		Data: attnx.Corpus{Files: []string{path}}, Settings: settings, Engine: "ort",
	}
	change(&o)
	return attnx.Train(t.Context(), o)
}

// An adapter over the integers of a file learns, leaves them as they are, resumes to the
// bit, and is exported beside them. It cannot be added to them, and a file whose products
// are rounded to integers again has no place for one.
func TestTrainOverIntegersOfFile(t *testing.T) {
	if _, _, err := attnx.OpenEngine("ort", wholeBlocks(), attnx.EngineOptions{}); err != nil {
		t.Skipf("without ONNX Runtime: %v", err)
	}
	for _, name := range integerFiles {
		file, said := filepath.Join("fixtures", "train_integers", name, "model.onnx"), ""
		resumed := ""
		whole := must(overFile(t, file, func(o *attnx.TrainOptions) {
			o.Events.Tell = func(_ attnx.Level, line string) { said += line + "\n" }
			ctx, stop := context.WithCancel(t.Context())
			halted := *o
			halted.Out += "2"
			halted.Events.Step = func(m attnx.Metric) {
				if m.Step == 3 {
					stop()
				}
			}
			if _, err := attnx.Train(ctx, halted); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			resumed = must(attnx.Resume(t.Context(), halted.Out, attnx.ResumeOptions{})).Checkpoint
		}))
		if !bytes.Equal(must(os.ReadFile(whole.Checkpoint)), must(os.ReadFile(resumed))) {
			t.Errorf("%s: the resumed run ended with other bytes", name)
		}
		if rounds := name != "int4" && name != "int8"; strings.Contains(said, "straight-through") != rounds {
			t.Errorf("%s: said is %q", name, said)
		}
		c, old := must(model.Load(whole.Checkpoint)), must(read.Model(must(onnx.DecodeFile(file)), read.Options{Training: true}))
		kept := map[string][]byte{}
		for _, w := range c.Weights {
			kept[w.Name] = w.Data
		}
		for _, w := range old.Weights {
			if !bytes.Equal(kept[w.Name], w.Data) {
				t.Errorf("%s: %s changed", name, w.Name)
			}
		}
		ids := format.FromInt64s("words", []int{2, 6}, []int64{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8})
		o := must(ref.New(c.Graph, c.Weights))
		want := must(must(o.Run(map[string]format.Tensor{"words": ids}))["logits"].AsFloat64s())
		check(o.Close())
		to := filepath.Join(t.TempDir(), "with.onnx")
		must(attnx.Export(t.Context(), whole.Run, to, attnx.ExportOptions{}))
		x := must(attnx.OpenONNX(to, attnx.Options{Runtime: "ort"}))
		got := must(must(x.Run(map[string]format.Tensor{"words": ids}))[0].AsFloat64s())
		check(x.Close())
		if d := furthest(got, want); !(d <= 1e-4) {
			t.Errorf("%s: exported, the logits are %g from those of the run", name, d)
		}
		for to, o := range map[string]attnx.ConvertOptions{"m.safetensors": {Merge: true}, "m.onnx": {Like: file}} {
			if _, err := attnx.Convert(whole.Run, filepath.Join(t.TempDir(), to), o); err == nil || !strings.Contains(err.Error(), "no adapter can be added: "+attnx.KeepApart) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := overFile(t, file, func(o *attnx.TrainOptions) { o.LoRA = 0 }); !errors.Is(err, attnx.ErrIntegerWeights) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Without patterns the head is not adapted, whatever form its integers have.
func TestHeadOverIntegers(t *testing.T) {
	for _, name := range integerFiles {
		r := must(read.Model(must(onnx.DecodeFile(filepath.Join("fixtures", "train_integers", name, "model.onnx"))), read.Options{Training: true}))
		for i, o := range r.Graph.Outputs {
			if o.Name == role.Logits.Name() {
				r.Graph.Outputs[i].Role = role.Of(role.Logits)
			}
		}
		c := must((&model.Checkpoint{Arch: "onnx-file", Graph: r.Graph, Weights: r.Weights}).WithLoRA(2, 4, nil, 1))
		if len(c.LoRA.Targets) != 2 || strings.Contains(strings.Join(c.LoRA.Targets, " "), "head") {
			t.Errorf("%s: %q", name, c.LoRA.Targets)
		}
	}
}

// integersFile writes a file that multiplies words, looked up in a table, as the nodes say.
func integersFile(t *testing.T, opset int64, nodes []*onnx.Node, with ...*onnx.Tensor) string {
	float := func(name string, dims ...int64) *onnx.Tensor {
		n := int64(4)
		for _, d := range dims {
			n *= d
		}
		return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims, Raw: bytes.Repeat([]byte{0, 0, 0, 0x3f}, int(n)/4)}
	}
	dims := func(last int64) []onnx.Dim { return []onnx.Dim{{Open: true, Param: "batch"}, {Value: last}} }
	m := &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: opset}, {Domain: "com.microsoft", Version: 1}}, Graph: &onnx.Graph{
		Name: "g", Nodes: nodes, Initializers: append(with, float("s")),
		Inputs: []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: dims(8)}}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, Dims: dims(4)}},
	}}
	var b bytes.Buffer
	check(m.Encode(&b))
	path := filepath.Join(t.TempDir(), "model.onnx")
	check(os.WriteFile(path, b.Bytes(), 0o666))
	return path
}

// overNumbers trains an adapter of such a file on a table of numbers.
func overNumbers(t *testing.T, file string, change func(*attnx.TrainOptions)) (*attnx.TrainResult, error) {
	rows := ""
	for i := range 24 {
		rows += fmt.Sprintf("{\"x\":[%d,1,2,-3,0,1,2,%d],\"labels\":%d}\n", i%5, i%3, i%4)
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	check(os.WriteFile(path, []byte(rows), 0o666))
	return overFile(t, file, func(o *attnx.TrainOptions) {
		o.Data.Files = []string{path}
		o.Settings.Steps = 2
		change(o)
	})
}

// An adapter has no place where products are rounded to integers again; the run says so, and
// nothing before.
func TestAdapterBesideRoundedProducts(t *testing.T) {
	zero := &onnx.Tensor{Name: "z", DataType: onnx.Uint8, Raw: []byte{128}}
	w := &onnx.Tensor{Name: "w", DataType: onnx.Uint8, Dims: []int64{8, 4}, Raw: bytes.Repeat([]byte{100, 140}, 16)}
	file := integersFile(t, 17, []*onnx.Node{
		{Op: "QuantizeLinear", Inputs: []string{"x", "s", "z"}, Outputs: []string{"q"}},
		{Op: "QLinearMatMul", Inputs: []string{"q", "s", "z", "w", "s", "z", "s", "z"}, Outputs: []string{"p"}},
		{Op: "DequantizeLinear", Inputs: []string{"p", "s", "z"}, Outputs: []string{"y"}},
	}, zero, w)
	told := ""
	_, err := overNumbers(t, file, func(o *attnx.TrainOptions) {
		o.Events.Tell = func(_ attnx.Level, line string) { told += line + "\n" }
	})
	if err == nil || !strings.Contains(err.Error(), "rounded to integers again") || strings.Contains(told, "straight-through") {
		t.Errorf("%v\n%s", err, told)
	}
}

// Integers of 4 bits, as ONNX Runtime's MatMulNBitsQuantizer writes them with QDQ, are kept in
// 8, and the run computes what the file computes.
func TestAdapterOverINT4(t *testing.T) {
	w := &onnx.Tensor{Name: "w", DataType: onnx.Int4, Dims: []int64{8, 4}, Raw: bytes.Repeat([]byte{0x1f, 0x7a, 0x80}, 6)[:16]}
	file := integersFile(t, 21, []*onnx.Node{
		{Op: "DequantizeLinear", Inputs: []string{"w", "s"}, Outputs: []string{"wide"}},
		{Op: "MatMul", Inputs: []string{"x", "wide"}, Outputs: []string{"y"}},
	}, w)
	run := must(overNumbers(t, file, func(o *attnx.TrainOptions) { o.LoRATargets = []string{"*"} }))
	c := must(model.Load(run.Checkpoint))
	for i, w := range c.Weights { // without the adapter's change
		if strings.HasSuffix(w.Name, ".lora_B.weight") {
			c.Weights[i] = format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements()))
		}
	}
	in := map[string]format.Tensor{"x": format.FromFloat32s("x", []int{1, 8}, []float32{1, -2, 3, 4, 5, 6, 7, 8})}
	o := must(ref.New(c.Graph, c.Weights))
	defer o.Close()
	got := must(must(o.Run(in))["y"].AsFloat64s())
	plain := must(read.Model(must(onnx.DecodeFile(file)), read.Options{}))
	p := must(ref.New(plain.Graph, plain.Weights))
	defer p.Close()
	if want := must(must(p.Run(in))["y"].AsFloat64s()); furthest(got, want) > 0 || furthest(want, make([]float64, 4)) == 0 {
		t.Errorf("over 4 bits %v, the file has %v", got, want)
	}
}

// ONNX Runtime's LSTM with integer weights rounds its factors, without a gradient: the run is
// refused with the remedy, with an adapter too.
func TestTrainQuantizedLSTM(t *testing.T) {
	bytesOf := func(name string, dims ...int64) *onnx.Tensor {
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		return &onnx.Tensor{Name: name, DataType: onnx.Uint8, Dims: dims, Raw: bytes.Repeat([]byte{120}, int(n))}
	}
	scale := &onnx.Tensor{Name: "s1", DataType: onnx.Float, Dims: []int64{1}, Raw: []byte{0, 0, 0, 0x3d}}
	axis := &onnx.Tensor{Name: "axis", DataType: onnx.Int64, Dims: []int64{1}, Raw: make([]byte, 8)}
	file := integersFile(t, 17, []*onnx.Node{
		{Op: "Unsqueeze", Inputs: []string{"x", "axis"}, Outputs: []string{"seq"}},
		{Op: "DynamicQuantizeLSTM", Domain: "com.microsoft", Inputs: []string{"seq", "w", "r", "", "", "", "", "", "s1", "z", "s1", "z"}, Outputs: []string{"", "h"},
			Attributes: []onnx.Attribute{{Name: "hidden_size", Type: onnx.AttrInt, Int: 4}}},
		{Op: "Squeeze", Inputs: []string{"h", "axis"}, Outputs: []string{"y"}},
	}, bytesOf("w", 1, 8, 16), bytesOf("r", 1, 4, 16), bytesOf("z", 1), scale, axis)
	for rank := range 2 {
		_, err := overNumbers(t, file, func(o *attnx.TrainOptions) { o.LoRA = rank })
		if err == nil || !strings.Contains(err.Error(), "RoundTo8Bits rounds") || !strings.Contains(err.Error(), attnx.QuantizeInit) {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
}
