// Package versus is the command that compares runs of training.
package versus

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/plot"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
)

// Command returns attnx compare.
func Command(s console.Streams) *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare RUN RUN...",
		Short: "Compare runs of training: losses, speeds and a verdict",
		Long: `Compare runs of any networks on the same data: their parameters, tokens and
seconds, validation losses and, for translators, BLEU and chrF; how many tokens
a second the network reads in a text of 16 to 1,024 tokens; a verdict in a
sentence: which network ends with the lower validation loss, by how many seeds,
which one leads where the shortest run ended, and the BLEU of translators; and
the loss of the validation data by position in the text, where these data still
are where they were. -o draws the losses against steps, tokens and seconds, the
speeds and the losses by position in one picture. Seconds are those of training
steps: they compare runs of the same machine that had it for themselves.`,
		Example: "  attnx compare runs/first runs/second -o losses.png",
		Args:    usage.SomeArgs("run"),
		RunE: func(_ *cobra.Command, folders []string) error {
			if out != "" {
				if _, err := plot.Format(out); err != nil {
					return fmt.Errorf("--output: %w", err)
				}
				claim, err := output.Claim(output.Picture, out, folders...)
				if err != nil {
					return fmt.Errorf("--output: %w", err)
				}
				defer claim.Close()
			}
			c, err := attnx.CompareRuns(folders, attnx.Options{Tell: s.Tell})
			if err != nil {
				return err
			}
			if out != "" {
				if err := plot.Runs(out, c.Runs); err != nil {
					return err
				}
				fmt.Fprintf(s.Note, "wrote %s\n", out)
			}
			if asJSON {
				return usage.PrintJSON(s.Out, c)
			}
			return print(s, c)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "picture to draw, .png or .svg")
	usage.JSONFlag(cmd, &asJSON, attnx.RunComparison{})
	return cmd
}

// print prints the runs as tables.
func print(s console.Streams, c *attnx.RunComparison) error {
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "run\tnetwork\tparameters\tseed\tsteps\ttokens\tseconds\tval loss\tat %.0f steps\tat %.1f s\n", c.EqualSteps.At, c.EqualSeconds.At)
	number := func(x *float64) string {
		if x == nil {
			return "-"
		}
		return fmt.Sprintf("%.4f", *x)
	}
	for i, r := range c.Runs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%.1f\t%s\t%s\t%s\n", r.Run, r.Arch, quote.Count(r.Parameters), r.Seed, r.Steps, quote.Count(r.Tokens), r.Seconds,
			number(r.ValLoss), number(c.EqualSteps.Losses[i]), number(c.EqualSeconds.Losses[i]))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range c.Runs {
		if r.Scores != nil {
			fmt.Fprintf(s.Out, "%s: %s\n", r.Run, r.Scores)
		}
		if len(r.Speeds) > 0 {
			var parts []string
			for _, v := range r.Speeds {
				parts = append(parts, fmt.Sprintf("%d: %s", v.Length, quote.Count(int(v.TokensPerSecond))))
			}
			fmt.Fprintln(s.Out, usage.Wrapped(fmt.Sprintf("%s: tokens/s by length of text: %s", r.Run, strings.Join(parts, ", ")), usage.Columns))
		}
		if len(r.Positions) > 0 {
			var parts []string
			for _, p := range r.Positions {
				at := fmt.Sprint(p.To)
				if p.From < p.To {
					at = fmt.Sprintf("%d-%d", p.From, p.To)
				}
				parts = append(parts, fmt.Sprintf("%s: %.3f", at, p.Loss))
			}
			fmt.Fprintln(s.Out, usage.Wrapped(fmt.Sprintf("%s: loss by position in the text: %s", r.Run, strings.Join(parts, ", ")), usage.Columns))
		}
	}
	_, err := fmt.Fprintln(s.Out, usage.Wrapped(c.Verdict, usage.Columns))
	return err
}
