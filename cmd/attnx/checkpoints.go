package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
)

// keptReport is the JSON of checkpoints.
type keptReport struct {
	Run         string                 `json:"run"`
	Checkpoints []attnx.KeptCheckpoint `json:"checkpoints"`
}

func checkpointsCommand(s console.Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "checkpoints RUN",
		Short: "List the checkpoints of a run: steps, losses, sizes, state",
		Long: `List the checkpoints in a run's folder. The state is read from header and seal:
they show whether a file was written to its end. attnx verify-seal reads the
rest too. Files that are "set aside" were not whole when the run was resumed.`,
		Example: "  attnx checkpoints runs/go",
		Args:    usage.OneArg("run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := attnx.Checkpoints(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return usage.PrintJSON(s.Out, keptReport{args[0], rows})
			}
			return printKept(s.Out, rows)
		},
	}
	usage.JSONFlag(cmd, &asJSON, keptReport{})
	return cmd
}

func printKept(w io.Writer, rows []attnx.KeptCheckpoint) error {
	number := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprintf("%.4f", *v)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "step\tloss\tval loss\tbytes\tstate\tfile")
	for _, r := range rows {
		step, size := fmt.Sprint(r.Step), thousands(int(r.Bytes))
		if r.State == "set aside" {
			step, size = "-", "-"
		}
		words := []string{r.State}
		if r.Latest {
			words = append(words, "latest")
		}
		if r.Best {
			words = append(words, "best")
		}
		if r.Reason != "" {
			words = append(words, "("+r.Reason+")")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", step, number(r.Loss), number(r.ValLoss), size, strings.Join(words, " "), r.File)
	}
	return tw.Flush()
}
