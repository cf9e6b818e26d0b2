package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
)

func verifySealCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "verify-seal FILE...",
		Short: "Read whole checkpoints and compare every byte with their seals",
		Long: `Read every byte of checkpoints and compare it with the checksums in their seals.
A line for each file: its root hash, which stands for all of its bytes, or what
is wrong. A run's folder stands for its newest whole checkpoint.

Exit codes: 0 all are sealed and whole, 1 one is broken or has no seal, 2 one
cannot be read.`,
		Example: "  attnx verify-seal runs/go",
		Args:    someArgs("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var worst error
			for _, path := range args {
				path, err := resolve(path, s.err)
				if err == nil {
					err = verifySeal(s, path)
				}
				var bad *format.FormatError
				var seal *format.SealError
				switch {
				case err == nil:
				case errors.As(err, &seal), errors.As(err, &bad):
					fmt.Fprintf(s.out, "broken  %s\n", oneLine(err.Error()))
					if worst == nil {
						worst = errMismatch
					}
				default:
					if worst == nil || errors.Is(worst, errMismatch) {
						worst = err
					} else {
						fmt.Fprintf(s.err, "attnx: %s\n", explain(err))
					}
				}
			}
			return worst
		},
	}
}

func verifySeal(s streams, path string) error {
	f, err := format.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Verify(); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "sealed  %s  %s\n", f.Seal().Root, path)
	return nil
}
