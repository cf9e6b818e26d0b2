package attnx

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// TrainOptions configure a new training run. Only Out and Data are required.
type TrainOptions struct {
	Out  string // the run's folder, which Train creates
	Data Corpus

	// Pairs instead of Data: the run learns to translate. The network reads a source and
	// scores the next token of its target, and nil selects one of arch.Translators. A
	// tokenizer for both sides is made unless one is given: it has the tokens </s> and <pad>.
	Pairs PairCorpus

	// Val are data for validation; empty: a tenth of Data. They are of the same kind.
	Val Corpus

	// The network. nil selects one that attnx ships, sized for the tokens of the
	// text.
	Network nn.Network
	Arch    string     // its name, of arch.Decoders; "": the first, GPT-2
	Preset  string     // its size, of arch.Presets; "": tiny
	Sizes   arch.Sizes // what differs from the preset
	Context int        // tokens in a sequence; 0: the network's maximum

	// The tokenizer of the text. nil: Train makes one from the text. It is saved in
	// the checkpoints.
	Tokenizer *tokens.Tokenizer
	Kind      tokens.Kind // 0: tokens.Char
	Vocab     int         // maximum number of tokens; 0: every word or character, 512 for tokens.BPE

	// SeparateVocabularies gives a translator a tokenizer for sources and one for targets,
	// each of Kind and with at most Vocab tokens.
	SeparateVocabularies bool

	// Seconds is a budget for the steps of the run, without evaluations; 0: none. The run ends
	// with an evaluation before the step that would exceed it.
	Seconds float64

	// Init is a model to start from in place of a new network: a checkpoint, a
	// run, a Hugging Face folder, a GGUF file or an ONNX file of a language model.
	// It keeps its own tokenizer, and AddTokens are added to that. Context is then
	// at most the model's; 0: that, or 512 if it is longer. Settings.Freeze names
	// weights that are not trained.
	Init      string
	AddTokens []string

	// Loss is of model.LossKinds, and Output the name of the output that it is of
	// ("": the logits, or the only output). With a Loss, an ONNX file is trained as
	// it is: its graph, whatever wrote it. Data are then a text for a language
	// model, or tables: files whose names end with .csv, .jsonl or .npz. Their
	// columns are the inputs of their names, Labels names the one of labels ("":
	// labels, label, target or y), and Text the one of texts ("": text).
	Loss, Output string
	Labels, Text string

	// LoRA of a rank trains an adapter in place of the weights of Init: see
	// model.Checkpoint.WithLoRA. Alpha scales it (0: twice the rank), Targets are
	// patterns of the weights that it changes (none: all matrices of products).
	LoRA        int
	LoRAAlpha   float64
	LoRATargets []string

	// Quantize keeps the matrices of Init as integers of 8 or 4 bits, over which
	// LoRA is then trained. 0: those of a GGUF file in Q4_0, Q4_1 and Q8_0 stay
	// as the file has them, and all else is float32.
	Quantize int

	// The steps, batches, rates, evaluations and saves. The zero value means
	// train.DefaultOptions(200). To change some, start with train.DefaultOptions,
	// because 0 is a valid value of most settings, such as no weight decay. An LR
	// of 0 is refused. With Epochs in place of Steps, Train counts the steps: see
	// train.Options.Plan. A SaveEvery of 0 saves at each evaluation, and a Keep of 0
	// keeps the three newest checkpoints. The best one is always kept. Train sets
	// Engine and Device.
	Settings train.Options

	Engine        string // of Engines; "": "auto"
	EngineOptions EngineOptions
	Events        TrainEvents

	// Config describes the run for people. It is kept in the run's folder as
	// config.yaml, and nothing reads it. "": no file.
	Config string
}

// ResumeOptions are the settings that may change when a run is resumed. The zero
// value changes nothing.
type ResumeOptions struct {
	Data      Corpus // the zero value: the run's original text, at its original place
	Val       Corpus // the same for validation
	Steps     int    // total, including steps already done; 0: as before
	Epochs    int    // total, of a run that began with Epochs; 0: as before
	SaveEvery int    // steps between checkpoints; 0: as before
	Keep      int    // newest checkpoints to keep; 0: as before
	Patience  int    // evaluations without a lower validation loss; 0: as before

	Engine        string // "": as before, required for bit-identical results
	EngineOptions EngineOptions
	Events        TrainEvents
}

// TrainEvents are callbacks of a run, called by its goroutine. Each may be nil.
type TrainEvents struct {
	Text     func(*train.Text)     // a text was read
	Tokenize func(done, total int) // bytes tokenized so far
	Open     func()                // all is ready; from here on the run's folder is written
	Begin    func(TrainBegin)      // the first step comes next
	Step     func(Metric)          // a step was taken
	Tell     Tell
}

