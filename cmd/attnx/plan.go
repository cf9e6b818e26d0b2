package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/export/placement"
)

// planFlags are the flags of verify that are valid with --plan, which runs
// nothing.
var planFlags = []string{"plan", "json"}

// planFor is verify --plan: it reports where the nodes of an ONNX file would
// run.
func planFor(cmd *cobra.Command, s console.Streams, provider string, files []string, asJSON bool) error {
	if provider != string(placement.CUDA) {
		return fmt.Errorf("--plan: there is no table for %.80q: take cuda", provider)
	}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && !slices.Contains(planFlags, f.Name) {
			err = fmt.Errorf("--plan and --%s exclude each other: a plan runs nothing", f.Name)
		}
	})
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return fmt.Errorf("--plan takes one ONNX file and no checkpoint, got %d files: see `%s --help`", len(files), cmd.CommandPath())
	}
	file, plan, err := attnx.Plan(files[0])
	if err != nil {
		return err
	}
	if asJSON {
		err = usage.PrintJSON(s.Out, plan)
	} else {
		err = plan.WriteText(s.Out, file)
	}
	if err != nil {
		return err
	}
	if !plan.Clean() {
		return errMismatch
	}
	return nil
}
