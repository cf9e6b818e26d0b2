package attnx_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// counting is a device whose memory is Go's and whose programs the oracle runs. It
// counts the bytes that go there and come back.
type counting struct {
	graph    *graph.Graph
	in, out  map[string]format.Tensor
	up, down *int
}

func countingDevice(up, down *int) func(*graph.Graph) (train.Placed, error) {
	return func(g *graph.Graph) (train.Placed, error) {
		return &counting{graph: g, in: map[string]format.Tensor{}, out: map[string]format.Tensor{}, up: up, down: down}, nil
	}
}

func (d *counting) value(name string) *graph.Value {
	for _, v := range append(append([]*graph.Value{}, d.graph.Inputs...), d.graph.Params...) {
		if v.Name == name {
			return v
		}
	}
	return nil
}

func (d *counting) Takes(input string) bool             { return d.value(input) != nil }
func (d *counting) Alloc(n int) (train.Block, error)    { return make([]byte, n), nil }
func (d *counting) Close() error                        { return nil }
func (d *counting) Write(b train.Block, x []byte) error { *d.up += copy(b.([]byte), x); return nil }
func (d *counting) Read(b train.Block, x []byte) error  { *d.down += copy(x, b.([]byte)); return nil }

func (d *counting) BindInput(name string, b train.Block, shape []int) error {
	d.in[name] = format.Tensor{Name: name, DType: d.value(name).DType, Shape: shape, Data: b.([]byte)}
	return nil
}

func (d *counting) BindOutput(name string, b train.Block, shape []int) error {
	d.out[name] = format.Tensor{Name: name, DType: format.Float32, Shape: shape, Data: b.([]byte)}
	return nil
}

func (d *counting) Run() error {
	var weights []format.Tensor
	inputs := map[string]format.Tensor{}
	for _, p := range d.graph.Params {
		weights = append(weights, d.in[p.Name])
	}
	for _, v := range d.graph.Inputs {
		inputs[v.Name] = d.in[v.Name]
	}
	o, err := ref.New(d.graph, weights)
	if err != nil {
		return err
	}
	defer o.Close()
	got, err := o.Run(inputs)
	if err != nil {
		return err
	}
	for name, t := range d.out {
		wide, _, err := got[name].Convert(format.Float32)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		copy(t.Data, wide.Data)
	}
	return nil
}

// givenUpdates is an engine with a device that takes its batches in turn.
type givenUpdates struct {
	train.Updater
	batches []train.Batch
	steps   int
}

func (e *givenUpdates) Update(s train.State, _ train.Batch, lr float64) (loss, length float64, err error) {
	e.steps++
	return e.Updater.Update(s, e.batches[(e.steps-1)%len(e.batches)], lr)
}

// Steps whose state stays on a device have the losses of PyTorch. After the first, the
// ids, the labels and three numbers go there, and two numbers come back.
func TestStateStaysOnDevice(t *testing.T) {
	golden := must(fixtures.Finetuning())
	folder := filepath.Join(t.TempDir(), "gpt2")
	check(os.CopyFS(folder, must(fs.Sub(fixtures.FS, "transformers_gpt2/whole"))))
	var batches []train.Batch
	for _, rows := range golden.Rows {
		var ids, labels []int64
		for _, row := range rows {
			n := len(row) - 1
			ids, labels = append(ids, row[:n]...), append(labels, row[1:]...)
		}
		batches = append(batches, train.TextBatch(len(rows), len(rows[0])-1, ids, labels))
	}
	data := must(train.NewText(make([]int64, 1000), 9))
	o := train.DefaultOptions(golden.Options.Steps)
	o.Batch, o.EvalEvery = 4, 0
	o.LR, o.MinLR, o.Warmup, o.Beta1, o.Beta2 = golden.Options.LR, golden.Options.MinLR, golden.Options.Warmup, golden.Options.Beta1, golden.Options.Beta2
	o.Epsilon, o.WeightDecay, o.Clip = golden.Options.Epsilon, golden.Options.WeightDecay, golden.Options.Clip
	for _, want := range golden.Cases {
		o.Freeze = want.Freeze
		for _, place := range []string{"the oracle", "ONNX Runtime"} {
			c := must(attnx.Load(folder, nil))
			var up, down int
			var e train.Updater
			steps := 12 // the oracle takes its time
			if place == "the oracle" {
				e = must(train.NewResident(must(train.NewCompiled("fake", c.Graph, nil)), o, countingDevice(&up, &down)))
			} else {
				opened, _, err := attnx.OpenEngine("ort", c, attnx.EngineOptions{Threads: 1, Update: &o})
				if errors.Is(err, runtime.ErrUnavailable) {
					t.Logf("without ONNX Runtime: %v", err)
					continue
				}
				check(err)
				e, steps = opened.(train.Updater), len(want.Losses)
			}
			run := must(train.New(c, &givenUpdates{Updater: e, batches: batches}, data, o))
			before := must(run.Checkpoint(nil)).Weights.Clone().Hash()
			worst, moved := 0.0, 0
			for i, loss := range want.Losses[:steps] {
				up, down = 0, 0
				worst = max(worst, math.Abs(must(run.Step()).Loss-loss))
				if moved = up; i > 0 && place == "the oracle" && (up != 2*4*9*8+3*4 || down != 2*4) {
					t.Fatalf("step %d: %d bytes go to the device, %d come back", i+1, up, down)
				}
			}
			t.Logf("%s, frozen %q: losses at most %.2g from PyTorch's, %d bytes a step", place, want.Freeze, worst, moved)
			if !(worst <= 1e-4) {
				t.Errorf("%s, frozen %q: a loss is %g from PyTorch's", place, want.Freeze, worst)
			}
			if must(run.Checkpoint(nil)).Weights.Hash() == before {
				t.Error("the checkpoint has the weights of the beginning")
			}
			check(e.Close())
		}
	}
}

