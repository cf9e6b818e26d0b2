package bench

import (
	"errors"
	"time"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/internal/speed"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
)

// TrainReport is the cost of training steps.
type TrainReport struct {
	GEMMPeak float64    `json:"gemm_peak_gflops"` // of a product of 1024³ through ONNX Runtime; 0 without it
	Rows     []TrainRow `json:"rows"`
	Busy     string     `json:"busy,omitempty"` // why a share is null
}

// TrainRow is the cost of one network in one engine, as medians.
type TrainRow struct {
	Preset          string   `json:"preset"`
	Engine          string   `json:"engine"`
	Batch           int      `json:"batch"`
	Context         int      `json:"context"`
	MsPerStep       float64  `json:"ms_per_step"`
	OptimizerMs     float64  `json:"optimizer_ms"` // part outside the engine: clipping and AdamW
	TokensPerSecond float64  `json:"tokens_per_second"`
	GFLOPS          float64  `json:"gflops"`
	GEMMShare       *float64 `json:"gemm_share"`        // null if not known
	PeakMemory      int64    `json:"peak_memory_bytes"` // of the process during the steps; 0 if the system does not report it
}

// Train measures steps of networks on engines, and a matrix product before and
// after. batch and context are as in SizeOf.
func Train(presets, engines []string, batch, context, steps int) (r TrainReport, err error) {
	sizes := map[string]Size{}
	for _, preset := range presets {
		if sizes[preset], err = SizeOf(preset, batch, context); err != nil {
			return r, err
		}
	}
	if r.GEMMPeak, err = gemmPeak(); err != nil && !errors.Is(err, runtime.ErrUnavailable) {
		return r, err
	}
	for _, preset := range presets {
		z := sizes[preset]
		for _, name := range engines {
			row, err := z.train(name, steps)
			if err != nil {
				return r, err
			}
			row.Preset = preset
			r.Rows = append(r.Rows, row)
		}
	}
	if r.GEMMPeak > 0 { // measured again: the machine may have been busy
		again, err := gemmPeak()
		if err != nil {
			return r, err
		}
		r.GEMMPeak = max(r.GEMMPeak, again)
	}
	r.share()
	return r, nil
}

// share computes the shares of a matrix product's speed.
func (r *TrainReport) share() {
	for i, row := range r.Rows {
		share, busy := speed.Share(row.GFLOPS, r.GEMMPeak)
		if r.Rows[i].GEMMShare = share; busy {
			r.Busy = speed.BusyProduct(row.GFLOPS, r.GEMMPeak)
		}
	}
}

// train takes steps as a training run does, on random tokens.
func (z Size) train(name string, steps int) (TrainRow, error) {
	memory.ResetPeak()
	c, err := train.Start(z.Network, nil, 1)
	if err != nil {
		return TrainRow{}, err
	}
	engine, why, err := attnx.OpenEngine(name, c, attnx.EngineOptions{})
	if err != nil {
		return TrainRow{}, err
	}
	defer engine.Close()
	if why != nil {
		return TrainRow{}, why
	}
	data, err := train.NewText(randomIDs(40*z.Context+1000, c.Vocab()), z.Context)
	if err != nil {
		return TrainRow{}, err
	}
	o := train.DefaultOptions(steps + 2)
	o.Batch, o.EvalEvery, o.EvalBatches = z.Batch, 0, 1
	timed := &timedEngine{Engine: engine}
	run, err := train.New(c, timed, data, o)
	if err != nil {
		return TrainRow{}, err
	}
	var whole, outside []float64
	for range steps + 2 { // the first step compiles, the second allocates memory
		began := time.Now()
		if _, err := run.Step(); err != nil {
			return TrainRow{}, err
		}
		took := time.Since(began).Seconds()
		whole, outside = append(whole, took), append(outside, took-timed.took)
	}
	return z.row(c, data, engine.Name(), median(whole[2:]), median(outside[2:]))
}

// row returns the results for steps of the given seconds.
func (z Size) row(c *model.Checkpoint, data *train.Data, engine string, seconds, outside float64) (TrainRow, error) {
	flop, err := train.TokenFLOP(c, data)
	flop *= float64(z.Batch * z.Context)
	return TrainRow{
		Engine: engine, Batch: z.Batch, Context: z.Context,
		MsPerStep: seconds * 1e3, OptimizerMs: outside * 1e3, TokensPerSecond: float64(z.Batch*z.Context) / seconds,
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

// gemmPeak is the practical upper bound of a training step on the CPU, in
// GFLOP/s.
func gemmPeak() (float64, error) {
	return speed.Product(8, func(g *graph.Graph) (runtime.Device, error) { return attnx.OpenGraph(g, attnx.Options{}) })
}
