package attnx_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
)

// wide returns a network whose scores and logits do not fit into one piece, and a batch.
func wide(t *testing.T) (*model.Checkpoint, train.Batch, *graph.Graph) {
	t.Helper()
	const tokens, vocab = 640, 6000
	n, err := arch.New("gpt2", arch.Sizes{Layers: 1, Heads: 8, Width: 32, Context: tokens}, vocab)
	check(err)
	c, err := model.New(n, 1)
	check(err)
	ids, labels := make([]int64, tokens), make([]int64, tokens)
	for i := range ids {
		ids[i], labels[i] = int64(i*i%vocab), int64((3*i+1)%vocab)
	}
	step, err := model.Step(c.Graph, 1, tokens)
	check(err)
	return c, train.TextBatch(1, tokens, ids, labels), step
}

// stepOf takes a step in ONNX Runtime.
func stepOf(c *model.Checkpoint, batch train.Batch, o attnx.EngineOptions) (float64, []format.Tensor) {
	e, _, err := attnx.OpenEngine("ort", c, o)
	check(err)
	var grads []format.Tensor
	for _, w := range c.Weights {
		grads = append(grads, format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements())))
	}
	loss, err := e.Step(c.Weights, batch, grads)
	check(err)
	check(e.Close())
	return loss, grads
}

// Logits and scores are computed in pieces, one after the other, with the loss and the
// gradients of a step that has them whole, with the same bits each time, and where a GPU
// is, on it.
func TestPiecesInORT(t *testing.T) {
	onnxRuntime(t)
	c, batch, step := wide(t)
	less, err := graph.Recompute(step)
	check(err)
	for v := range less.Values() {
		if n, _ := v.Shape.Elements().Number(); n*v.DType.Size() > 9<<20 {
			t.Errorf("%s %s is computed as a whole", v.Name, v.Type)
		}
	}
	data, err := export.Bytes(less, nil, export.Train{})
	check(err)
	file, err := onnx.Decode(data)
	check(err)
	plan, err := placement.Plan(file)
	check(err)
	if !plan.Clean() {
		t.Errorf("CUDA has %d of %d nodes, with %d copies", plan.CUDA, len(plan.Nodes), len(plan.Copies))
	}
	want, grads := stepOf(c, batch, attnx.EngineOptions{Threads: 1})
	profile := filepath.Join(t.TempDir(), "profile")
	loss, pieces := stepOf(c, batch, attnx.EngineOptions{Threads: 1, Recompute: true, Profile: profile})
	if !(math.Abs(loss-want) <= 1e-6*want) {
		t.Errorf("the loss is %g, in pieces %g", want, loss)
	}
	sameGradients(t, grads, pieces)
	again, same := stepOf(c, batch, attnx.EngineOptions{Threads: 1, Recompute: true})
	if again != loss {
		t.Errorf("losses %g and %g of the same step", loss, again)
	}
	for i := range same {
		if !bytes.Equal(same[i].Data, pieces[i].Data) {
			t.Errorf("two gradients of %s", same[i].Name)
		}
	}
	piecesInOrder(t, profile)
}

// An evaluation in pieces has the loss of one without, and a run that computes in pieces
// and is stopped goes on to the same bits.
func TestRunInPieces(t *testing.T) {
	if !fixtures.Exhaustive() {
		t.Skip("set ATTNX_EXHAUSTIVE=1 for a run whose attention does not fit into one piece")
	}
	onnxRuntime(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	check(os.WriteFile(text, bytes.Repeat([]byte(fixtures.Notes()), 20), 0o666))
	settings := train.DefaultOptions(4)
	settings.Batch, settings.SaveEvery, settings.EvalEvery, settings.EvalBatches = 1, 1<<20, 2, 1
	o := attnx.TrainOptions{
		Data: attnx.Corpus{Files: []string{text}, Glob: "*"}, Settings: settings, Engine: "ort",
		Arch: "gpt2", Sizes: arch.Sizes{Layers: 1, Heads: 8, Width: 32, Context: 640}, Context: 640, Out: filepath.Join(dir, "plain"),
	}
	plain := must(attnx.Train(t.Context(), o))
	o.Settings.Recompute, o.Out = true, filepath.Join(dir, "pieces")
	pieces := must(attnx.Train(t.Context(), o))
	for i, m := range pieces.History {
		if want := plain.History[i]; !(math.Abs(m.Loss-want.Loss) <= 1e-5*want.Loss) || (m.ValLoss == nil) != (want.ValLoss == nil) || m.ValLoss != nil && !(math.Abs(*m.ValLoss-*want.ValLoss) <= 1e-5**want.ValLoss) {
			t.Errorf("step %d has the losses %v in pieces, %v without", m.Step, m, want)
		}
	}
	o.Out = filepath.Join(dir, "stopped")
	stoppedAt(t, o, 2)
	again := lastOf(attnx.Resume(t.Context(), o.Out, attnx.ResumeOptions{}))
	want := must(model.Load(pieces.Checkpoint))
	if want.Weights.Hash() == plain.Model.Weights.Hash() {
		t.Error("the bits are those of a run without pieces")
	}
	if again.Step != 4 || again.Weights.Hash() != want.Weights.Hash() || model.Weights(again.Train.Moments).Hash() != model.Weights(want.Train.Moments).Hash() {
		t.Errorf("step %d has other weights than a run that was not stopped", again.Step)
	}
}

func sameGradients(t *testing.T, want, got []format.Tensor) {
	t.Helper()
	for k, g := range want {
		x, err := g.Float32s()
		check(err)
		y, err := got[k].Float32s()
		check(err)
		off, size := 0.0, 0.0
		for i := range x {
			off, size = max(off, math.Abs(float64(x[i]-y[i]))), max(size, math.Abs(float64(x[i])))
		}
		if !(off <= 1e-6*max(size, 1e-3)) {
			t.Errorf("the gradient of %s, of size %g, differs by %g", g.Name, size, off)
		}
	}
}

// piecesInOrder checks that all products of a piece are computed before those of the
// next one.
func piecesInOrder(t *testing.T, profile string) {
	t.Helper()
	files, err := filepath.Glob(profile + "*")
	check(err)
	text, err := os.ReadFile(files[0])
	check(err)
	var events []struct {
		Name, Cat string
		Args      struct {
			Op string `json:"op_name"`
		}
	}
	check(json.Unmarshal(text, &events))
	number := regexp.MustCompile(`(.*)\.piece_(\d+)\.`)
	now, counted := map[string]int{}, 0
	for _, e := range events {
		of := number.FindStringSubmatch(e.Name)
		if e.Cat != "Node" || !strings.HasSuffix(e.Name, "_kernel_time") || of == nil || !strings.Contains(e.Args.Op, "MatMul") && e.Args.Op != "Gemm" {
			continue
		}
		i, err := strconv.Atoi(of[2])
		check(err)
		if counted++; i < now[of[1]] {
			t.Errorf("%s is computed after piece %d", e.Name, now[of[1]])
		}
		now[of[1]] = i
	}
	for name, last := range now {
		if last < 1 {
			t.Errorf("%s has one piece", name)
		}
	}
	if len(now) < 3 || counted < 16 { // the logits, and attention in both passes
		t.Errorf("ONNX Runtime computes %d products in pieces, of %d values", counted, len(now))
	}
}
