package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format/gguf"
)

func convertCommand(s console.Streams) *cobra.Command {
	var out, dtype, like, to string
	var asJSON, merge, adapter bool
	cmd := &cobra.Command{
		Use:   "convert IN -o OUT",
		Short: "Convert between checkpoints, model folders, GGUF and ONNX files",
		Long: `Convert a model from one form to another. IN is a checkpoint, a run's folder, a
Hugging Face folder (one file or shards, or a repository in its cache), a GGUF
file or an ONNX file. OUT is a checkpoint if its name ends with .safetensors, a
GGUF file if it ends with .gguf, otherwise a new folder in Hugging
Face's layout: config.json, model.safetensors, tokenizer.json. From the ONNX
file of another tool convert takes the weights, and the configuration and the
tokenizer beside it.

--like FILE.onnx writes a copy of an ONNX file, of any tool, with the weights of
IN: a run that was trained from it with --init and --loss, as in
attnx convert runs/tuned -o tuned.onnx --like model.onnx. All other bytes are
those of FILE.onnx.

--merge adds what train --lora learned to the weights. --adapter writes it
alone: adapter_config.json and adapter_model.safetensors, which PEFT opens, or
for ONNX Runtime, if OUT ends with .onnx_adapter; it is activated over a file
of export --adapter-inputs. A folder of PEFT is read with its base, which lies
beside it or where adapter_config.json says.

--to torch writes a run's model, optimizer, settings and data for PyTorch.
fixtures/distributed/train.py goes on from there with torchrun, on several
machines, and writes a folder that attnx train --resume takes.

A checkpoint holds float32. --dtype writes a folder or a GGUF file in a smaller
type and reports the rounding: how many weights changed, and by how much at
most. A GGUF file has it in its matrices. Those whose rows are no whole blocks
of the type (32 elements, 256 for q4_k) get q5_0 or float16.`,
		Example: "  attnx convert runs/go -o folder\n  attnx convert folder -o model.safetensors\n  attnx convert runs/go -o half --dtype bfloat16\n  attnx convert folder -o model.gguf --dtype q8_0",
		Args:    usage.OneArg("checkpoint, folder, GGUF or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if out == "" {
				return fmt.Errorf("-o is missing: name a file that ends with .safetensors or .gguf, or a folder")
			}
			if err := notStdout(out); err != nil {
				return err
			}
			o := attnx.ConvertOptions{Tell: s.Tell, Like: like, To: to, Merge: merge, Adapter: adapter, Saving: func() { ending.FinishFirst(cmd.Context()) }}
			if attnx.MeansGGUF(out) {
				o.GGUF, err = gguf.ParseWritable(dtype)
			} else {
				o.DType, err = precision.ParseDType(dtype)
			}
			if err != nil {
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
	cmd.Flags().StringVarP(&out, "output", "o", "", "checkpoint (.safetensors), GGUF file (.gguf) or folder to write")
	cmd.Flags().StringVar(&dtype, "dtype", "float32", "of the weights: float32, bfloat16 or float16; of a GGUF file also q8_0, q5_0, q4_0 or q4_k")
	cmd.Flags().BoolVar(&merge, "merge", false, "add the adapter of IN (train --lora) to its weights")
	cmd.Flags().BoolVar(&adapter, "adapter", false, "write the adapter alone, as a folder that PEFT opens")
	cmd.Flags().StringVar(&to, "to", "", "torch: hand a run over to PyTorch, for several machines")
	cmd.Flags().StringVar(&like, "like", "", "ONNX file to copy with the weights of IN, if OUT ends with .onnx")
	usage.JSONFlag(cmd, &asJSON, attnx.ConvertReport{})
	return cmd
}
