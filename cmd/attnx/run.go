package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/flags"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/model/role"
)

func runCommand(s console.Streams) *cobra.Command {
	var o attnx.RunOptions
	var asJSON bool
	var d flags.Device
	cmd := &cobra.Command{
		Use:   "run MODEL",
		Short: "Run an ONNX file of any tool and show its outputs",
		Long: `Run an ONNX file once, whatever wrote it, and show what it gives. An input is
read from .npy, .npz, .json or .pb (ONNX's TensorProto); the others are drawn:
ids below the table that they index, masks of ones, images from 0 to 1. The
oracle evaluates the file's graph in float64.

Strings, sequences, optional values and maps are read from .json (nested lists,
null, an object) or .pb, and an input of one string from text:WORDS. ONNX
Runtime runs such files; the oracle runs those without strings and maps. Outputs
of these kinds are kept as .json.

NAME=text:WORDS, or a file that ends with .txt, gives the ids of a text, with
the special tokens of the tokenizer: tokenizer.json beside the file (or above
its folder, if that is called onnx), or --tokenizer. Its mask, positions and
segments are filled to fit, unless they are given.`,
		Example: "  attnx run model.onnx\n  attnx run model.onnx --input \"" + role.Tokens.Name() + "=text:Once upon a time\"\n  attnx run model.onnx --input image=cat.npy --runtime oracle -o outputs",
		Args:    usage.OneArg("ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Options, o.Saving = d.Options(s), func() { ending.FinishFirst(cmd.Context()) }
			report, err := attnx.RunONNX(args[0], o)
			if err != nil {
				return err
			}
			if asJSON {
				return usage.PrintJSON(s.Out, report)
			}
			return report.WriteText(s.Out)
		},
	}
	fl := cmd.Flags()
	d.Flags(fl, attnx.Oracle)
	fl.Var(&o.Inputs, "input", "read an input, or text:WORDS for one (may be repeated)")
	tokenizerFlag(fl, &o.Tokenizer)
	fl.Uint64Var(&o.Seed, "seed", 1, "seed of what is drawn")
	fl.StringVarP(&o.Out, "output", "o", "", "folder to make, with each output as a .npy file (strings, sequences and maps: .json)")
	usage.JSONFlag(cmd, &asJSON, attnx.RunReport{})
	return cmd
}

// tokenizerFlag adds the flag for inputs that are texts.
func tokenizerFlag(fl *pflag.FlagSet, path *string) {
	fl.StringVar(path, "tokenizer", "", "of an input that is a text: tokenizer.json, or the folder or checkpoint of its model (default: beside the ONNX file)")
}
