package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// recordingEngine keeps the batches that it is given.
type recordingEngine struct {
	train.Engine
	ids, labels [][][]int64
}

func (e *recordingEngine) Step(weights []format.Tensor, b train.Batch, grads []format.Tensor) (float64, error) {
	rows := func(t format.Tensor) (out [][]int64) {
		flat, _ := t.Int64s()
		for row := range slices.Chunk(flat, t.Shape[1]) {
			out = append(out, slices.Clone(row))
		}
		return out
	}
	e.ids, e.labels = append(e.ids, rows(b[role.Tokens])), append(e.labels, rows(b[role.Labels]))
	return e.Engine.Step(weights, b, grads)
}

// TestTrainingInPython trains for 50 steps in Go and has Python's ONNX Runtime
// do the same with the exported graphs.
func TestTrainingInPython(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	folder := t.TempDir()
	data, c := beginning(t, "tiny", 3)
	if err := c.Save(filepath.Join(folder, "start.safetensors")); err != nil {
		t.Fatal(err)
	}
	for name, optimizer := range map[string]string{"step.onnx": "", "adamw.onnx": "adamw"} {
		if _, err := attnx.ExportCheckpoint(t.Context(), c, filepath.Join(folder, name), attnx.ExportOptions{Profile: export.Train{}, Optimizer: optimizer}); err != nil {
			t.Fatal(err)
		}
	}
	engine := &recordingEngine{Engine: openGorgonia(t)(c)}
	o := train.DefaultOptions(50)
	// A checkpoint without a run exports the settings of DefaultOptions(1):
	// the same but for the schedule, which is an input.
	run, err := train.New(c, engine, data, o)
	if err != nil {
		t.Fatal(err)
	}
	type step struct {
		IDs    [][]int64 `json:"ids"`
		Labels [][]int64 `json:"labels"`
		LR     float64   `json:"lr"`
		Loss   float64   `json:"loss"`
	}
	var steps []step
	for i := range o.Steps {
		e, err := run.Step()
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step{engine.ids[i], engine.labels[i], e.LR, e.Loss})
	}
	record, err := json.Marshal(map[string]any{"options": o, "steps": steps})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "run.json"), record, 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, filepath.Join("..", "..", "fixtures", "oracle", "check_training.py"), folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
