package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/internal/find"
)

func verifySealCommand(s console.Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify-seal FILE...",
		Short: "Read whole checkpoints and compare every byte with their seals",
		Long: `Read every byte of checkpoints and compare it with the checksums in their seals.
It prints a line for each file: its root hash, which covers all of its bytes, or
what is wrong. A run's folder means all of its checkpoints.

Exit codes: 0 all are sealed and whole, 1 one is broken or has no seal, 2 one
cannot be read.`,
		Example: "  attnx verify-seal runs/go",
		Args:    usage.SomeArgs("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var worst error
			report := sealReport{Whole: true, Files: []sealed{}}
			tell := func(f sealed, text string) {
				if report.Files = append(report.Files, f); !asJSON {
					fmt.Fprintf(s.Out, "%-6s  %s\n", f.State, text)
				}
			}
			var paths []string
			for _, arg := range args {
				files, _, err := find.Checkpoints(arg)
				if err != nil {
					return err
				}
				paths = append(paths, files...)
			}
			for _, path := range paths {
				file, root, err := attnx.VerifySeal(path, s.Tell)
				switch {
				case err == nil:
					tell(sealed{File: file, State: "sealed", Root: root}, root+"  "+file)
				case errors.Is(err, fs.ErrNotExist) && !slices.Contains(args, path):
					// a run in progress has pruned it meanwhile
				case find.Damaged(err):
					report.Whole = false
					tell(sealed{File: file, State: "broken", Reason: explain(err)}, explain(err))
					if worst == nil {
						worst = errMismatch
					}
				default:
					if worst == nil || errors.Is(worst, errMismatch) {
						worst = err
					} else {
						fmt.Fprintf(s.Err, "attnx: %s\n", explain(err))
					}
				}
			}
			if asJSON && (worst == nil || errors.Is(worst, errMismatch)) {
				if err := usage.PrintJSON(s.Out, report); err != nil {
					return err
				}
			}
			return worst
		},
	}
	usage.JSONFlag(cmd, &asJSON, sealReport{})
	return cmd
}

// sealReport is the JSON of verify-seal.
type sealReport struct {
	Whole bool     `json:"whole"` // all files are sealed and undamaged
	Files []sealed `json:"files"`
}

type sealed struct {
	File   string `json:"file"`
	State  string `json:"state"`          // "sealed", or "broken", which includes files without a seal
	Root   string `json:"root,omitempty"` // hexadecimal
	Reason string `json:"reason,omitempty"`
}
