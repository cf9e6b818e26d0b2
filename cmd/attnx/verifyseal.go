package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
)

func verifySealCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "verify-seal FILE...",
		Short: "Read whole checkpoints and compare every byte with their seals",
		Long: `Read every byte of checkpoints and compare it with the checksums in their seals.
A line for each file: its root hash, which stands for all of its bytes, or what
is wrong. A run's folder stands for all of its checkpoints.

Exit codes: 0 all are sealed and whole, 1 one is broken or has no seal, 2 one
cannot be read.`,
		Example: "  attnx verify-seal runs/go",
		Args:    someArgs("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var worst error
			paths, err := checkpointsOf(args, 0)
			if err != nil {
				return err
			}
			for _, path := range paths {
				err := verifySeal(s, path)
				switch {
				case err == nil:
				case errors.Is(err, fs.ErrNotExist) && !slices.Contains(args, path):
					// of a run that is going on: pruned meanwhile
				case damaged(err):
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
	path, err := resolve(path, s)
	if err != nil {
		return err
	}
	if err := regularFile(path); err != nil {
		return err
	}
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
