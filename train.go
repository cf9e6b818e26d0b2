package attnx

import (
	"context"
	"errors"
	"fmt"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// TrainOptions are a new training run. Out and Data are enough.
type TrainOptions struct {
	Out  string // the run's folder, which Train makes
	Data Corpus

	// The network. Where it is nil, it is one of those that attnx ships, for the
	// tokens of the text.
	Network nn.Network
	Arch    string // its name, of arch.Names; "": the first, GPT-2
	Preset  string // its size, of arch.Presets; "": tiny
	Context int    // tokens in a sequence; 0: as many as the network sees

	// The tokenizer of the text. Where it is nil, it is made from the text. It
	// travels in the checkpoints.
	Tokenizer *tokens.Tokenizer
	Kind      tokens.Kind // 0: tokens.Char
	Vocab     int         // the largest number of tokens; 0: every word or character, 512 for tokens.BPE

	// The steps, batches, rates, evaluations and saves. The zero value means
	// train.DefaultOptions(200). To change some, begin with train.DefaultOptions: 0
	// is a value of its own to most of them, as no weight decay, and a LR of 0 is
	// refused. A SaveEvery of 0 saves at each evaluation, a Keep
	// of 0 keeps the three newest checkpoints. The best one is always kept. Engine
	// and Device are set by Train.
	Settings train.Options

	Engine        string // of Engines; "": "auto"
	EngineOptions EngineOptions
	Events        TrainEvents
}

// ResumeOptions are what may change when a run is resumed. The zero value changes
// nothing.
type ResumeOptions struct {
	Data      Corpus // the zero value: the text that the run began with, where it was
	Steps     int    // in all, those that are done included; 0: as the run was to have
	SaveEvery int    // steps between checkpoints; 0: as before
	Keep      int    // newest checkpoints to keep; 0: as before

	Engine        string // "": as before, as to the bit it must be
	EngineOptions EngineOptions
	Events        TrainEvents
}

// TrainEvents are called while a run goes on, by its goroutine. Each may be nil.
type TrainEvents struct {
	Text     func(*train.Text)     // a text was read
	Tokenize func(done, total int) // bytes of it so far
	Open     func()                // all is ready; the run's folder is written from here on
	Begin    func(TrainBegin)      // the first step comes next
	Step     func(Metric)          // a step was taken
	Tell     Tell
}

// TrainBegin is how a run begins.
type TrainBegin struct {
	Model  *model.Checkpoint // its state is that of the last step
	Steps  int               // in all
	Engine string            // its name,
	Device string            // where it computes,
	NoORT  error             // and why "auto" did not take ONNX Runtime; nil if it did
}

// TrainEnd is why a run ended.
type TrainEnd int

// The reasons.
const (
	Complete TrainEnd = iota // it has all its steps
	Stopped                  // its context ended
	Failed                   // a step or a save failed, and Train returns the error
)

// String returns "complete", "stopped" or "failed".
func (e TrainEnd) String() string {
	if e < Complete || e > Failed {
		return fmt.Sprintf("TrainEnd(%d)", int(e))
	}
	return [...]string{"complete", "stopped", "failed"}[e]
}

// TrainResult is what a run has reached.
type TrainResult struct {
	Run        string            // its folder
	Checkpoint string            // path of the last checkpoint, which is saved
	Model      *model.Checkpoint // what it holds
	Ended      TrainEnd
	Done       int // steps taken by this call
	Steps      int // that the run is to have
	Engine     string
	Device     string
	History    []Metric      // of all steps, those before a resumption included
	Source     *train.Source // where the text is; nil: Resume needs it again
}

// Train begins a run and trains until its last step. The folder of the run gets
// numbered checkpoints and metrics.jsonl. A folder that holds a run already, or
// that another process writes to (a *store.LockedError), is refused before
// anything is read.
//
// When ctx ends, the step under way is finished and saved: Train returns the
// result with ctx's error. It returns both, too, where a step fails after others;
// the result is nil where nothing was saved. Where the first step fails, no file is
// left. Errors with a remedy are an *Error.
func Train(ctx context.Context, o TrainOptions) (*TrainResult, error) {
	r := &trainRun{folder: o.Out, events: o.Events, engine: o.Engine, how: o.EngineOptions, options: o.Settings, fresh: true}
	place, err := r.checkNew(o.Data)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	if err := r.begin(ctx, o); err != nil {
		return nil, err
	}
	return r.train(ctx)
}

// Resume continues the run of a folder from its newest checkpoint that is whole,
// however the run ended; Train says how it ends. It finds the text of the run
// where it was. With the same engine, a resumed run ends with the same
// checkpoint, bit for bit, as one that was never stopped. If the run has all its
// steps, nothing is done, and Done is 0.
func Resume(ctx context.Context, folder string, o ResumeOptions) (*TrainResult, error) {
	r := &trainRun{folder: folder, events: o.Events, how: o.EngineOptions}
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
		return finished(read), nil // in a folder that is only read
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
