package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/export/precision"
)

func convertCommand(s console.Streams) *cobra.Command {
	var out, dtype string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "convert IN -o OUT",
		Short: "Convert between checkpoints, Hugging Face folders and ONNX files",
		Long: `Convert a model from one form to another. IN is a checkpoint, a run's folder, a
Hugging Face folder (one file or shards) or an ONNX file; OUT is a checkpoint
if its name ends with .safetensors, otherwise a new folder in Hugging Face's
layout: config.json, model.safetensors, tokenizer.json. From the ONNX file of
another tool convert takes the weights, and the configuration and the tokenizer
beside it.

A checkpoint holds float32. --dtype writes a folder in a smaller type and
reports the rounding: how many weights changed, and by how much at most.`,
		Example: "  attnx convert runs/go -o folder\n  attnx convert folder -o model.safetensors\n  attnx convert runs/go -o half --dtype bfloat16",
		Args:    usage.OneArg("checkpoint, folder or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if out == "" {
				return fmt.Errorf("-o is missing: name a file that ends with .safetensors for a checkpoint, or a folder")
			}
			if err := notStdout(out); err != nil {
				return err
			}
			o := attnx.ConvertOptions{Tell: s.Tell, Saving: func() { ending.FinishFirst(cmd.Context()) }}
			if o.DType, err = precision.ParseDType(dtype); err != nil {
				return fmt.Errorf("--dtype: %w", err)
			}
			report, err := attnx.Convert(args[0], out, o)
			if err != nil {
				return err
			}
			report.WriteText(s.Note)
			if asJSON {
				return usage.PrintJSON(s.Out, report)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "checkpoint (.safetensors) or folder to write")
	cmd.Flags().StringVar(&dtype, "dtype", "float32", "of a folder's weights: float32, bfloat16 or float16")
	usage.JSONFlag(cmd, &asJSON, attnx.ConvertReport{})
	return cmd
}