// A run whose state is on a device resumes to the bit, and keeps its state when a step
// gives no number.
func TestDeviceResumes(t *testing.T) {
	o := train.DefaultOptions(6)
	o.Batch, o.EvalEvery = 2, 0
	ids := make([]int64, 300)
	for i := range ids {
		ids[i] = int64(i*i*7+i/3) % 61
	}
	data := must(train.NewText(ids, 8))
	start := func(c *model.Checkpoint, o train.Options) *train.Trainer {
		var up, down int
		e := must(train.NewResident(must(train.NewCompiled("fake", c.Graph, nil)), o, countingDevice(&up, &down)))
		return must(train.New(c, e, data, o))
	}
	take := func(r *train.Trainer, n int) *model.Checkpoint {
		for range n {
			must(r.Step())
		}
		c := must(r.Checkpoint(nil))
		path := filepath.Join(t.TempDir(), "c.safetensors")
		check(c.Save(path))
		return must(model.Load(path))
	}
	whole := take(start(wholeBlocks(), o), 4)
	resumed := take(start(take(start(wholeBlocks(), o), 2), o), 2)
	var a, b bytes.Buffer
	check(errors.Join(whole.Write(&a), resumed.Write(&b)))
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the resumed run ended with other bytes")
	}
	o.Clip, o.LR, o.MinLR, o.Warmup = 0, 1e30, 0, 0
	r := start(wholeBlocks(), o)
	must(r.Step())
	kept := must(r.Checkpoint(nil)).Weights.Clone().Hash()
	if _, err := r.Step(); err == nil || !strings.Contains(err.Error(), "the weights of step 1 are kept") {
		t.Error(err)
	}
	if must(r.Checkpoint(nil)).Weights.Hash() != kept {
		t.Error("the failed step changed weights")
	}
	o.Accumulate = 2
	if _, err := train.NewResident(must(train.NewCompiled("fake", wholeBlocks().Graph, nil)), o, nil); err == nil {
		t.Error("a step of two batches was taken")
	}
}

// With CUDA every node of such a step runs there, and nothing is copied, in float32 as in
// bfloat16.
func TestStepOnDeviceIsPlaced(t *testing.T) {
	c := wholeBlocks()
	sizes := map[string]int{}
	for _, in := range c.Graph.Inputs {
		sizes[in.Shape[0].String()], sizes[in.Shape[1].String()] = 2, 8
	}
	low := must(must(gguf.Quantized(c, 4)).WithLoRA(2, 4, nil, 1))
	for name, m := range map[string]*model.Checkpoint{"float32": c, "bfloat16": c, "over integers": low} {
		learned := []format.Tensor(m.Weights)
		if m.LoRA != nil {
			learned = nil
			for _, w := range m.Weights {
				if strings.Contains(w.Name, ".lora_") {
					learned = append(learned, w)
				}
			}
		}
		g := must(train.StepOnDevice(m.Graph, sizes, learned, train.DefaultOptions(10)))
		if name == "bfloat16" {
			g = must(graph.ProductsIn(format.BFloat16)(g))
		}
		plan := must(placement.Plan(must(export.Model(g, nil, export.Train{}))))
		products := 0
		for _, n := range g.Nodes {
			if _, ok := n.Op.(graph.Gemm); ok && n.Args[0].DType == format.BFloat16 {
				products++
			}
		}
		if !plan.Clean() || (products > 20) != (name == "bfloat16") {
			t.Errorf("%s: %d of %d nodes run with CUDA, %d copies, %d products in 16 bits\n%v", name, plan.CUDA, len(plan.Nodes), len(plan.Copies), products, plan.Copies)
		}
		for _, n := range plan.Nodes {
			if n.Device != placement.OnCUDA {
				t.Errorf("%s: %+v", name, n)
			}
		}
	}
}

// The CPU has neither of the other types of numbers, and says so by name.
func TestDTypesOfTheCPU(t *testing.T) {
	c := wholeBlocks()
	for want, o := range map[string]attnx.EngineOptions{
		"the CPU has no TF32":       {DType: train.TF32},
		"does not run MatMul of bf": {DType: train.BFloat16},
	} {
		e, _, err := attnx.OpenEngine("ort", c, o)
		if errors.Is(err, runtime.ErrUnavailable) {
			t.Skip(err)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v %v", want, e, err)
		}
	}
	if _, _, err := attnx.OpenEngine("gorgonia", c, attnx.EngineOptions{DType: train.BFloat16}); err == nil || !strings.Contains(err.Error(), "computes in float32") {
		t.Error(err)
	}
}
