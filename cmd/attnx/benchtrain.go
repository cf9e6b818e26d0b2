package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
)

// benchReport is what bench train prints as JSON.
type benchReport struct {
	GEMMPeak float64    `json:"gemm_peak_gflops"` // of a product of 1024³ through ONNX Runtime; 0 without it
	Rows     []benchRow `json:"rows"`
	Busy     string     `json:"busy,omitempty"` // why a share is null
}

// benchRow is what one engine does with one network: medians.
type benchRow struct {
	Preset          string   `json:"preset"`
	Engine          string   `json:"engine"`
	Batch           int      `json:"batch"`
	Context         int      `json:"context"`
	MsPerStep       float64  `json:"ms_per_step"`
	OptimizerMs     float64  `json:"optimizer_ms"` // of it, outside the engine: clipping and AdamW
	TokensPerSecond float64  `json:"tokens_per_second"`
	GFLOPS          float64  `json:"gflops"`
	GEMMShare       *float64 `json:"gemm_share"`        // null where that is not known
	PeakMemory      int64    `json:"peak_memory_bytes"` // of the process during the steps; 0 where the system does not tell
}

func benchTrainCommand(s streams) *cobra.Command {
	var presets, names []string
	var batch, context, steps int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Measure training steps",
		Long: `Measure training steps: loss, gradient, clipping and AdamW. Times are medians.
The share compares a step with a matrix product of 1024 x 1024 x 1024 that ONNX
Runtime computes in the same run. No share is printed where the step was the
faster one: the machine was busy while the product was measured.`,
		Example: "  attnx bench train --preset nano,small\n  attnx bench train --preset nano --engine gorgonia,ort --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if batch < 0 || context < 0 || steps < 1 {
				return fmt.Errorf("--batch %d and --context %d must not be negative, --steps %d must be 1 or more", batch, context, steps)
			}
			var report benchReport
			var err error
			if report.GEMMPeak, err = gemmPeak(); err != nil && !errors.Is(err, runtime.ErrUnavailable) {
				return err
			}
			for _, preset := range presets {
				z, err := benchSizeOf(preset, batch, context)
				if err != nil {
					return err
				}
				for _, name := range names {
					row, err := benchTrain(z, name, steps)
					if err != nil {
						return err
					}
					row.Preset = preset
					report.Rows = append(report.Rows, row)
				}
			}
			if report.GEMMPeak > 0 { // again: the machine may have been busy
				again, err := gemmPeak()
				if err != nil {
					return err
				}
				report.GEMMPeak = max(report.GEMMPeak, again)
			}
			report.share()
			warnBusy(s, report.Busy)
			if asJSON {
				return printJSON(s.out, report)
			}
			fmt.Fprintf(s.out, "GEMM peak %.0f GFLOP/s\n", report.GEMMPeak)
			tw := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(tw, "preset\tengine\tbatch\tcontext\tms a step\toptimizer\ttokens/s\tGFLOP/s\tshare\tpeak MB\t")
			for _, r := range report.Rows {
				fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%.1f\t%.1f\t%.0f\t%.1f\t%s\t%d\t\n", r.Preset, r.Engine, r.Batch, r.Context,
					r.MsPerStep, r.OptimizerMs, r.TokensPerSecond, r.GFLOPS, percent(r.GEMMShare), r.PeakMemory/1e6)
			}
			return tw.Flush()
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&presets, "preset", []string{"nano"}, "networks to measure: "+strings.Join(benchPresets(), ", "))
	fl.StringSliceVar(&names, "engine", []string{"gorgonia", "ort"}, "engines to measure: gorgonia, ort")
	fl.IntVar(&batch, "batch", 0, "sequences in a batch (default: the preset's)")
	fl.IntVar(&context, "context", 0, "tokens in a sequence (default: the preset's)")
	fl.IntVar(&steps, "steps", 9, "steps to measure, after two that are not")
	jsonFlag(cmd, &asJSON, benchReport{})
	return cmd
}

// share fills in the shares of a matrix product's speed.
func (r *benchReport) share() {
	for i, row := range r.Rows {
		share, busy := shareOf(row.GFLOPS, r.GEMMPeak)
		if r.Rows[i].GEMMShare = share; busy {
			r.Busy = busyProduct(row.GFLOPS, r.GEMMPeak)
		}
	}
}

// benchTrain takes steps as a training run does, on random tokens.
func benchTrain(z benchSize, name string, steps int) (benchRow, error) {
	memory.ResetPeak()
	c, err := train.Start(z.network, nil, 1)
	if err != nil {
		return benchRow{}, err
	}
	engine, why, err := attnx.OpenEngine(name, c, attnx.EngineOptions{})
	if err != nil {
		return benchRow{}, err
	}
	defer engine.Close()
	if why != nil {
		return benchRow{}, why
	}
	return benchEngine(engine, c, z, steps)
}

func benchEngine(engine train.Engine, c *model.Checkpoint, z benchSize, steps int) (benchRow, error) {
	ids := make([]int64, 40*z.context+1000)
	stream := model.NewStream(1, "bench")
	for i := range ids {
		ids[i] = int64(stream.IntN(uint64(i), c.Vocab()))
	}
	data, err := train.NewText(ids, z.context)
	if err != nil {
		return benchRow{}, err
	}
	o := train.DefaultOptions(steps + 2)
	o.Batch, o.EvalEvery, o.EvalBatches = z.batch, 0, 1
	timed := &timedEngine{Engine: engine}
	run, err := train.New(c, timed, data, o)
	if err != nil {
		return benchRow{}, err
	}
	var whole, inside []float64
	began := time.Now()
	for range steps + 2 { // the first compiles, the second finds its memory
		if _, err := run.Step(); err != nil {
			return benchRow{}, err
		}
		whole, inside = append(whole, time.Since(began).Seconds()), append(inside, timed.took)
		began = time.Now()
	}
	outside := make([]float64, steps)
	for i := range outside {
		outside[i] = whole[i+2] - inside[i+2]
	}
	seconds := median(whole[2:])
	flop, err := stepFLOP(c, z.batch, z.context)
	return benchRow{
		Engine: engine.Name(), Batch: z.batch, Context: z.context,
		MsPerStep: seconds * 1e3, OptimizerMs: median(outside) * 1e3, TokensPerSecond: float64(z.batch*z.context) / seconds,
		GFLOPS: flop / seconds / 1e9, PeakMemory: memory.Peak(),
	}, err
}

// timedEngine measures its own steps.
type timedEngine struct {
	train.Engine
	took float64 // seconds of the last step
}

func (e *timedEngine) Step(weights []format.Tensor, batch train.Batch, grads []format.Tensor) (float64, error) {
	began := time.Now()
	defer func() { e.took = time.Since(began).Seconds() }()
	return e.Engine.Step(weights, batch, grads)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
