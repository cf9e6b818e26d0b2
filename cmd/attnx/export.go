package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
)

func exportCommand(s streams) *cobra.Command {
	var out, optimizer string
	var batch int
	var asJSON bool
	var as profileFlags
	var to folders
	cmd := &cobra.Command{
		Use:   "export CHECKPOINT -o OUT",
		Short: "Write a model as an ONNX file or as a folder for every runtime",
		Long: `Write a checkpoint as an ONNX file. The file carries the configuration, the
tokenizer and the fingerprint of the network: attnx generate needs nothing
else. Past 1.9 GB the weights go to a file beside it. An earlier export of the
same name is replaced once the new one is complete; any other file is kept.

Profiles:
  plain  input_ids int64 (batch_size, sequence_length) to logits; any sizes;
         for ONNX Runtime and everything like it
  cache  the same with a past: input_ids, attention_mask, position_ids and
         past_key_values.N.key and .value to logits and present.N.key and
         .value; a past of length 0 begins a text, so one file does prefill
         and decode, and left padding works through the mask
  flat   matrices only, one sequence of fixed length, one-hot input; for
         onnx-go, which multiplies nothing of higher rank
  train  the training step: input_ids, labels (--batch, --length) and every
         weight to loss and grad.<weight>; with --optimizer adamw, and the
         moments, the step and lr, to the next weights and moments. Any
         runtime can train with it

--dtype float16 and bfloat16 are for GPUs. --quantize reports what was lost, as
perplexity and as agreement with the float64 oracle. Only attnx and
onnxruntime-genai run a file with --fuse ort.

` + folderHelp,
		Example: "  attnx export runs/go -o go.onnx\n  attnx export runs/go -o go.flat.onnx --profile flat\n  attnx export runs/go -o model/",
		Args:    oneArg("checkpoint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" && to.triton == "" {
				return fmt.Errorf("-o is missing: name the file to write")
			}
			var err error
			if as.name, err = to.profile(as.name, out, cmd.Flags().Changed("profile")); err != nil {
				return err
			}
			p, err := as.profile()
			if err != nil {
				return err
			}
			_, train := p.(export.Train)
			for _, name := range []string{"batch", "optimizer"} {
				if !train && cmd.Flags().Changed(name) {
					return fmt.Errorf("--%s belongs to --profile train", name)
				}
			}
			if optimizer != "" && optimizer != "adamw" {
				return fmt.Errorf("--optimizer %.80q: take adamw, or leave it out for gradients alone", optimizer)
			}
			if to.wanted(out) {
				report, err := to.run(cmd.Context(), args[0], out, p, as.numbers, s)
				if err != nil || !asJSON {
					return err
				}
				return printJSON(s.out, report)
			}
			place, err := claim(output.ONNX, out, args[0], as.text)
			if err != nil {
				return err
			}
			defer place.Close()
			load := find.Loader(model.LoadModel)
			if optimizer != "" { // its settings are in the training state
				load = model.Load
			}
			c, _, err := find.Load(args[0], s.tell, load)
			if err != nil {
				return err
			}
			if err := warnTokenizer(args[0], c, s); err != nil {
				return err
			}
			text, err := as.heldOut(cmd.Context(), s, c, p)
			if err != nil {
				return err
			}
			var sum export.Summary
			if train {
				sum, err = exportStep(c, out, p, batch, as.length, optimizer)
			} else {
				sum, err = attnx.Export(c, out, p)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(s.note, "wrote %s: profile %s, opset %d, %d nodes, %s bytes\n", strings.Join(sum.Files, " and "), as.name, sum.Opset, sum.Nodes, thousands(int(sum.Bytes)))
			report := as.report()
			report.Profile, report.Opset, report.Nodes = as.name, sum.Opset, sum.Nodes
			report.wrote(sum.Files...)
			if report.Lost, err = as.say(cmd.Context(), s.note, c, p, text, sum.Numbers); err != nil || !asJSON {
				return err
			}
			return printJSON(s.out, report)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "ONNX file to write, or folder/")
	fl.IntVar(&batch, "batch", 12, "train: sequences in a batch")
	as.flags(fl)
	to.flags(fl)
	fl.StringVar(&optimizer, "optimizer", "", "train: adamw puts the update into the graph, with the checkpoint's settings")
	jsonFlag(cmd, &asJSON, exportReport{})
	return cmd
}

// exportStep writes the training step of a model as an ONNX file, with its
// optimizer if one is named. The weights are its inputs: they stay in the
// checkpoint.
func exportStep(c *model.Checkpoint, path string, p export.Profile, batch, length int, optimizer string) (export.Summary, error) {
	if length == 0 {
		length = c.Context()
	}
	var g *graph.Graph
	var err error
	if optimizer == "" {
		g, err = model.Step(c.Graph, batch, length)
	} else {
		o := train.DefaultOptions(1)
		if c.Train != nil {
			if o, err = train.Saved(c); err != nil {
				return export.Summary{}, err
			}
			o.Accumulate = 0
		}
		g, err = train.BuildTraining(c.Graph, batch, length, o)
	}
	if err != nil {
		return export.Summary{}, err
	}
	return export.File(path, g, nil, p)
}
