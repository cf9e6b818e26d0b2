package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
)

// kernelRow is the time of one operator in a step.
type kernelRow struct {
	Op    string  `json:"op"`
	Ms    float64 `json:"ms"`
	Nodes float64 `json:"nodes"`
	Share float64 `json:"share"` // of all operators' time
}

// kernelReport is what bench kernels prints as JSON.
type kernelReport struct {
	Rows []kernelRow `json:"rows"`
}

func benchKernelsCommand(s streams) *cobra.Command {
	var preset string
	var batch, context, steps int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "kernels",
		Short:   "Show where the time of a training step goes, by operator",
		Long:    "Show where the time of a training step goes, by operator, from ONNX Runtime's\nown profile: the mean of some steps, after one that is not counted.",
		Example: "  attnx bench kernels --preset nano",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if batch < 0 || context < 0 || steps < 1 {
				return fmt.Errorf("--batch %d and --context %d must not be negative, --steps %d must be 1 or more", batch, context, steps)
			}
			z, err := benchSizeOf(preset, batch, context)
			if err != nil {
				return err
			}
			rows, err := benchKernels(z, steps)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, kernelReport{rows})
			}
			tw := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(tw, "operator\tnodes\tms a step\tshare\t")
			for _, r := range rows {
				fmt.Fprintf(tw, "%s\t%.0f\t%.3f\t%.1f %%\t\n", r.Op, r.Nodes, r.Ms, 100*r.Share)
			}
			return tw.Flush()
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&preset, "preset", "nano", "network to measure: "+strings.Join(benchPresets(), ", "))
	fl.IntVar(&batch, "batch", 0, "sequences in a batch (default: the preset's)")
	fl.IntVar(&context, "context", 0, "tokens in a sequence (default: the preset's)")
	fl.IntVar(&steps, "steps", 10, "steps to measure, after one that is not")
	jsonFlag(cmd, &asJSON, kernelReport{})
	return cmd
}

// benchKernels runs steps with ONNX Runtime's profiler on and sums up what it
// wrote.
func benchKernels(z benchSize, steps int) ([]kernelRow, error) {
	folder, err := os.MkdirTemp("", "attnx-profile-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	c, err := train.Start(z.network, nil, 1)
	if err != nil {
		return nil, err
	}
	engine, _, err := attnx.OpenEngine("ort", c, attnx.EngineOptions{Profile: filepath.Join(folder, "step")})
	if err != nil {
		return nil, err
	}
	n := z.batch * z.context
	ids, labels := make([]int64, n), make([]int64, n)
	stream := model.NewStream(1, "bench")
	for i := range ids {
		ids[i] = int64(stream.IntN(uint64(2*i), c.Vocab()))
		labels[i] = int64(stream.IntN(uint64(2*i+1), c.Vocab()))
	}
	grads := make([]format.Tensor, len(c.Weights))
	for i, w := range c.Weights {
		grads[i] = format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements()))
	}
	for i := 0; i <= steps && err == nil; i++ {
		_, err = engine.Step(c.Weights, train.TextBatch(z.batch, z.context, ids, labels), grads)
	}
	if err := errors.Join(err, engine.Close()); err != nil { // closing writes the profile
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "step*"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("ONNX Runtime left %d profiles, want one: %w", len(files), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	return kernelRows(text, steps)
}

// kernelRows sums up ONNX Runtime's profile, a list of events in Chrome's
// trace format, over the last steps.
func kernelRows(profile []byte, steps int) ([]kernelRow, error) {
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
	byOp := map[string]*kernelRow{}
	run, total := 0, 0.0
	for _, e := range events { // a run's event comes after those of its nodes
		switch {
		case e.Name == "model_run":
			run++
		case run < runs-steps || e.Cat != "Node" || !strings.HasSuffix(e.Name, "_kernel_time"):
		default:
			r := byOp[e.Args.Op]
			if r == nil {
				r = &kernelRow{Op: e.Args.Op}
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
	var rows []kernelRow
	for _, r := range byOp {
		r.Share = r.Ms / total
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b kernelRow) int {
		if a.Ms != b.Ms {
			return int(max(-1, min(1, (b.Ms-a.Ms)*1e6)))
		}
		return strings.Compare(a.Op, b.Op)
	})
	return rows, nil
}
