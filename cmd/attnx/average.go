package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/internal/output"
)

// averageReport is the JSON of average.
type averageReport struct {
	File        string   `json:"file"`
	Checkpoints []string `json:"checkpoints"` // the averaged checkpoints
}

func averageCommand(s console.Streams) *cobra.Command {
	var out string
	var last int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "average RUN|CHECKPOINT... -o OUT.safetensors",
		Short: "Write the mean of several checkpoints of one network",
		Long: `Write the mean of the weights of several checkpoints as a new checkpoint,
without training state. A run's folder means the checkpoints it has kept,
with --last K for the newest K of them.`,
		Example: "  attnx average runs/go --last 3 -o mean.safetensors",
		Args:    usage.SomeArgs("checkpoint or run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return fmt.Errorf("-o is missing: name the checkpoint to write")
			}
			if cmd.Flags().Changed("last") && last < 1 {
				return fmt.Errorf("--last %d: take 1 or more", last)
			}
			place, err := claim(output.Checkpoint, out, args...)
			if err != nil {
				return err
			}
			defer place.Close()
			c, paths, err := attnx.Average(args, last, s.Tell)
			if err != nil {
				return err
			}
			ending.FinishFirst(cmd.Context())
			if err := c.Save(out); err != nil {
				return err
			}
			fmt.Fprintf(s.Note, "wrote %s: the mean of %d checkpoints\n", out, len(paths))
			if asJSON {
				return usage.PrintJSON(s.Out, averageReport{out, paths})
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "checkpoint to write")
	cmd.Flags().IntVar(&last, "last", 0, "of a run: the newest K checkpoints only (default: all that it has kept)")
	usage.JSONFlag(cmd, &asJSON, averageReport{})
	return cmd
}
