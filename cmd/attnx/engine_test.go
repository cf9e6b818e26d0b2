package main

import (
	"errors"
	"go/build"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	attnxruntime "github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

func openORT(t *testing.T, c *model.Checkpoint, threads int) train.Engine {
	t.Helper()
	e, _, err := attnx.OpenEngine("ort", c, attnx.EngineOptions{Threads: threads})
	if errors.Is(err, attnxruntime.ErrUnavailable) {
		t.Skipf("no ONNX Runtime: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// network returns the model of a configuration, without weights.
func network(t *testing.T, config fixtures.Config) *model.Checkpoint {
	t.Helper()
	n, err := arch.Parse(config.Arch, config.JSON())
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.Of(n)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sized returns a GPT-2.
func sized(t *testing.T, s arch.Sizes, vocab int) nn.Network {
	t.Helper()
	n, err := arch.New("gpt2", s, vocab)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tinyOf returns the smallest preset of GPT-2, without weights.
func tinyOf(t *testing.T, vocab int) *model.Checkpoint {
	t.Helper()
	s, err := arch.Preset("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.Of(sized(t, s, vocab))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func zeros(w []format.Tensor) (grads []format.Tensor) {
	for _, x := range w {
		grads = append(grads, format.FromFloat32s(x.Name, x.Shape, make([]float32, x.Elements())))
	}
	return grads
}

// In float32 one rounding is 6e-8, and a gradient passes through some dozens
// of sums of up to 64 terms: the bound of the Gorgonia engine's own test.
const goldenGradients = 2e-5

// TestORTGolden compares ONNX Runtime's loss and gradients with PyTorch's.
func TestORTGolden(t *testing.T) {
	all, err := fixtures.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	for name, g := range all {
		t.Run(name, func(t *testing.T) {
			e := openORT(t, network(t, g.Config), 0)
			var weights []format.Tensor
			for _, w := range g.Weights {
				x := make([]float32, len(w.Data))
				for i, v := range w.Data {
					x[i] = float32(v)
				}
				weights = append(weights, format.FromFloat32s(w.Name, w.Shape, x))
			}
			grads := zeros(weights)
			var ids, labels []int64
			for i := range g.InputIDs.Data {
				ids, labels = append(ids, int64(g.InputIDs.Data[i])), append(labels, int64(g.Labels.Data[i]))
			}
			b := train.TextBatch(g.InputIDs.Shape[0], g.InputIDs.Shape[1], ids, labels)
			loss, err := e.Step(weights, b, grads)
			if err != nil || math.Abs(loss-g.Loss) > goldenGradients {
				t.Fatalf("loss %g, PyTorch has %g (%v)", loss, g.Loss, err)
			}
			if alone, err := e.Loss(weights, b); err != nil || alone != loss {
				t.Errorf("the loss alone is %g, with gradients %g (%v)", alone, loss, err)
			}
			for i, want := range g.Gradients {
				got, _ := grads[i].Float32s()
				top := 1e-2 // rounding is of the terms' size: the bias of keys has gradient 0, a sum of terms of this size
				for _, x := range want.Data {
					top = max(top, math.Abs(x))
				}
				for j, x := range want.Data {
					if d := math.Abs(float64(got[j]) - x); !(d <= goldenGradients*top) {
						t.Fatalf("gradient of %s[%d] is %g, PyTorch has %g", want.Name, j, got[j], x)
					}
				}
			}
			if ids[1] = int64(g.Config.Vocab); true {
				if _, err := e.Step(weights, b, grads); err == nil || !strings.Contains(err.Error(), "[0,1] is ") {
					t.Errorf("an id outside the vocabulary: %v", err)
				}
			}
		})
	}
}

// TestORTAddsEveryRow compares the gradient of a vocabulary beyond the one-hot
// limit with Gorgonia's, in a batch where three ids stand for everything: where
// threads that add rows lose some, it shows.
func TestORTAddsEveryRow(t *testing.T) {
	context := 256
	if fixtures.Exhaustive() {
		context = 512
	}
	c, err := train.Start(sized(t, arch.Sizes{Layers: 2, Heads: 2, Width: 32, Context: context}, 1000), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	var ids, labels []int64
	for i := range 8 * c.Context() {
		ids, labels = append(ids, int64(300*(i%3))), append(labels, int64(i%1000))
	}
	b := train.TextBatch(8, c.Context(), ids, labels)
	want := zeros(c.Weights)
	if _, err := openGorgonia(t)(c).Step(c.Weights, b, want); err != nil {
		t.Fatal(err)
	}
	e := openORT(t, c, 4)
	for range 3 {
		got := zeros(c.Weights)
		if _, err := e.Step(c.Weights, b, got); err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			x, _ := got[i].Float32s()
			y, _ := w.Float32s()
			top := 1e-2
			for _, v := range y {
				top = max(top, math.Abs(float64(v)))
			}
			for j := range y {
				if d := math.Abs(float64(x[j] - y[j])); !(d <= goldenGradients*top) {
					t.Fatalf("gradient of %s[%d] is %g, Gorgonia has %g", w.Name, j, x[j], y[j])
				}
			}
		}
	}
}

// TestGradAgainstGorgonia compares the gradients that graph.Grad writes,
// evaluated by the oracle, with those that Gorgonia derives for itself. Both
// are float64; Gorgonia's are handed out as float32.
func TestGradAgainstGorgonia(t *testing.T) {
	_, c := beginning(t, "tiny", 4)
	var ids, labels []int64
	for i := range 3 * 9 {
		ids, labels = append(ids, int64(i*i%c.Vocab())), append(labels, int64(i*7%c.Vocab()))
	}
	labels[5] = model.IgnoreIndex
	b := train.TextBatch(3, 9, ids, labels)
	g, err := model.WithLoss(c.Graph)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := gorgonia.New(g, gorgonia.Options{Float64: true})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	want := zeros(c.Weights)
	if _, err := engine.Step(c.Weights, b, want); err != nil {
		t.Fatal(err)
	}
	step, err := model.Step(c.Graph, 3, 9)
	if err != nil {
		t.Fatal(err)
	}
	oracle, err := ref.New(step, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	got, err := oracle.Run(map[string]format.Tensor{
		"input_ids": b[role.Tokens], "labels": b[role.Labels],
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		x, err := got[role.GradientOf(w.Name).Name()].AsFloat64s()
		if err != nil {
			t.Fatal(err)
		}
		y, _ := w.AsFloat64s()
		difference, length := 0.0, 0.0
		for i := range y {
			difference += (x[i] - y[i]) * (x[i] - y[i])
			length += y[i] * y[i]
		}
		if r := math.Sqrt(difference / length); !(r <= 1e-5) {
			t.Errorf("gradient of %s: %.2g of its length apart", w.Name, r)
		}
	}
}

// standardLibrary is text that is on every machine with Go.
func standardLibrary(t *testing.T) string {
	t.Helper()
	text, err := train.ReadText(t.Context(), []string{filepath.Join(build.Default.GOROOT, "src", "strconv")}, train.Reading{Glob: "*.go", Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return text.Text
}

// beginning returns a preset, the standard library's text as its data, and
// first weights.
func beginning(t *testing.T, preset string, seed uint64) (*train.Data, *model.Checkpoint) {
	t.Helper()
	text := standardLibrary(t)
	tok, err := tokens.Train(tokens.Char, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	sizes, err := arch.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	data, err := train.FromText(text, tok, sizes.Context)
	if err != nil {
		t.Fatal(err)
	}
	c, err := train.Start(sized(t, sizes, tok.VocabSize()), tok, seed)
	if err != nil {
		t.Fatal(err)
	}
	return data, c
}

// trained runs the first steps of a preset and returns their losses, the loss on
// the validation part, and the weights.
func trained(t *testing.T, preset string, steps int, open func(c *model.Checkpoint) train.Engine) ([]float64, float64, model.Weights) {
	t.Helper()
	data, c := beginning(t, preset, 1)
	o := train.DefaultOptions(steps)
	o.Seed, o.EvalEvery = 1, 0
	run, err := train.New(c, open(c), data, o)
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	val := 0.0
	err = run.Run(t.Context(), func(e train.Event) error {
		losses, val = append(losses, e.Loss), e.ValLoss
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return losses, val, c.Weights
}

func openGorgonia(t *testing.T) func(*model.Checkpoint) train.Engine {
	return func(c *model.Checkpoint) train.Engine {
		e, _, err := attnx.OpenEngine("gorgonia", c, attnx.EngineOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	}
}

// TestEnginesAgree trains a preset with both engines on the same data.
func TestEnginesAgree(t *testing.T) {
	preset, steps := "tiny", 200
	if fixtures.Exhaustive() {
		preset = "nano"
	}
	onORT, valORT, _ := trained(t, preset, steps, func(c *model.Checkpoint) train.Engine { return openORT(t, c, 0) })
	inGo, valGo, _ := trained(t, preset, steps, openGorgonia(t))
	worst := 0.0
	for i := range inGo {
		worst = max(worst, math.Abs(onORT[i]-inGo[i]))
	}
	t.Logf("losses differ by at most %.2g; validation %.5f and %.5f", worst, valORT, valGo)
	if !(worst <= 1e-3) {
		t.Errorf("a loss differs by %g", worst)
	}
	if !(math.Abs(valORT-valGo) <= 0.01*valGo) {
		t.Errorf("validation loss %g on ONNX Runtime, %g in Go", valORT, valGo)
	}
	if last := onORT[len(onORT)-1]; !(last < onORT[0]-1) {
		t.Errorf("the loss went from %g to %g only", onORT[0], last)
	}
}

// TestORTSameBits takes steps with one thread and with two: the loss and every
// gradient have the same bits, and, where every case is tried, so have the weights
// of ten steps of training.
func TestORTSameBits(t *testing.T) {
	_, c := beginning(t, "nano", 1)
	const size, length = 12, 64
	random := model.NewStream(1, "ids")
	ids := make([]int64, size*length+1)
	for i := range ids {
		ids[i] = int64(random.IntN(uint64(i), c.IDs()))
	}
	batch := train.TextBatch(size, length, ids[:size*length], ids[1:])
	var losses []float64
	var first model.Weights
	for _, threads := range []int{1, 2, 2} {
		gradients := c.Weights.Clone()
		loss, err := openORT(t, c, threads).Step(c.Weights, batch, gradients)
		if err != nil {
			t.Fatal(err)
		}
		if losses = append(losses, loss); loss != losses[0] {
			t.Errorf("the losses are %v", losses)
		}
		first = sameBits(t, first, gradients, threads)
	}
	if !fixtures.Exhaustive() {
		return
	}
	first = nil
	for _, threads := range []int{1, 2, 2} {
		_, _, weights := trained(t, "nano", 10, func(c *model.Checkpoint) train.Engine { return openORT(t, c, threads) })
		first = sameBits(t, first, weights, threads)
	}
}

// sameBits compares w with the first of its kind, which it returns: w where there
// is none yet.
func sameBits(t *testing.T, first, w model.Weights, threads int) model.Weights {
	t.Helper()
	if first == nil {
		return w
	}
	for i := range w {
		if string(w[i].Data) != string(first[i].Data) {
			t.Errorf("%s: other bits with %d threads", w[i].Name, threads)
		}
	}
	return first
}

func TestEngineAuto(t *testing.T) {
	c := tinyOf(t, 65)
	t.Setenv("ATTNX_ORT_LIB", filepath.Join(t.TempDir(), "none.so"))
	if _, _, err := attnx.OpenEngine("ort", c, attnx.EngineOptions{}); !errors.Is(err, attnxruntime.ErrUnavailable) {
		t.Errorf("an engine without its library: %v", err)
	}
	e, why, err := attnx.OpenEngine("auto", c, attnx.EngineOptions{})
	if err != nil || e.Name() != "gorgonia" || !errors.Is(why, attnxruntime.ErrUnavailable) {
		t.Errorf("auto without a library: %v, %v", why, err)
	}
}
