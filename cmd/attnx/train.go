package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/settings"
	"github.com/attnx/attnx/cmd/attnx/internal/tasks"
	"github.com/attnx/attnx/cmd/attnx/internal/trainview"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/versus"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// trainFlags holds the flags of one training run.
type trainFlags struct {
	pairs        tasks.Pairs
	against      []string
	data         []string
	glob         string
	globKept     bool // it comes from a configuration file
	arch, preset string
	tokenizer    string
	vocab        int
	steps, batch int
	accumulate   int
	context      int
	lr           float64
	seed         uint64
	engine       string
	device       string
	out, resume  string
	evalEvery    int
	saveEvery    int
	keep         int
	threads      int
	config       string
	given        string // the given flags as a configuration file
	json         bool
	settings.Settings
	init initFlags
	task tasks.Task
}

func trainCommand(s console.Streams) *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train --data PATH --out RUN",
		Short: "Train a model on text",
		Long: `Train a model on text: files, all files below a folder that match --glob, pipes,
patterns such as 'data/*.txt.zst', and - for standard input. Several --data, or
several paths after one, are learned one after the other. gzip and zstd are
decompressed. The text must fit into memory.

Files named .jsonl or .ndjson hold an object on each line: with text, or with
prompt and completion, of which the completion is learned, or with messages, a
conversation in the chat template of --init, of which the assistant's answers
are learned. --pack lets short ones share a sequence.

With the char and bpe tokenizers the model learns from windows of the whole
text; with the word tokenizer every line is a sequence of its own. A tenth of
the text is kept for validation, unless --val names other files. Examples are
drawn at random; with --epochs each comes once in a pass.

The architecture gpt2 is exactly GPT-2. The architecture simple is
self-attention as textbooks teach it: Q, K and V with bias, and two layers to
the logits. Those of transformers have its names. gru and lstm are recurrent
networks, whose layers are PyTorch's nn.GRU and nn.LSTM, as an encoder and a
decoder with --task translate; a
training step unrolls them, so a long --context takes long to begin.
Presets, as layers / heads / width / context: tiny 2/2/32/16, nano 4/4/128/64
(nanoGPT's for CPUs), small 6/6/384/256, gpt2 12/12/768/1024.

--against gru trains the network and then a GRU, with the width that gives it as
many parameters, on the same data in as many steps, but in no more seconds of
steps, into RUN/gpt2 and RUN/gru, and ends with what attnx compare says of both,
at equal steps and at equal seconds, and RUN/compare.png. At least ten
evaluations a run say what they reached.

--init starts from a model: a checkpoint, a run, a Hugging Face folder, a GGUF
file or an ONNX file of a language model, with its own tokenizer. --add-token
adds tokens to it; the new rows of its weights are the mean of the others.
--freeze 'h.0.*' keeps the weights with such names as they are: * stands for any
characters, and a pattern after ! is an exception from those before it
(--freeze '*' --freeze '!lm_head*'). The run records the hash of the weights
that it began with.

--loss trains an ONNX file of any tool as it is, and any other model for a task:
its loss is of --output. --data is then a text for a language model, or tables
(.csv, .jsonl, .npz) whose columns are the inputs of their names, --text and
--labels. Labels of cross-entropy are classes: numbers from 0 on, or texts in
alphabetical order. Constants and the running moments of BatchNormalization are
not trained (--batch-statistics updates them), and Dropout is off. A single
number of which the file does not say whether it is learned is not, unless
--freeze '!NAME' names it. A file that was exported in training form (PyTorch:
TrainingMode.PRESERVE) drops in steps and uses the moments of the batch there,
as it says. attnx convert RUN -o NEW.onnx --like FILE.onnx writes the weights
into a copy of the file.

--lora RANK trains two small matrices beside each matrix and leaves that as it
is. The run's checkpoints hold both. attnx convert RUN -o NEW --merge adds them
up; convert RUN -o FOLDER --adapter writes them alone, as PEFT has them. --init
of such a folder, or of such a run, trains the adapter further. The matrices of
a GGUF file in Q4_0, Q4_1 or Q8_0 stay as the file has them, and --quantize int8
or int4 rounds those of any other model: they take a quarter of the memory or
less, and each step computes their numbers twice. --merge writes float32.

RUN is a new folder. It gets the checkpoints (step-00000020.safetensors and so
on), the names of the newest and of the best one (of those saved after an
evaluation) in the files latest and best, the place of the text in source.json,
metrics.jsonl and loss.png. Wherever a command expects a checkpoint, RUN
names its newest and RUN/best its best. TensorBoard shows RUN too. config.yaml
keeps the flags of the run; --config takes such a file, or one of your own.

With --device cuda weights and moments stay on the GPU: a step is one graph with
its update, only the batch goes up, and the loss comes down (but with
--accumulate, weights go up and gradients come down). --dtype tf32 or bfloat16
rounds what products multiply there, beside weights and moments in float32.

Ctrl-C finishes the step under way, saves, says how to continue, and exits with
130. So do SIGTERM, SIGHUP (a terminal that closes), and SIGUSR1, SIGUSR2 and
SIGXCPU, which batch queues send. A second Ctrl-C or SIGTERM exits at once. A
closed pipe or terminal does not stop training.

--task translate learns from pairs: .tsv (source, tab, target), .jsonl (source
and target), gettext's catalogues (.po and .mo; plural forms are pairs, fuzzy
messages are left out), folders of these, or --data FILE --target FILE with a
sentence a line. One source in twenty is held out; an evaluation translates
some of these and reports BLEU and chrF (as sacrebleu has them) and how many
keep their placeholders, such as {name}. The tokenizer is bpe with 2,048
tokens for both sides (--separate-vocabularies: for each side, in a marian), and
a side has at most 128 (--context). --init starts from a model that translates,
such as a T5 folder, with its own tokenizer.

--resume continues a run from its newest checkpoint that is whole, however the
run ended; a broken one is set aside. It needs --data only where the text has
moved or came through a pipe. A resumed run ends with the same file, bit for
bit, as one that was never stopped.`,
		Example: `  attnx train --data "$(go env GOROOT)/src/strconv" --glob '*.go' \
    --tokenizer char --preset nano --steps 200 --out runs/go
  attnx train --init models/distilgpt2 --data notes.txt --context 128 \
    --freeze 'h.0.*' --steps 100 --out runs/tuned
  attnx train --resume runs/go --steps 400`,
		Args: func(cmd *cobra.Command, more []string) error {
			if len(f.data) == 0 {
				return usage.NoArgs(cmd, more)
			}
			if len(more) > 0 && len(f.data) > 1 {
				return fmt.Errorf("%.80q follows several --data: name all paths after one --data, or each after its own", more[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, more []string) error {
			if f.config != "" {
				f.globKept = !cmd.Flags().Changed("glob")
				if err := settings.ReadConfig(f.config, cmd.Flags()); err != nil {
					return fmt.Errorf("--%s %w", settings.FileFlag, err)
				}
			}
			f.data = append(f.data, more...)
			f.given = settings.WriteConfig(cmd.Flags(), "out", "resume", "json")
			return f.run(cmd.Context(), s, cmd.Flags().Changed)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.data, "data", nil, "text file, folder or pipe to learn from (-: standard input)")
	fl.StringVar(&f.glob, "glob", "*", "which files of a folder, by name")
	f.pairs.Flags(fl)
	fl.StringVar(&f.arch, "arch", arch.Names()[0], "architecture: "+quote.Or(arch.Decoders())+"; translate: "+quote.Or(arch.Translators()))
	fl.StringSliceVar(&f.against, "against", nil, "also train these with as many parameters, and compare: "+quote.Or(arch.Decoders())+"; translate: "+quote.Or(arch.Translators()))
	fl.StringVar(&f.preset, "preset", "tiny", "size of the network: "+strings.Join(arch.Presets(), ", "))
	fl.StringVar(&f.tokenizer, "tokenizer", "char", "tokenizer: word, char or bpe")
	fl.IntVar(&f.vocab, "vocab", 0, "largest number of tokens in the vocabulary (default: every word or character; 512 for bpe)")
	fl.IntVar(&f.steps, "steps", 200, "optimizer steps")
	fl.IntVar(&f.batch, "batch", 12, "sequences in a batch")
	fl.IntVar(&f.accumulate, "accumulate", 1, "batches whose gradients make one step: large batches in little memory")
	fl.IntVar(&f.context, "context", 0, "tokens in a sequence (default: the preset's)")
	fl.Float64Var(&f.lr, "lr", 1e-3, "highest learning rate (with --init: 5e-5)")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of the first weights and of the order of the data")
	fl.StringVar(&f.engine, "engine", "auto", "what computes the gradients: gorgonia, ort or auto")
	fl.StringVar(&f.device, "device", "cpu", "where the ort engine computes: cpu or cuda")
	fl.IntVar(&f.evalEvery, "eval-every", 0, "steps between evaluations (default: a tenth of --steps)")
	fl.IntVar(&f.saveEvery, "save-every", 0, "steps between checkpoints (default: whenever it evaluates)")
	fl.IntVar(&f.keep, "keep", 3, "newest checkpoints to keep; the best is kept too")
	fl.IntVar(&f.threads, "threads", 0, "threads of the ort engine (default: one per core)")
	f.Settings.Flags(fl)
	fl.StringVar(&f.config, settings.FileFlag, "", "YAML file that gives flags, by their names; flags given here count more")
	fl.StringVar(&f.out, "out", "", "folder of the new run")
	f.init.add(fl)
	f.task.Flags(fl)
	usage.JSONFlag(cmd, &f.json, trainview.Report{})
	fl.StringVar(&f.resume, "resume", "", "folder of a run to continue")
	return cmd
}

// run checks the flags before it touches any file, then begins or resumes a run.
func (f trainFlags) run(ctx context.Context, s console.Streams, given func(string) bool) error {
	if err := f.check(given); err != nil {
		return err
	}
	if f.globKept && given("glob") && !usage.SomeFolder(slices.Concat(f.data, f.Val)) {
		fmt.Fprintf(s.Note, "%s: glob %.80q has no effect: the data are no folders\n", f.config, f.glob)
	}
	view := &trainview.View{Ctx: ctx, Streams: s, Fresh: f.resume == ""}
	data := attnx.Corpus{Files: f.data, Glob: f.glob}
	if slices.Contains(f.data, train.Stdin) {
		s.SayInput()
		data.Reader = s.In
	}
	if len(f.against) > 0 {
		o, err := f.options(data, given)
		if err != nil {
			return err
		}
		return versus.Train(ctx, s, o, f.against, f.json, func(r *attnx.TrainResult, err error) error { return f.ending(s, r, err) })
	}
	train := f.begun
	if f.resume != "" {
		train = f.continued
	}
	result, err := train(ctx, view.Events(), data, given)
	view.Finish()
	if result == nil {
		return err
	}
	return errors.Join(view.End(result, f.json), f.ending(s, result, err))
}

// check refuses invalid flags.
func (f trainFlags) check(given func(string) bool) error {
	switch {
	case len(f.data) == 0 && given("glob"):
		return fmt.Errorf("--glob %.80q belongs to --data: give both", f.glob)
	case given("glob") && !f.globKept && !usage.SomeFolder(slices.Concat(f.data, f.Val)):
		if len(f.Val) > 0 {
			return usage.NoFolder(f.glob, "neither --data nor --val names one")
		}
		return usage.NoFolder(f.glob, "--data names none")
	case f.out == "-":
		return fmt.Errorf("--out -: nothing is written to standard output: name a folder (./- for one of this name)")
	case (f.out == "") == (f.resume == ""):
		return fmt.Errorf("give either --out for a new run or --resume for an old one")
	}
	if f.resume != "" {
		for _, name := range append([]string{"arch", "against", "preset", "tokenizer", "vocab", "batch", "accumulate", "context", "lr", "seed", "eval-every", settings.FileFlag, "init", "freeze", "add-token"}, slices.Concat(settings.Names(), tasks.PairNames, tasks.TaskNames)...) {
			if given(name) {
				return fmt.Errorf("--%s cannot change in a resumed run: leave it out", name)
			}
		}
	}
	if len(f.against) > 0 && slices.Contains(f.data, train.Stdin) {
		return fmt.Errorf("--against reads the data once for each network, and --data - can be read once: name a file")
	}
	if err := errors.Join(f.pairs.Check(given), f.init.check(given), f.task.Check(given, f.init.model)); err != nil {
		return err
	}
	for name, value := range map[string]int{"threads": f.threads, "steps": f.steps, "context": f.context, "save-every": f.saveEvery, "keep": f.keep, "accumulate": f.accumulate} {
		if given(name) && value < 1 {
			return fmt.Errorf("--%s %d: take 1 or more", name, value)
		}
	}
	return f.Settings.Check()
}

// begun begins a run.
func (f trainFlags) begun(ctx context.Context, events attnx.TrainEvents, data attnx.Corpus, given func(string) bool) (*attnx.TrainResult, error) {
	options, err := f.options(data, given)
	if err != nil {
		return nil, err
	}
	options.Events = events
	return attnx.Train(ctx, options)
}

// options returns the options of a new run.
func (f trainFlags) options(data attnx.Corpus, given func(string) bool) (options attnx.TrainOptions, err error) {
	kind, err := tokens.ParseKind(f.tokenizer)
	if err != nil {
		return options, fmt.Errorf("--tokenizer: %w", err)
	}
	o := train.DefaultOptions(f.steps)
	o.Batch, o.Seed, o.LR, o.MinLR = f.batch, f.seed, f.lr, f.lr/10
	o.SaveEvery, o.Keep = f.saveEvery, f.keep
	if f.accumulate > 1 {
		o.Accumulate = f.accumulate
	}
	if given("eval-every") {
		o.EvalEvery = f.evalEvery
	}
	f.Apply(&o)
	options = attnx.TrainOptions{
		Out: f.out, Data: data, Val: attnx.Corpus{Files: f.Val, Glob: f.glob}, Arch: f.arch, Preset: f.preset, Sizes: f.Sizes, Context: f.context, Kind: kind, Vocab: f.vocab,
		Settings: o, Engine: f.engine, EngineOptions: attnx.EngineOptions{Device: f.device, Threads: f.threads}, Config: f.given,
	}
	if !given("tokenizer") {
		options.Kind = 0 // char, unless the data have a tokenizer
	}
	f.init.apply(&options, given)
	f.pairs.Apply(&options, given)
	f.task.Apply(&options)
	return options, nil
}

// continued continues a run under its original settings, except those given as
// flags.
func (f trainFlags) continued(ctx context.Context, events attnx.TrainEvents, data attnx.Corpus, given func(string) bool) (*attnx.TrainResult, error) {
	o := attnx.ResumeOptions{
		Data: data, Val: attnx.Corpus{Files: f.Val, Glob: f.glob}, Epochs: f.Epochs(), SaveEvery: f.saveEvery, Steps: when(given("steps"), f.steps), Keep: when(given("keep"), f.keep), Patience: f.Patience(),
		Engine: when(given("engine"), f.engine), EngineOptions: attnx.EngineOptions{Device: when(given("device"), f.device), Threads: f.threads}, Events: events,
	}
	return attnx.Resume(ctx, f.resume, o)
}

// when returns v if a flag was given, otherwise the zero value.
func when[T any](given bool, v T) (nothing T) {
	if given {
		return v
	}
	return nothing
}

// ending prints how to continue a run that was stopped, or returns why it
// failed.
func (f trainFlags) ending(s console.Streams, r *attnx.TrainResult, err error) error {
	switch {
	case r.Ended == attnx.Stopped:
		fmt.Fprintf(s.Err, "stopped; to continue: %s\n", f.resumeCommand(r.Run, r.Source))
		return errStopped
	case r.Ended == attnx.Early:
		o, _ := train.Saved(r.Model) // the result of a run has its options
		fmt.Fprintf(s.Note, "the validation loss has not fallen in %d evaluations: %s ended after step %d of %d (--resume with a larger --patience continues it)\n", o.Patience, r.Run, r.Model.Step, r.Steps)
	case r.Done == 0 && r.Ended == attnx.Complete:
		fmt.Fprintf(s.Note, "%s has all its %d steps: to continue it, ask for more with --steps\n", r.Run, r.Model.Step)
	}
	return err
}

// resumeCommand returns the command that continues a run. It names the data if
// the run cannot find them.
func (f trainFlags) resumeCommand(folder string, from *train.Source) string {
	words := []string{"attnx", "train", "--resume", folder}
	if from == nil {
		for _, path := range f.data {
			words = append(words, "--data", path)
		}
		if f.glob != "*" {
			words = append(words, "--glob", f.glob)
		}
	}
	return quote.Shell(words)
}
