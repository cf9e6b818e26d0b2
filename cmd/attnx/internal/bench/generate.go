package bench

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/internal/speed"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
)

// GenerateReport is the cost of generation.
type GenerateReport struct {
	Model     string        `json:"model"`
	Device    string        `json:"device"`
	Bandwidth float64       `json:"bandwidth_gb_per_second"` // of the device's memory
	Rows      []GenerateRow `json:"rows"`
	Busy      string        `json:"busy,omitempty"` // why a share is null
}

// GenerateRow is the cost of generation with one batch size, as medians.
type GenerateRow struct {
	Batch        int      `json:"batch"`
	Past         int      `json:"past"` // tokens of each prompt
	Prefill      float64  `json:"prefill_tokens_per_second"`
	Decode       float64  `json:"decode_tokens_per_second"`
	FirstToken   float64  `json:"time_to_first_token_ms"`
	Share        *float64 `json:"bandwidth_share"`   // bandwidth of reading the weights over the memory's bandwidth; null if not known
	OutsideMicro float64  `json:"outside_run_us"`    // part of a token's time outside the runtime
	PeakMemory   int64    `json:"peak_memory_bytes"` // of the process; 0 if the system does not report it

	weights float64 // GB per second at which a run reads the weights
}

// Generation measures a model. It opens the model again for each batch size,
// because the runtime keeps a batch's memory until the model is closed.
type Generation struct {
	Open    func(attnx.Options) (*attnx.Model, error)
	Options attnx.Options // for Open
	Past    int           // tokens of a prompt
	Count   int           // tokens to measure
}

// Run measures the named model with each of the batch sizes.
func (b Generation) Run(ctx context.Context, name string, batches []int) (GenerateReport, error) {
	r := GenerateReport{Model: name}
	for _, batch := range batches {
		if batch < 1 {
			return r, fmt.Errorf("--batch %d: give 1 or more", batch)
		}
		row, err := b.batch(ctx, batch, &r)
		if err != nil {
			return r, err
		}
		r.Rows = append(r.Rows, row)
	}
	r.share()
	return r, nil
}

// share computes the shares of the best measured bandwidth.
func (r *GenerateReport) share() {
	for i, row := range r.Rows {
		share, busy := speed.Share(row.weights, r.Bandwidth)
		if r.Rows[i].Share = share; busy {
			r.Busy = fmt.Sprintf("the weights came at %.1f GB/s, the memory gave %.1f: the machine was busy while its memory was measured, or the weights fit into a cache", row.weights, r.Bandwidth)
		}
	}
}

// batch measures one batch size. It leaves the row's share empty.
func (b Generation) batch(ctx context.Context, batch int, r *GenerateReport) (row GenerateRow, err error) {
	memory.ResetPeak()
	o, err := b.Open(b.Options)
	if err != nil {
		return row, err
	}
	defer o.Close()
	if o.Device == nil {
		return row, fmt.Errorf("%s has no cache of keys and values: export the checkpoint with --profile cache, and see that ONNX Runtime is installed (`attnx doctor`)", o.Path)
	}
	if b.Count > o.Context-2 || b.Past > o.Context-2-b.Count {
		return row, fmt.Errorf("--past %d, two more tokens and --tokens %d do not fit: the model sees %d", b.Past, b.Count, o.Context)
	}
	peak := memory.Peak()
	on := b.Options
	on.Device = o.Runtime.Device // "auto" becomes the chosen device
	if err := r.measureBandwidth(on); err != nil {
		return row, err
	}
	memory.ResetPeak() // the bandwidth measurement must not count
	d := &decoding{timed: &timedDevice{Device: o.Device}, next: make([]int64, batch)}
	if d.Model, err = decode.Open(d.timed, decode.Options{Batch: batch, Context: o.Context}); err != nil {
		return row, err
	}
	ids := randomIDs(batch*b.Past, o.Checkpoint.Vocab())
	prompts := make([][]int64, batch)
	for i := range prompts {
		prompts[i] = ids[i*b.Past:][:b.Past]
	}
	// The first prefill and the first two steps are slower: they allocate memory.
	prefill, first, _, err := d.times(ctx, 3, func() ([]float32, error) { return d.Prefill(prompts) })
	if err != nil {
		return row, err
	}
	step, _, outside, err := d.times(ctx, b.Count+2, func() ([]float32, error) { return d.Step(d.next) })
	if err != nil {
		return row, err
	}
	seconds := median(step[2:])
	row = GenerateRow{
		Batch: batch, Past: b.Past, Prefill: float64(batch*b.Past) / median(prefill[1:]), Decode: float64(batch) / seconds,
		weights:    float64(weightBytes(o.File)) / seconds / 1e9,
		FirstToken: median(first[1:]) * 1e3, OutsideMicro: median(outside[2:]) * 1e6, PeakMemory: max(peak, memory.Peak()),
	}
	r.Device = o.Runtime.String()
	return row, r.measureBandwidth(on)
}

// measureBandwidth keeps the best measurement: the bound is the bandwidth of an
// idle machine. The memory it uses is returned to the system.
func (r *GenerateReport) measureBandwidth(o attnx.Options) error {
	defer debug.FreeOSMemory()
	now, err := bandwidth(o)
	r.Bandwidth = max(r.Bandwidth, now)
	return err
}

// decoding is a decoder with timed runs.
type decoding struct {
	decode.Model
	timed *timedDevice
	next  []int64 // the likeliest token of each sequence
}

// times makes the given number of runs. For each it returns the seconds until
// the logits are ready, the seconds until the next token is picked, and the part
// of the former that was spent outside the device.
func (d *decoding) times(ctx context.Context, runs int, run func() ([]float32, error)) (took, picked, outside []float64, err error) {
	for range runs {
		if err := context.Cause(ctx); err != nil {
			return nil, nil, nil, err
		}
		d.timed.took = 0
		began := time.Now()
		logits, err := run()
		if err != nil {
			return nil, nil, nil, err
		}
		ran := time.Since(began)
		if err := best(d.next, logits); err != nil {
			return nil, nil, nil, err
		}
		took, outside = append(took, ran.Seconds()), append(outside, (ran-d.timed.took).Seconds())
		picked = append(picked, time.Since(began).Seconds())
	}
	return took, picked, outside, nil
}

// best picks the likeliest token of each sequence from logits (B,V).
func best(next []int64, logits []float32) error {
	vocab := len(logits) / len(next)
	for i := range next {
		id, err := model.Sampler{}.Pick(logits[i*vocab:][:vocab], 0)
		if err != nil {
			return err
		}
		next[i] = int64(id)
	}
	return nil
}

// timedDevice measures its own runs.
type timedDevice struct {
	runtime.Device
	took time.Duration
}

func (d *timedDevice) Run(replay int) error {
	began := time.Now()
	err := d.Device.Run(replay)
	d.took += time.Since(began)
	return err
}

// weightBytes returns the bytes of weights that a run of one token reads: all
// except tables that are only gathered from or sliced.
func weightBytes(m *onnx.Model) int64 {
	whole := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		for i, name := range n.Inputs {
			if i > 0 || n.Op != "Gather" && n.Op != "Slice" {
				whole[name] = true
			}
		}
	}
	sum := int64(0)
	for _, t := range m.Graph.Initializers {
		if whole[t.Name] {
			sum += t.Elements() * t.DataType.Size()
		}
	}
	return sum
}
