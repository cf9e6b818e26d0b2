package attnx_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// maskRecorder keeps what a step is given, with the masks of dropout.
type maskRecorder struct {
	train.Engine
	steps []map[string]any
}

func (e *maskRecorder) Step(weights []format.Tensor, b train.Batch, grads []format.Tensor) (float64, error) {
	rows := func(t format.Tensor) (out [][]float32) {
		for row := range slices.Chunk(must(t.Float32s()), t.Shape[1]) {
			out = append(out, slices.Clone(row))
		}
		return out
	}
	s := map[string]any{}
	var masks []string
	byName := map[string][][]float32{}
	for k, t := range b {
		switch name := t.Name; {
		case strings.HasPrefix(name, "dropout."):
			masks, byName[name] = append(masks, name), rows(t)
		case k == role.Labels:
			s["labels"] = rows(t)
		default:
			s["x"] = rows(t)
		}
	}
	slices.Sort(masks)
	var list [][][]float32
	for _, name := range masks {
		list = append(list, byName[name])
	}
	s["masks"] = list
	e.steps = append(e.steps, s)
	return e.Engine.Step(weights, b, grads)
}

// A file that PyTorch exported in training form drops with the ratios of its Dropout
// nodes, and its running moments move by the momentum of the file: losses, weights and
// moments are PyTorch's, and the file that is written keeps its form. A run resumes to the
// bit.
func TestTrainTrainingForm(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	script, dir := filepath.Join("fixtures", "oracle", "training_mode.py"), t.TempDir()
	file := filepath.Join(dir, "model.onnx")
	if out, err := exec.Command(python, script, "--make", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	x, y := make([]float32, 200*6), make([]float32, 200*3)
	model.NewStream(1, "x").FillNormal(x, 1)
	model.NewStream(2, "y").FillNormal(y, 1)
	o := train.DefaultOptions(30)
	o.Batch, o.EvalEvery, o.BatchStatistics = 16, 0, true
	o.Freeze = []string{"norm.running*"}
	o.Loss = &model.Loss{Kind: model.SquaredError, Output: "y"}
	for _, engine := range []string{"gorgonia", "ort"} {
		r := must(read.Model(must(onnx.DecodeFile(file)), read.Options{Training: true}))
		if !r.BatchMoments {
			t.Error("nothing is read of the moments of the batch")
		}
		c := &model.Checkpoint{Arch: "onnx-file", Config: []byte(`{"model_type":"onnx-file"}`), Graph: r.Graph, Weights: model.Weights(r.Weights).Clone()}
		loss := must(o.WithLoss(c.Graph))
		all := train.Batch{}
		for i, in := range loss.Inputs {
			k := train.KindOf(loss, i)
			all[k] = format.FromFloat32s(in.Name, []int{200, 6}, x)
			if k == role.Labels {
				all[k] = format.FromFloat32s(in.Name, []int{200, 3}, y)
			}
		}
		e, _, err := attnx.OpenEngine(engine, must(o.Network(c)), attnx.EngineOptions{Loss: o.Passes()})
		if engine == "ort" && err != nil {
			t.Logf("without ONNX Runtime: %v", err)
			continue
		}
		check(err)
		recorded := &maskRecorder{Engine: e}
		run := must(train.New(c, recorded, must(train.NewExamples(all)), o))
		for i := range o.Steps {
			event := must(run.Step())
			recorded.steps[i]["lr"], recorded.steps[i]["loss"] = event.LR, event.Loss
		}
		record, saved, to := filepath.Join(t.TempDir(), "run.json"), filepath.Join(t.TempDir(), "c.safetensors"), filepath.Join(t.TempDir(), "new.onnx")
		check(os.WriteFile(record, must(json.Marshal(map[string]any{"options": o, "steps": recorded.steps})), 0o666))
		check(must(run.Checkpoint(nil)).Save(saved))
		must(attnx.Convert(saved, to, attnx.ConvertOptions{Like: file}))
		out, err := exec.Command(python, script, "--check", file, record, to).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", engine, err, out)
		}
		t.Logf("%s: %s", engine, out)
		check(e.Close())
	}

	data := filepath.Join(dir, "data.npz")
	check(os.WriteFile(data, npz(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{200, 6}, x), "labels": format.FromFloat32s("labels", []int{200, 3}, y)}), 0o666))
	said := ""
	start := func(ctx context.Context, out string, step func(attnx.Metric)) (*attnx.TrainResult, error) {
		settings := train.DefaultOptions(6)
		settings.Batch, settings.SaveEvery = 16, 100
		return attnx.Train(ctx, attnx.TrainOptions{
			Out: out, Init: file, Loss: model.SquaredError, Output: "y", Data: attnx.Corpus{Files: []string{data}}, Settings: settings, Engine: "gorgonia",
			Events: attnx.TrainEvents{Step: step, Tell: func(_ attnx.Level, line string) { said += line + "\n" }},
		})
	}
	whole := must(start(t.Context(), filepath.Join(dir, "whole"), nil))
	ctx, stop := context.WithCancel(t.Context())
	if _, err := start(ctx, filepath.Join(dir, "halted"), func(m attnx.Metric) {
		if m.Step == 3 {
			stop()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	resumed := must(attnx.Resume(t.Context(), filepath.Join(dir, "halted"), attnx.ResumeOptions{}))
	if !bytes.Equal(must(os.ReadFile(whole.Checkpoint)), must(os.ReadFile(resumed.Checkpoint))) {
		t.Error("the resumed run ended with other bytes")
	}
	for _, want := range []string{"2 Dropout nodes drop in steps", "uses the moments of the batch in steps"} {
		if !strings.Contains(said, want) {
			t.Errorf("said is %q, expected %q", said, want)
		}
	}
}

// npz returns arrays as a file of numpy.
func npz(arrays map[string]format.Tensor) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, t := range arrays {
		check(npy.Write(must(z.Create(name+".npy")), t))
	}
	check(z.Close())
	return b.Bytes()
}
