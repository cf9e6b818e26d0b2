package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/flags"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
)

func diffCommand(s console.Streams) *cobra.Command {
	var asJSON, values bool
	var o attnx.DiffOptions
	var d flags.Device
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show what differs between two models, and by how much",
		Long: `Compare two checkpoints, safetensors files, folders or ONNX files: their tensors
by name, their graphs and their metadata. Where both are sealed, the seals show
which tensors differ, whatever the size of the files; --values reads those
tensors and reports by how much they differ. (verify-seal checks whether a file
still is what its seal says.) A run's folder means its newest checkpoint,
RUN/best its best.

Two ONNX files, of any tool, are compared by structure. Nodes are matched by
what they compute and not by name, so a file whose inner names and order of
nodes are others is equal. Listed are nodes that were added, removed or became
another operator, attributes (with defaults, and in the form of any version),
inputs that were exchanged or read something else, weights (how many elements,
by how much, converted, transposed, joined or split), inputs and outputs,
operator sets and metadata. If anything differs, the report says whether
structure proves that both compute the same all the same, and both are run on
the same inputs, drawn as by attnx run. How far their outputs are apart is given
as a multiple of what rounding explains. Outputs that depend on random draws of
either file are not compared.

Exit codes: 0 they are equal, 1 they differ, 2 they could not be compared.`,
		Example: "  attnx diff runs/go/best runs/go --values\n  attnx diff go.onnx simplified.onnx",
		Args:    usage.Args(2, "files"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if attnx.ONNXFiles(args...) {
				o.Options = d.Options(s)
				return diffONNX(cmd.Context(), s, args, o, asJSON)
			}
			for _, name := range []string{"structure", "input", "tokenizer", "seed", "runtime", "device"} {
				if cmd.Flags().Changed(name) {
					return fmt.Errorf("--%s is for two ONNX files, which are run: leave it out", name)
				}
			}
			x, err := attnx.Compare(args[0], args[1], attnx.CompareOptions{Values: values, Tell: s.Tell})
			if err != nil {
				return err
			}
			if asJSON {
				err = usage.PrintJSON(s.Out, x)
			} else {
				err = x.WriteText(s.Out)
			}
			if err == nil && !x.Equal {
				return errMismatch
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&values, "values", false, "read the tensors that differ and report by how much (of ONNX files always)")
	fl.BoolVar(&o.StructureAlone, "structure", false, "ONNX files: run nothing")
	fl.Var(&o.Inputs, "input", "ONNX files: read an input of the first one (may be repeated)")
	fl.Uint64Var(&o.Seed, "seed", 1, "ONNX files: seed of what is drawn")
	tokenizerFlag(fl, &o.Tokenizer)
	d.Flags(fl, attnx.Oracle)
	usage.JSONFlag(cmd, &asJSON, attnx.Comparison{})
	usage.DescribeJSON(cmd, "Two ONNX files and --json", attnx.ONNXComparison{})
	return cmd
}

// diffONNX compares two ONNX files.
func diffONNX(ctx context.Context, s console.Streams, args []string, o attnx.DiffOptions, asJSON bool) error {
	x, err := attnx.CompareONNX(ctx, args[0], args[1], o)
	if err != nil {
		return err
	}
	if x.Numbers != nil {
		x.Numbers.Reason = words.Replace(x.Numbers.Reason)
	}
	if asJSON {
		err = usage.PrintJSON(s.Out, x)
	} else {
		err = x.WriteText(s.Out)
	}
	if err == nil && !x.Equal {
		return errMismatch
	}
	return err
}
