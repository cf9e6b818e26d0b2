package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
)

func resealCommand(s console.Streams) *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reseal FILE",
		Short: "Give a file that another tool wrote or rewrote a new seal",
		Long: `Write a safetensors file in canonical order and with a seal, in its place or to
another file. Its tensors are taken as they are now. If another tool kept the
old seal among the tensors, attnx says which of them are still what was sealed.

A file that is broken in itself, cut short for instance, gets no seal.`,
		Example: "  attnx reseal model.safetensors\n  attnx reseal model.safetensors -o sealed.safetensors",
		Args:    usage.OneArg("safetensors file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := notStdout(out); err != nil {
				return err
			}
			ending.FinishFirst(cmd.Context())
			report, err := attnx.Reseal(args[0], out)
			if err != nil {
				return err
			}
			report.WriteText(s.Note)
			if asJSON {
				return usage.PrintJSON(s.Out, report)
			}
			_, err = fmt.Fprintf(s.Out, "sealed  %s  %s\n", report.Root, report.File)
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (default: the same file, once the new one is complete)")
	usage.JSONFlag(cmd, &asJSON, attnx.ResealReport{})
	return cmd
}
