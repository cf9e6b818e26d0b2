package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/cmd/attnx/internal/bench"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
)

func benchCommand(s console.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure training and generation on this machine",
		Example: "  attnx bench train --preset nano,small\n  attnx bench kernels --preset nano\n  attnx bench generate --preset gpt2",
		Args:    usage.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchTrainCommand(s), benchKernelsCommand(s), benchGenerateCommand(s))
	return cmd
}

// benchFlags are the flags of the commands that take training steps.
type benchFlags struct {
	batch, context, steps int
	json                  bool
}

// add adds the flags to a command. untimed describes the steps before the
// measured ones. answer is the command's JSON.
func (f *benchFlags) add(cmd *cobra.Command, steps int, untimed string, answer any) {
	fl := cmd.Flags()
	fl.IntVar(&f.batch, "batch", 0, "sequences in a batch (default: the preset's)")
	fl.IntVar(&f.context, "context", 0, "tokens in a sequence (default: the preset's)")
	fl.IntVar(&f.steps, "steps", steps, "steps to measure, after "+untimed)
	usage.JSONFlag(cmd, &f.json, answer)
}

func (f benchFlags) check() error {
	if f.batch < 0 || f.context < 0 || f.steps < 1 {
		return fmt.Errorf("--batch %d and --context %d must not be negative, --steps %d must be 1 or more", f.batch, f.context, f.steps)
	}
	return nil
}

func benchTrainCommand(s console.Streams) *cobra.Command {
	var presets, engines []string
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Measure training steps",
		Long: `Measure training steps: loss, gradient, clipping and AdamW. Times are medians.
The share compares a step with a matrix product of 1024 x 1024 x 1024 that ONNX
Runtime computes in the same run. No share is printed where the step was the
faster one: the machine was busy while the product was measured.`,
		Example: "  attnx bench train --preset nano,small\n  attnx bench train --preset nano --engine gorgonia,ort --json",
		Args:    usage.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := f.check(); err != nil {
				return err
			}
			r, err := bench.Train(presets, engines, f.batch, f.context, f.steps)
			if err != nil {
				return err
			}
			warnBusy(s, r.Busy)
			if f.json {
				return usage.PrintJSON(s.Out, r)
			}
			fmt.Fprintf(s.Out, "GEMM peak %.0f GFLOP/s\n", r.GEMMPeak)
			return table(s.Out, "preset\tengine\tbatch\tcontext\tms a step\toptimizer\ttokens/s\tGFLOP/s\tshare\tpeak MB", r.Rows, func(x bench.TrainRow) string {
				return fmt.Sprintf("%s\t%s\t%d\t%d\t%.1f\t%.1f\t%.0f\t%.1f\t%s\t%d", x.Preset, x.Engine, x.Batch, x.Context,
					x.MsPerStep, x.OptimizerMs, x.TokensPerSecond, x.GFLOPS, usage.Percent(x.GEMMShare), x.PeakMemory/1e6)
			})
		},
	}
	cmd.Flags().StringSliceVar(&presets, "preset", []string{"nano"}, "networks to measure: "+strings.Join(bench.Presets(), ", "))
	cmd.Flags().StringSliceVar(&engines, "engine", []string{"gorgonia", "ort"}, "engines to measure: gorgonia, ort")
	f.add(cmd, 9, "two that are not", bench.TrainReport{})
	return cmd
}

func benchKernelsCommand(s console.Streams) *cobra.Command {
	var preset string
	var f benchFlags
	cmd := &cobra.Command{
		Use:     "kernels",
		Short:   "Show where the time of a training step goes, by operator",
		Long:    "Show where the time of a training step goes, by operator, from ONNX Runtime's\nown profile: the mean of some steps, after one that is not counted.",
		Example: "  attnx bench kernels --preset nano",
		Args:    usage.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := f.check(); err != nil {
				return err
			}
			z, err := bench.SizeOf(preset, f.batch, f.context)
			if err != nil {
				return err
			}
			r, err := bench.Kernels(z, f.steps)
			if err != nil {
				return err
			}
			if f.json {
				return usage.PrintJSON(s.Out, r)
			}
			return table(s.Out, "operator\tnodes\tms a step\tshare", r.Rows, func(x bench.KernelRow) string {
				return fmt.Sprintf("%s\t%.0f\t%.3f\t%.1f %%", x.Op, x.Nodes, x.Ms, 100*x.Share)
			})
		},
	}
	cmd.Flags().StringVar(&preset, "preset", "nano", "network to measure: "+strings.Join(bench.Presets(), ", "))
	f.add(cmd, 10, "one that is not", bench.KernelReport{})
	return cmd
}

// table writes rows below a line of headings, with cells aligned right.
func table[T any](w io.Writer, headings string, rows []T, line func(T) string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, headings+"\t")
	for _, r := range rows {
		fmt.Fprintln(tw, line(r)+"\t")
	}
	return tw.Flush()
}

// warnBusy warns that a share is missing because the machine was busy.
func warnBusy(s console.Streams, why string) {
	if why != "" {
		fmt.Fprintf(s.Err, "attnx: no share: %s\n", why)
	}
}
