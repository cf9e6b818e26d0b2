package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/train"
)

// KernelReport is the time of a training step by operator.
type KernelReport struct {
	Rows []KernelRow `json:"rows"`
}

// KernelRow is the time of one operator in a step.
type KernelRow struct {
	Op    string  `json:"op"`
	Ms    float64 `json:"ms"`
	Nodes float64 `json:"nodes"`
	Share float64 `json:"share"` // of the time of all operators
}

// Kernels runs steps with ONNX Runtime's profiler and sums up the profile.
func Kernels(z Size, steps int) (r KernelReport, err error) {
	folder, err := os.MkdirTemp("", "attnx-profile-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(folder)
	c, err := train.Start(z.Network, nil, 1)
	if err != nil {
		return r, err
	}
	engine, _, err := attnx.OpenEngine("ort", c, attnx.EngineOptions{Profile: filepath.Join(folder, "step")})
	if err != nil {
		return r, err
	}
	n := z.Batch * z.Context
	ids := randomIDs(2*n, c.Vocab())
	grads := make([]format.Tensor, len(c.Weights))
	for i, w := range c.Weights {
		grads[i] = format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements()))
	}
	for i := 0; i <= steps && err == nil; i++ {
		_, err = engine.Step(c.Weights, train.TextBatch(z.Batch, z.Context, ids[:n], ids[n:]), grads)
	}
	if err := errors.Join(err, engine.Close()); err != nil { // closing writes the profile
		return r, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "step*"))
	if err != nil || len(files) != 1 {
		return r, fmt.Errorf("ONNX Runtime left %d profiles, want one: %w", len(files), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return r, err
	}
	r.Rows, err = kernelRows(text, steps)
	return r, err
}

// kernelRows sums up ONNX Runtime's profile, a list of events in Chrome's
// trace format, over the last steps.
func kernelRows(profile []byte, steps int) ([]KernelRow, error) {
	var events []struct {
		Cat, Name string
		Dur       float64 // microseconds
		Args      struct {
			Op string `json:"op_name"`
		}
	}
	if err := json.Unmarshal(bytes.TrimSpace(profile), &events); err != nil {
		return nil, fmt.Errorf("ONNX Runtime's profile: %w", err)
	}
	runs := 0
	for _, e := range events {
		if e.Name == "model_run" {
			runs++
		}
	}
	byOp := map[string]*KernelRow{}
	run, total := 0, 0.0
	for _, e := range events { // the event of a run follows those of its nodes
		switch {
		case e.Name == "model_run":
			run++
		case run < runs-steps || e.Cat != "Node" || !strings.HasSuffix(e.Name, "_kernel_time"):
		default:
			r := byOp[e.Args.Op]
			if r == nil {
				r = &KernelRow{Op: e.Args.Op}
				byOp[e.Args.Op] = r
			}
			r.Ms += e.Dur / 1e3 / float64(steps)
			r.Nodes += 1 / float64(steps)
			total += e.Dur / 1e3 / float64(steps)
		}
	}
	if len(byOp) == 0 {
		return nil, fmt.Errorf("ONNX Runtime's profile holds no operators")
	}
	var rows []KernelRow
	for _, r := range byOp {
		r.Share = r.Ms / total
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b KernelRow) int { return cmp.Or(cmp.Compare(b.Ms, a.Ms), strings.Compare(a.Op, b.Op)) })
	return rows, nil
}