// TrainBegin describes the start of a run.
type TrainBegin struct {
	Model  *model.Checkpoint // the training state is that of the last step
	Steps  int               // total
	Engine string            // name of the engine
	Device string            // device of the engine
	NoORT  error             // why "auto" did not choose ONNX Runtime; nil if it did
	Init   *train.Origin     // the model that the run started from; nil: none
	Frozen int               // parameters that are not trained
}

// TrainEnd is why a run ended.
type TrainEnd int

// The reasons.
const (
	Complete TrainEnd = iota // all steps are done
	Stopped                  // its context ended
	Failed                   // a step or a save failed, and Train returns the error
	Early                    // Settings.Patience is over: the validation loss has stopped falling
	Spent                    // the budget of seconds is spent
)

// String returns "complete", "stopped", "failed", "early" or "spent".
func (e TrainEnd) String() string {
	if e < Complete || e > Spent {
		return fmt.Sprintf("TrainEnd(%d)", int(e))
	}
	return [...]string{"complete", "stopped", "failed", "early", "spent"}[e]
}

// TrainResult is the result of a run.
type TrainResult struct {
	Run        string            // the run's folder
	Checkpoint string            // path of the last saved checkpoint
	Model      *model.Checkpoint // its contents
	Ended      TrainEnd
	Done       int     // steps taken by this call
	Seconds    float64 // that they took, without evaluations
	Steps      int     // total steps of the run
	Engine     string
	Device     string
	History    []Metric      // of all steps, including those before the run was resumed
	Source     *train.Source // where the text is; nil: Resume must be given it
}

// Train begins a run and trains until its last step. It writes numbered checkpoints
// and metrics.jsonl to the run's folder. It refuses a folder that already contains
// a run, or that another process writes to (a *store.LockedError), before it reads
// anything.
//
// When ctx ends, Train finishes and saves the current step, and returns the result
// with ctx's error. It also returns both if a step fails after others succeeded.
// The result is nil if nothing was saved. If the first step fails, no file is left.
// Errors with a remedy are an *Error.
func Train(ctx context.Context, o TrainOptions) (*TrainResult, error) {
	r := &trainRun{folder: o.Out, events: o.Events, engine: o.Engine, how: o.EngineOptions, options: o.Settings, config: o.Config, fresh: true, val: o.Val, seconds: o.Seconds}
	given := o.Data
	if !o.Pairs.empty() {
		given = Corpus{Files: o.Pairs.paths()}
	}
	given.Files = slices.Concat(given.Files, o.Val.Files)
	place, err := r.checkNew(given)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	defer r.close()
	if err := r.begin(ctx, o); err != nil {
		return nil, err
	}
	if r.options.Pack && !r.data.Packed() {
		return nil, &OptionError{Option: "Pack", Reason: " joins short examples (with prompts, or lines), and the data have none: leave it out"}
	}
	if err := r.validate(ctx); err != nil {
		return nil, err
	}
	if err := r.plan(); err != nil {
		return nil, err
	}
	return r.train(ctx)
}

// Resume continues the run of a folder from its newest intact checkpoint,
// however the run ended. It ends like Train. It finds the run's text at its
// original place. With the same engine, a resumed run ends with the same
// checkpoint, bit for bit, as a run without interruption. If all steps are done,
// Resume does nothing, and Done is 0.
func Resume(ctx context.Context, folder string, o ResumeOptions) (*TrainResult, error) {
	r := &trainRun{folder: folder, events: o.Events, how: o.EngineOptions, val: o.Val}
	defer r.close()
	if err := takeBack(folder); err != nil {
		return nil, err
	}
	if err := resumable(folder); err != nil {
		return nil, err
	}
	finished := func(path string) *TrainResult {
		return &TrainResult{Run: folder, Checkpoint: path, Model: r.model, Steps: r.options.Steps, Engine: r.options.Engine, Device: r.how.Device}
	}
	place, claimed := output.Claim(output.Run, folder)
	switch {
	case errors.As(claimed, new(*store.LockedError)):
		return nil, claimed
	case claimed == nil:
		defer place.Close()
	}
	read, err := r.newest(o)
	if err == nil && read != "" && claimed == nil {
		err = r.readAgain(ctx, o.Data, read)
	}
	if err != nil {
		return nil, err // and nothing is written
	}
	from, err := "", claimed
	if err == nil {
		from, err = r.open(o.Keep)
	}
	switch {
	case err == nil:
		defer r.run.Close()
	case read != "" && r.complete() && !errors.As(err, new(*store.LockedError)):
		return finished(read), nil // the folder is only read
	default:
		return nil, err
	}
	if from != read {
		if err = r.take(from, o); err == nil {
			err = r.readAgain(ctx, o.Data, from)
		}
		if err != nil {
			return nil, err
		}
	}
	r.run.Keep(r.options.Keep)
	if r.complete() {
		return finished(from), nil
	}
	return r.train(ctx)
}
