package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
)

// generateReport is what bench generate prints as JSON.
type generateReport struct {
	Model     string        `json:"model"`
	Device    string        `json:"device"`
	Bandwidth float64       `json:"bandwidth_gb_per_second"` // of the device's memory
	Rows      []generateRow `json:"rows"`
	Busy      string        `json:"busy,omitempty"` // why a share is null
}

// generateRow is what generation costs with one batch: medians.
type generateRow struct {
	Batch        int      `json:"batch"`
	Past         int      `json:"past"` // tokens of each prompt
	Prefill      float64  `json:"prefill_tokens_per_second"`
	Decode       float64  `json:"decode_tokens_per_second"`
	FirstToken   float64  `json:"time_to_first_token_ms"`
	Share        *float64 `json:"bandwidth_share"`   // the bytes of weights that a run reads, over those that memory gives in its time; null where that is not known
	OutsideMicro float64  `json:"outside_run_us"`    // of a token's time, what is not the runtime's
	PeakMemory   int64    `json:"peak_memory_bytes"` // of the process; 0 where the system does not tell

	weights float64 // gigabytes of them that its runs read in a second
}

func benchGenerateCommand(s streams) *cobra.Command {
	var preset, fuse string
	var as numbers
	var batches []int
	var past, count int
	var asJSON bool
	var d device
	cmd := &cobra.Command{
		Use:   "generate [CHECKPOINT|ONNX|FOLDER]",
		Short: "Measure prefill and decoding with a cache",
		Long: `Measure how fast a model continues prompts of random ids: the whole prompt at
once, then one token a run. Without a model, --preset measures a network with
random weights. Times are medians. The share is the time in which the memory
delivers the weights, over the time of a run. The bandwidth is measured before
and after by reading 512 MiB on all cores (on CUDA by reading and writing it).
No share is printed where the weights came faster than that: the machine was
busy, or they fit into a cache.`,
		Example: "  attnx bench generate model\n  attnx bench generate --preset gpt2 --fuse ort --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 == cmd.Flags().Changed("preset") {
				return fmt.Errorf("name one model, or a network with --preset: see `%s --help`", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			how := attnx.Form{Options: export.Options{Profile: export.Cache, Fuse: fuse != ""}, LastLogits: true}
			if fuse != "" && fuse != "ort" {
				return fmt.Errorf("--fuse %.80q: take ort, or leave it out for standard operators alone", fuse)
			}
			if err := as.into(&how.Options); err != nil {
				return err
			}
			if past < 1 || count < 1 {
				return fmt.Errorf("--past %d and --tokens %d must be 1 or more", past, count)
			}
			if err := d.check(); err != nil {
				return err
			}
			b := generateBench{past: past, count: count, device: d}
			var err error
			name := preset
			if len(args) == 1 {
				name = args[0]
				for _, flag := range []string{"fuse", "dtype", "quantize"} {
					if cmd.Flags().Changed(flag) {
						return fmt.Errorf("--%s belongs to --preset: export the model with it, and measure the file", flag)
					}
				}
				b.open = func() (*attnx.Model, error) { return attnx.OpenModel(name, d.options(s)) }
			} else {
				var c *model.Checkpoint
				if c, err = randomModel(name); err != nil {
					return err
				}
				b.open = func() (*attnx.Model, error) { return attnx.OpenCheckpoint(c, how, d.options(s)) }
			}
			report, err := b.run(cmd.Context(), name, batches)
			if err != nil {
				return err
			}
			warnBusy(s, report.Busy)
			if asJSON {
				return printJSON(s.out, report)
			}
			return report.text(s.out)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&preset, "preset", arch.Largest, "network with random weights: "+strings.Join(arch.Presets(), ", "))
	fl.StringVar(&fuse, "fuse", "", "with --preset: ort measures ONNX Runtime's own operators")
	fl.StringVar(&as.dtype, "dtype", "float32", "with --preset: float32, float16 or bfloat16")
	fl.StringVar(&as.quantize, "quantize", "", "with --preset: int8 or int4")
	fl.IntSliceVar(&batches, "batch", []int{1, 8}, "sequences at a time")
	fl.IntVar(&past, "past", 512, "tokens of a prompt")
	fl.IntVar(&count, "tokens", 32, "tokens to measure, after two that are not")
	jsonFlag(cmd, &asJSON, generateReport{})
	d.flags(fl)
	return cmd
}

// randomModel returns a network of a preset with its first weights, and the
// vocabulary that such networks have in bench train.
func randomModel(preset string) (*model.Checkpoint, error) {
	z, err := benchSizeOf(preset, 0, 0) // the network has its whole context, though bench train takes a part
	if err != nil {
		return nil, err
	}
	return model.New(z.network, 1)
}

// generateBench measures a model. It opens it anew for each batch, whose
// memory the runtime keeps until it is closed.
type generateBench struct {
	open        func() (*attnx.Model, error)
	past, count int
	device      device // where it is opened
}

func (b generateBench) run(ctx context.Context, name string, batches []int) (generateReport, error) {
	r := generateReport{Model: name}
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

// share fills in the shares of the best bandwidth that was seen.
func (r *generateReport) share() {
	for i, row := range r.Rows {
		share, busy := shareOf(row.weights, r.Bandwidth)
		if r.Rows[i].Share = share; busy {
			r.Busy = fmt.Sprintf("the weights came at %.1f GB/s, the memory gave %.1f: the machine was busy while its memory was measured, or the weights fit into a cache", row.weights, r.Bandwidth)
		}
	}
}

// batch measures one batch. The row has no share yet.
func (b generateBench) batch(ctx context.Context, batch int, r *generateReport) (row generateRow, err error) {
	memory.ResetPeak()
	o, err := b.open()
	if err != nil {
		return row, err
	}
	defer o.Close()
	if o.Device == nil {
		return row, fmt.Errorf("%s has no cache of keys and values: export the checkpoint with --profile cache, and see that ONNX Runtime is installed (`attnx doctor`)", o.Path)
	}
	if b.count > o.Context-2 || b.past > o.Context-2-b.count {
		return row, fmt.Errorf("--past %d, two more tokens and --tokens %d do not fit: the model sees %d", b.past, b.count, o.Context)
	}
	peak := memory.Peak()
	if err := r.measureBandwidth(o.Runtime.Device, b.device); err != nil {
		return row, err
	}
	memory.ResetPeak() // what measuring the bandwidth took is not generation's
	timed := &timedDevice{Device: o.Device}
	d, err := decode.New(timed, decode.Options{Batch: batch, Context: o.Context})
	if err != nil {
		return row, err
	}
	prompts, next := make([][]int64, batch), make([]int64, batch)
	stream := model.NewStream(1, "bench")
	for i := range prompts {
		for j := range b.past {
			prompts[i] = append(prompts[i], int64(stream.IntN(uint64(i*b.past+j), o.Checkpoint.Vocab())))
		}
	}
	var first, prefill, step, outside []float64
	for range 3 { // the first finds its memory
		if err := context.Cause(ctx); err != nil {
			return row, err
		}
		began := time.Now()
		logits, err := d.Prefill(prompts)
		if err != nil {
			return row, err
		}
		prefill = append(prefill, time.Since(began).Seconds())
		if err := best(next, logits); err != nil {
			return row, err
		}
		first = append(first, time.Since(began).Seconds())
	}
	for range b.count + 2 {
		if err := context.Cause(ctx); err != nil {
			return row, err
		}
		timed.took = 0
		began := time.Now()
		logits, err := d.Step(next)
		took := time.Since(began)
		if err != nil {
			return row, err
		}
		if err := best(next, logits); err != nil {
			return row, err
		}
		step, outside = append(step, took.Seconds()), append(outside, (took-timed.took).Seconds())
	}
	seconds := median(step[2:])
	row = generateRow{
		Batch: batch, Past: b.past, Prefill: float64(batch*b.past) / median(prefill[1:]), Decode: float64(batch) / seconds,
		weights:    float64(weightBytes(o.File)) / seconds / 1e9,
		FirstToken: median(first[1:]) * 1e3, OutsideMicro: median(outside[2:]) * 1e6, PeakMemory: max(peak, memory.Peak()),
	}
	r.Device = o.Runtime.String()
	return row, r.measureBandwidth(o.Runtime.Device, b.device)
}

// measureBandwidth keeps the best of the measurements: a bound is what the
// memory gives when it is left alone. The memory that it takes is given back.
func (r *generateReport) measureBandwidth(name string, d device) error {
	defer debug.FreeOSMemory()
	now, err := bandwidth(name, d)
	r.Bandwidth = max(r.Bandwidth, now)
	return err
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
// but the tables that are only looked up or cut.
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

func (r generateReport) text(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s, memory %.1f GB/s\n", r.Model, r.Device, r.Bandwidth)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "batch\tpast\tprefill tokens/s\tdecode tokens/s\tfirst token ms\tof the bandwidth\toutside a run µs\tpeak MB\t")
	for _, x := range r.Rows {
		fmt.Fprintf(tw, "%d\t%d\t%.0f\t%.1f\t%.1f\t%s\t%.1f\t%d\t\n", x.Batch, x.Past, x.Prefill, x.Decode, x.FirstToken, percent(x.Share), x.OutsideMicro, x.PeakMemory/1e6)
	}
	return tw.Flush()
}
