package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/forms"
	"github.com/attnx/attnx/cmd/attnx/internal/playground"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/train"
)

// folderHelp is the part of export's help about folders.
const folderHelp = `A folder, -o DIR/ with a slash or an empty folder that is there, holds the
profile cache for every runtime at once, with one copy of the weights:
model.onnx refers into model.safetensors, and config.json,
generation_config.json, genai_config.json and the tokenizer's files lie beside.
onnxruntime and onnxruntime-genai open it, and so do PyTorch's transformers and
optimum's ORTModelForCausalLM where they have the architecture: not "simple",
and no network of your own. The folder of a network that can have no past, such
as a classifier, holds the profile plain and no files for generation. That of a
network that translates has encoder_model.onnx, decoder_model.onnx for the first
token and decoder_with_past_model.onnx for the others, as optimum's
ORTModelForSeq2SeqLM expects. Each target begins with one token, so none is
padded on its left, and the decoders have no mask for it. --web puts the model
where transformers.js looks for it, onnx/model.onnx with the weights under the
name onnx/model.onnx_data, which are model.safetensors too: a hard link, or a
copy on file systems without. What translates gets onnx/encoder_model.onnx and
onnx/decoder_model_merged.onnx, both decoders in one file, where the input
use_cache_branch chooses; a browser looks for the weights of each model under
the model's name, so it fetches them twice. In other numbers the names end as
transformers.js expects: _fp16, _quantized for int8, _q4 and _q4f16. --triton
DIR makes, alone or beside, the folder of the model in a repository of the
Triton Inference Server; its inputs and outputs are those of the profile cache,
and a text begins with a past of length 0. Beside it, NAME_text takes a text and
returns what follows, in pieces if asked for; Triton's Python needs onnxruntime
and tokenizers for it. kserve.yaml in the model's folder is a manifest for
KServe. A folder that is not empty is never written into.`

func exportCommand(s console.Streams) *cobra.Command {
	var out string
	var o attnx.ExportOptions
	var asJSON bool
	var as forms.Flags
	var page playground.Flags
	cmd := &cobra.Command{
		Use:   "export CHECKPOINT|GGUF|FOLDER -o OUT",
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
         and decode, and left padding works through the mask. Recurrent
         networks have past_states.N.hidden and .cell instead
  flat   matrices only, one sequence of fixed length, one-hot input; for
         onnx-go, which multiplies nothing of higher rank. Without tokens: the
         features, of --length rows (default 1)
  train  the training step: input_ids, labels (--batch, --length) and every
         weight to loss and grad.<weight>; with --optimizer adamw, and the
         moments, the step and lr, to the next weights and moments. Any
         runtime can train with it

--pooling gives an encoder without a head the output sentence_embedding, one
vector for each text; a model of sentence-transformers has it by itself.

--dtype float16 and bfloat16 are for GPUs. --quantize reports what was lost, as
perplexity and as agreement with the float64 oracle. --by-layer adds what each
weight loses: predicted from gradients, to first order, and measured with that
weight rounded alone. The loss in nats is the mean over the tokens of --text of
the divergence KL(p, q) of the next token's probabilities: p in float64, q with
rounded weights. --keep auto:X keeps weights in 8 bits (of int4) or as they are
until the predicted loss of all is at most X. Activations are not part of it.
--keep exact keeps every weight that integers do not hold exactly: the weights
of a GGUF file in q4_0 or q8_0 stay the integers that they are.

Only attnx and onnxruntime-genai run a file with --fuse ort.

` + folderHelp + "\n\n" + playground.Help,
		Example: "  attnx export runs/go -o go.onnx\n  attnx export runs/go -o go.flat.onnx --profile flat\n  attnx export runs/go -o model/",
		Args:    usage.OneArg("checkpoint"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			given := cmd.Flags().Changed
			if err := page.Check(cmd); err != nil {
				return err
			}
			if page.Folder != "" {
				if !given("batch") {
					o.Batch = 0
				}
				return page.Write(cmd, s, args[0], o.Batch, as.Length, asJSON)
			}
			if out == "" && o.Triton == "" {
				return fmt.Errorf("-o is missing: name the file to write")
			}
			if err := notStdout(out, o.Triton); err != nil {
				return err
			}
			if !given("profile") && (o.Triton != "" || attnx.MeansFolder(out)) {
				as.Name = export.Cache{}.Name()
			}
			if o.Profile, err = as.Profile(); err != nil {
				return err
			}
			o.MaxLoss, o.Exact = as.Limit(), as.Exact()
			o.Text, o.Stdin, o.Tell, o.Saving = as.Text, s.In, s.Tell, func() { ending.FinishFirst(cmd.Context()) }
			if _, isTrain := o.Profile.(export.Train); isTrain {
				o.Length = as.Length
			} else {
				for _, name := range []string{"batch", "optimizer"} {
					if given(name) {
						return fmt.Errorf("--%s belongs to --profile train", name)
					}
				}
				o.Batch = 0
			}
			if o.Text == train.Stdin {
				s.SayInput()
			}
			report, err := attnx.Export(cmd.Context(), args[0], out, o)
			if report != nil { // the report of what was written, even if the measurement was stopped
				report.WriteText(s.Note)
			}
			if err != nil || !asJSON {
				return err
			}
			return usage.PrintJSON(s.Out, report)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "ONNX file to write, or folder/")
	fl.IntVar(&o.Batch, "batch", 12, "train: sequences in a batch")
	as.AddTo(fl)
	page.AddTo(fl)
	fl.BoolVar(&o.ByLayer, "by-layer", false, "with --quantize: report what each weight loses, predicted and measured")
	fl.BoolVar(&o.Web, "web", false, "folder: for transformers.js as well, in browsers and Node")
	fl.StringVar(&o.Triton, "triton", "", "Triton model repository (folder) to put the model into")
	fl.StringVar(&o.Optimizer, "optimizer", "", "train: adamw puts the update into the graph, with the checkpoint's settings")
	fl.StringVar(&o.Pooling.Kind, "pooling", "", "encoder: add embeddings of texts to the outputs, pooled by "+quote.Or(attnx.Poolings()))
	fl.BoolVar(&o.Pooling.Normalized, "normalize", false, "with --pooling: divide each embedding by its length")
	usage.JSONFlag(cmd, &asJSON, attnx.ExportReport{})
	return cmd
}

// notStdout refuses the path "-", which elsewhere means standard output.
func notStdout(paths ...string) error {
	if slices.Contains(paths, "-") {
		return errors.New("-: nothing is written to standard output: name a file (./- for one of this name)")
	}
	return nil
}
