package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// The files of a run's folder beside its checkpoints.
const (
	metricsFile  = store.MetricsName
	lossPlotFile = store.LossPlotName
	sourceFile   = store.SourceName
)

// bpeVocab is the vocabulary of a bpe tokenizer where none is asked for: few
// tokens, because on a CPU the logits of many cost more than a small network.
const bpeVocab = 512

// trainFlags are the settings of one training run, as given.
type trainFlags struct {
	data         []string
	glob         string
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
	json         bool
}

// keepNewest is how many checkpoints of a run stay where nothing else is asked
// for; the best stays too.
const keepNewest = 3

func trainCommand(s streams) *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train --data PATH --out RUN",
		Short: "Train a model on text",
		Long: `Train a model on text: files, all files below a folder that match --glob, pipes,
and - for standard input. Several --data, or several paths after one, are
learned one after the other. The text must fit into memory.

With the char and bpe tokenizers the model learns from windows of the whole
text; with the word tokenizer every line is a sequence of its own. A tenth of
the text is kept for validation.

The architecture gpt2 is exactly GPT-2. The architecture simple is
self-attention as textbooks teach it: Q, K and V with bias, and two layers to
the logits.
Presets, as layers / heads / width / context: tiny 2/2/32/16, nano 4/4/128/64
(nanoGPT's for CPUs), small 6/6/384/256, gpt2 12/12/768/1024.

RUN is a new folder. It gets the checkpoints (step-00000020.safetensors and so
on), the names of the newest and of the best one (of those saved after an
evaluation) in the files latest and best, the place of the text in ` + sourceFile + `,
` + metricsFile + ` and ` + lossPlotFile + `. Wherever a command expects a checkpoint, RUN
names its newest and RUN/best its best.

Ctrl-C finishes the step under way, saves, says how to continue, and exits with
130. So do SIGTERM, SIGHUP (a terminal that closes), and SIGUSR1, SIGUSR2 and
SIGXCPU, which batch queues send. A second Ctrl-C or SIGTERM exits at once. A
closed pipe or terminal does not stop training.

--resume continues a run from its newest checkpoint that is whole, however the
run ended; a broken one is set aside. It needs --data only where the text has
moved or came through a pipe. A resumed run ends with the same file, bit for
bit, as one that was never stopped.`,
		Example: `  attnx train --data "$(go env GOROOT)/src/strconv" --glob '*.go' \
    --tokenizer char --preset nano --steps 200 --out runs/go
  attnx train --resume runs/go --steps 400`,
		Args: func(cmd *cobra.Command, more []string) error {
			if len(f.data) == 0 {
				return noArgs(cmd, more)
			}
			if len(more) > 0 && len(f.data) > 1 {
				return fmt.Errorf("%.80q follows several --data: name all paths after one --data, or each after its own", more[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, more []string) error {
			f.data = append(f.data, more...)
			return runTrain(cmd.Context(), s, f, cmd.Flags().Changed)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.data, "data", nil, "text file, folder or pipe to learn from (-: standard input)")
	fl.StringVar(&f.glob, "glob", "*", "which files of a folder, by name")
	fl.StringVar(&f.arch, "arch", arch.Names()[0], "architecture: "+strings.Join(arch.Names(), " or "))
	fl.StringVar(&f.preset, "preset", "tiny", "size of the network: "+strings.Join(arch.Presets(), ", "))
	fl.StringVar(&f.tokenizer, "tokenizer", "char", "tokenizer: word, char or bpe")
	fl.IntVar(&f.vocab, "vocab", 0, fmt.Sprintf("largest number of tokens in the vocabulary (default: every word or character; %d for bpe)", bpeVocab))
	fl.IntVar(&f.steps, "steps", 200, "optimizer steps")
	fl.IntVar(&f.batch, "batch", 12, "sequences in a batch")
	fl.IntVar(&f.accumulate, "accumulate", 1, "batches whose gradients make one step: large batches in little memory")
	fl.IntVar(&f.context, "context", 0, "tokens in a sequence (default: the preset's)")
	fl.Float64Var(&f.lr, "lr", 1e-3, "highest learning rate")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of the first weights and of the order of the data")
	fl.StringVar(&f.engine, "engine", "auto", "what computes the gradients: gorgonia, ort or auto")
	fl.StringVar(&f.device, "device", "cpu", "where the ort engine computes: cpu or cuda")
	fl.IntVar(&f.evalEvery, "eval-every", 0, "steps between evaluations (default: a tenth of --steps)")
	fl.IntVar(&f.saveEvery, "save-every", 0, "steps between checkpoints (default: whenever it evaluates)")
	fl.IntVar(&f.keep, "keep", keepNewest, "newest checkpoints to keep; the best is kept too")
	fl.StringVar(&f.out, "out", "", "folder of the new run")
	jsonFlag(cmd, &f.json, trainReport{})
	fl.StringVar(&f.resume, "resume", "", "folder of a run to continue")
	return cmd
}

// runTrain checks the flags before any file is touched, then starts or
// resumes a run.
func runTrain(ctx context.Context, s streams, f trainFlags, given func(string) bool) error {
	switch {
	case len(f.data) == 0 && f.resume == "":
		return fmt.Errorf("--data is missing: name the text to learn from")
	case len(f.data) == 0 && given("glob"):
		return fmt.Errorf("--glob %.80q belongs to --data: give both", f.glob)
	case slices.Contains(f.data, ""):
		return fmt.Errorf("--data is empty: name the text to learn from")
	case (f.out == "") == (f.resume == ""):
		return fmt.Errorf("give either --out for a new run or --resume for an old one")
	case given("save-every") && f.saveEvery < 1:
		return fmt.Errorf("--save-every %d: take 1 or more", f.saveEvery)
	case f.keep < 1:
		return fmt.Errorf("--keep %d: take 1 or more", f.keep)
	}
	if err := f.checkEngine(); err != nil {
		return err
	}
	if f.resume != "" {
		return resumeRun(ctx, s, f, given)
	}
	if held := heldBy(f.out); held != "" {
		return fmt.Errorf("--out %s: it already holds a run's %s: choose another folder, or continue it with --resume %[1]s", f.out, held)
	}
	place, err := claim(output.Run, f.out, f.data...)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	defer place.Close()
	kind, err := tokens.ParseKind(f.tokenizer)
	if err != nil {
		return fmt.Errorf("--tokenizer: %w", err)
	}
	text, err := readText(ctx, s, "--data", f.data, f.glob, f.out)
	if err != nil {
		return err
	}
	if kind == tokens.BPE && !given("vocab") {
		f.vocab = bpeVocab
	}
	data := newCorpus(s, text)
	if len(text.Text) >= longText {
		fmt.Fprintln(s.note, "making the vocabulary")
	}
	tok, err := tokens.Train(kind, text.Text, f.vocab)
	if err != nil {
		return fmt.Errorf("--data %s: %w", named(f.data), err)
	}
	sizes, err := arch.Preset(f.preset)
	if err != nil {
		return err
	}
	if given("context") {
		sizes.Context = f.context
	}
	network, err := arch.New(f.arch, sizes, tok.VocabSize())
	switch {
	case err != nil && given("context"): // the sizes of presets are good
		return fmt.Errorf("--context: %w", err)
	case err != nil:
		return err
	}
	options := train.DefaultOptions(f.steps)
	options.Batch, options.Seed = f.batch, f.seed
	if f.accumulate < 1 {
		return fmt.Errorf("--accumulate %d: take 1 or more", f.accumulate)
	}
	if f.accumulate > 1 {
		options.Accumulate = f.accumulate
	}
	options.LR, options.MinLR = f.lr, f.lr/10
	options.DataSHA256 = text.SHA256
	options.Keep = f.keep
	if f.device != "cpu" {
		options.Device = f.device
	}
	if given("eval-every") {
		options.EvalEvery = f.evalEvery
	}
	options.SaveEvery = cmp.Or(f.saveEvery, options.EvalEvery, options.Steps)
	if err := options.Check(); err != nil {
		return err
	}
	if err := data.tokenize(ctx, s, text, tok, sizes.Context); err != nil {
		return err
	}
	c, err := train.Start(network, tok, f.seed)
	if err != nil {
		return err
	}
	return trainRun(ctx, s, nil, c, data, options, f)
}

// resumeRun continues the run of a folder, under the settings it was
// started with; --steps may ask for more.
func resumeRun(ctx context.Context, s streams, f trainFlags, given func(string) bool) error {
	for _, name := range []string{"arch", "preset", "tokenizer", "vocab", "batch", "accumulate", "context", "lr", "seed", "eval-every"} {
		if given(name) {
			return fmt.Errorf("--%s cannot change in a resumed run: leave it out", name)
		}
	}
	// A folder that is no run's is not touched.
	if info, err := os.Stat(f.resume); err == nil && !info.IsDir() {
		return fmt.Errorf("--resume %s: it is a file: name the run's folder", f.resume)
	}
	if saved, aside, err := store.List(f.resume, model.CheckSeal); err != nil {
		return fmt.Errorf("--resume: %w", err)
	} else if len(saved)+len(aside) == 0 {
		return fmt.Errorf("--resume %w", find.NoCheckpoint(f.resume))
	}
	place, err := claim(output.Run, f.resume)
	if err != nil {
		return err
	}
	defer place.Close()
	run, err := model.OpenRun(f.resume, f.keep)
	if err != nil {
		return err
	}
	defer run.Close()
	for _, b := range run.SetAside() {
		fmt.Fprintf(s.err, "attnx: set aside as %s: %s\n", filepath.Base(b.Path), oneLine(b.Reason.Error()))
	}
	path, ok := run.Latest()
	if !ok {
		return fmt.Errorf("--resume %s: none of its checkpoints is whole: begin a new run with --out", f.resume)
	}
	c, err := model.Load(path)
	if err != nil {
		return err
	}
	options, err := train.Saved(c)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if given("steps") {
		options.Steps = f.steps
	}
	if !given("engine") && options.Engine != "" {
		f.engine = options.Engine
	}
	if !given("device") && options.Device != "" {
		f.device = options.Device
	}
	if given("keep") {
		options.Keep = f.keep
	}
	if given("save-every") {
		options.SaveEvery = f.saveEvery
	}
	if err := errors.Join(options.Check(), f.checkEngine()); err != nil {
		return err
	}
	run.Keep(options.Keep)
	if options.Steps <= c.Step {
		return finished(s, f, path, c, options)
	}
	tok, err := find.Tokenizer(path, c.Tokenizer, c)
	if err == nil && tok.VocabSize() > c.IDs() {
		err = find.TooLarge(path, tok, c) // the data may have them anywhere
	}
	if err != nil {
		return err
	}
	text, err := findData(ctx, s, f, options.DataSHA256)
	if err != nil {
		return err
	}
	data := newCorpus(s, text)
	if err := data.tokenize(ctx, s, text, tok, c.Context()); err != nil {
		return err
	}
	return trainRun(ctx, s, run, c, data, options, f)
}

// finished says that a run has nothing left to do.
func finished(s streams, f trainFlags, path string, c *model.Checkpoint, o train.Options) error {
	fmt.Fprintf(s.note, "%s has all its %d steps: to continue it, ask for more with --steps\n", f.resume, c.Step)
	if !f.json {
		return nil
	}
	report := trainReport{Run: f.resume, Checkpoint: path, Step: c.Step, Steps: o.Steps, Engine: o.Engine, Device: f.device, Loss: c.Loss, ValLoss: c.ValLoss}
	report.network(c)
	return printJSON(s.out, report)
}

// heldBy returns the name of a file that only a run puts into a folder, "" if
// there is none.
func heldBy(folder string) string {
	saved, aside, err := store.List(folder, model.CheckSeal)
	switch {
	case err != nil: // it is not there
		return ""
	case len(saved) > 0:
		return filepath.Base(saved[0].Path)
	case len(aside) > 0:
		return filepath.Base(aside[0])
	}
	for _, name := range []string{metricsFile, lossPlotFile, sourceFile, store.LatestName, store.BestName} {
		if _, err := os.Lstat(filepath.Join(folder, name)); err == nil {
			return name
		}
	}
	// A run that never began leaves an empty lock.
	if info, err := os.Lstat(filepath.Join(folder, store.LockName)); err == nil && (info.Size() > 0 || !info.Mode().IsRegular()) {
		return store.LockName
	}
	return ""
}

// checkEngine refuses an engine or a device that there is not.
func (f trainFlags) checkEngine() error {
	switch {
	case !slices.Contains(attnx.Engines(), f.engine):
		return fmt.Errorf("--engine %.20q: take gorgonia, ort or auto", f.engine)
	case !slices.Contains([]string{"cpu", "cuda"}, f.device):
		return fmt.Errorf("--device %.20q: take cpu or cuda", f.device)
	case f.engine == "gorgonia" && f.device != "cpu":
		return fmt.Errorf("--device %s: the gorgonia engine computes on the CPU: take --engine ort", f.device)
	}
	return nil
}
