package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/bench"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/flags"
	"github.com/attnx/attnx/cmd/attnx/internal/forms"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/model/arch"
)

func benchGenerateCommand(s console.Streams) *cobra.Command {
	var preset, fuse string
	var as forms.Numbers
	var batches []int
	var past, count int
	var asJSON bool
	var d flags.Device
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
			if err := forms.CheckFuse(fuse); err != nil {
				return err
			}
			f, err := as.Form()
			if err != nil {
				return err
			}
			how := export.Cache{Fuse: fuse != "", LastLogits: true, DType: f.DType, Quantize: f.Quantize}
			if past < 1 || count < 1 {
				return fmt.Errorf("--past %d and --tokens %d must be 1 or more", past, count)
			}
			if err := d.Check(); err != nil {
				return err
			}
			b := bench.Generation{Past: past, Count: count, Options: d.Options(s)}
			name := preset
			if len(args) == 1 {
				name = args[0]
				for _, flag := range []string{"fuse", "dtype", "quantize"} {
					if cmd.Flags().Changed(flag) {
						return fmt.Errorf("--%s belongs to --preset: export the model with it, and measure the file", flag)
					}
				}
				b.Open = func(o attnx.Options) (*attnx.Model, error) { return attnx.OpenModel(name, o) }
			} else {
				c, err := bench.Random(name)
				if err != nil {
					return err
				}
				b.Open = func(o attnx.Options) (*attnx.Model, error) { return attnx.OpenCheckpoint(c, how, o) }
			}
			r, err := b.Run(cmd.Context(), name, batches)
			if err != nil {
				return err
			}
			warnBusy(s, r.Busy)
			if asJSON {
				return usage.PrintJSON(s.Out, r)
			}
			fmt.Fprintf(s.Out, "%s: %s, memory %.1f GB/s\n", r.Model, r.Device, r.Bandwidth)
			return table(s.Out, "batch\tpast\tprefill tokens/s\tdecode tokens/s\tfirst token ms\tof the bandwidth\toutside a run µs\tpeak MB", r.Rows, func(x bench.GenerateRow) string {
				return fmt.Sprintf("%d\t%d\t%.0f\t%.1f\t%.1f\t%s\t%.1f\t%d", x.Batch, x.Past, x.Prefill, x.Decode, x.FirstToken, usage.Percent(x.Share), x.OutsideMicro, x.PeakMemory/1e6)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&preset, "preset", "", "network with random weights: "+strings.Join(arch.Presets(), ", "))
	fl.StringVar(&fuse, "fuse", "", "with --preset: ort measures ONNX Runtime's own operators")
	fl.StringVar(&as.DType, "dtype", "float32", "with --preset: float32, float16 or bfloat16")
	fl.StringVar(&as.Quantize, "quantize", "", "with --preset: int8 or int4")
	fl.IntSliceVar(&batches, "batch", []int{1, 8}, "sequences at a time")
	fl.IntVar(&past, "past", 512, "tokens of a prompt")
	fl.IntVar(&count, "tokens", 32, "tokens to measure, after two that are not")
	usage.JSONFlag(cmd, &asJSON, bench.GenerateReport{})
	d.Flags(fl)
	return cmd
}
