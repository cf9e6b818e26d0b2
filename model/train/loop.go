package train

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
)

// Options are the settings of a training run. Checkpoints store them, so that
// a resumed run continues with the same settings.
type Options struct {
	Steps       int     `json:"steps"`                // total, including those before resuming
	Epochs      int     `json:"epochs,omitempty"`     // passes over the data, each in an order of its own; 0: examples are drawn, and may come twice
	Epoch       int     `json:"epoch,omitempty"`      // with Epochs: examples of a pass, set by Plan
	Batch       int     `json:"batch"`                // sequences computed together
	Accumulate  int     `json:"accumulate,omitempty"` // batches of one step, computed in turn; 0 is 1
	Context     int     `json:"context,omitempty"`    // tokens of a sequence; 0: the context of the network
	LR          float64 `json:"lr"`                   // the highest learning rate
	MinLR       float64 `json:"min_lr"`
	Warmup      int     `json:"warmup"`             // steps of increasing learning rate
	Schedule    string  `json:"schedule,omitempty"` // of Schedules; "" is the first
	Decay       int     `json:"decay,omitempty"`    // steps of decreasing learning rate of WarmupStableDecay; 0: a fifth of Steps
	Beta1       float64 `json:"beta1"`
	Beta2       float64 `json:"beta2"`
	Epsilon     float64 `json:"epsilon"`
	WeightDecay float64 `json:"weight_decay"`
	Clip        float64 `json:"clip"` // maximum norm of the gradient; 0: no clipping
	Seed        uint64  `json:"seed"`
	Engine      string  `json:"engine,omitempty"`          // engine of the run; a resumed run must reuse it to reproduce rounding
	EvalEvery   int     `json:"eval_every"`                // steps between evaluations; 0: only after the last
	EvalBatches int     `json:"eval_batches"`              // batches of one evaluation
	Patience    int     `json:"patience,omitempty"`        // evaluations without a lower validation loss after which the run ends; 0: never
	Dropout     float64 `json:"dropout,omitempty"`         // probability that an element is dropped in a step: see graph.AddDropout; evaluations have none
	Smoothing   float64 `json:"label_smoothing,omitempty"` // share of a label's probability that all tokens share; evaluations have none
	DType       string  `json:"dtype,omitempty"`           // of DTypes: what products multiply; "" is float32
	Recompute   bool    `json:"recompute,omitempty"`       // a step needs less memory, and more time: see graph.Recompute
	DataSHA256  string  `json:"data_sha256"`               // of the text, so that a resumed run can detect a different one
	ValSHA256   string  `json:"val_sha256,omitempty"`      // of the data for validation, if they are not a part of these
	// BatchStatistics has BatchNormalization normalize with the moments of the batch in
	// a step, and update the running ones: see graph.BatchStatistics.
	BatchStatistics bool `json:"batch_statistics,omitempty"`
	Pack            bool `json:"pack,omitempty"` // short examples share a sequence: see Form
	// StraightThrough has gradients pass roundings to integers: see graph.GradThrough. Older
	// runs do not have it: see graph.Slopeless.
	StraightThrough bool `json:"straight_through,omitempty"`

	Documents bool   `json:"documents,omitempty"` // the text is fields of JSON Lines
	Best      string `json:"best,omitempty"`      // translators: which score of held-out pairs makes a checkpoint the best, BestBLEU or BestChrF

	// Freeze are patterns of the names of weights that are not trained: they
	// keep their bits, and have no gradients and no moments. See Match. A
	// pattern after ! is an exception from those before it.
	Freeze []string    `json:"freeze,omitempty"`
	Loss   *model.Loss `json:"loss,omitempty"`  // what is minimized; nil: what model.WithLoss finds
	Table  *Table      `json:"table,omitempty"` // how the data are read from tables; nil: they are not
	Init   *Origin     `json:"init,omitempty"`  // the model whose weights came first; nil: they were drawn from the seed

	// Used by the caller only; these do not affect the results.
	Device    string `json:"device,omitempty"`     // where the engine computes; "" is the CPU
	SaveEvery int    `json:"save_every,omitempty"` // steps between checkpoints
	Keep      int    `json:"keep,omitempty"`       // newest checkpoints to keep
}

// Origin is the model that a run started from. It names no path: equal runs
// give equal files, wherever the model is.
type Origin struct {
	Name   string   `json:"name"` // the last element of its path
	Arch   string   `json:"arch"`
	SHA256 string   `json:"sha256"`          // model.Weights.Hash, before tokens were added
	Step   int      `json:"step,omitempty"`  // of its own training
	Added  []string `json:"added,omitempty"` // tokens
	Rows   int      `json:"rows,omitempty"`  // of its vocabulary, where tokens were added; older runs do not say it
}

// Values of Options.Best.
const (
	BestBLEU = "bleu"
	BestChrF = "chrf"
)

// Values of Options.DType: products multiply float32, float32 that the GPU rounds to 10
// bits of mantissa, or bfloat16. Weights, moments and sums are float32 with each.
const (
	Float32  = "float32"
	TF32     = "tf32"
	BFloat16 = "bfloat16"
)

// DTypes are the values of Options.DType.
func DTypes() []string { return []string{Float32, TF32, BFloat16} }

// Upper limits of settings. Settings come from files too, and a file must not
// make a run evaluate forever.
const (
	maxSteps       = math.MaxInt32 // also for numbers of checkpoints
	maxBatch       = 1 << 27
	maxAccumulate  = 1 << 20
	maxEvalBatches = 10000
)

// DefaultOptions returns nanoGPT's settings for its CPU run, with the given
// number of steps.
func DefaultOptions(steps int) Options {
	return Options{
		Steps: steps, Batch: 12, LR: 1e-3, MinLR: 1e-4, Warmup: min(100, steps/10),
		Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-8, WeightDecay: 0.1, Clip: 1,
		EvalEvery: max(1, steps/10), EvalBatches: 8,
	}
}

// Check returns an error for the first invalid setting.
func (o Options) Check() error {
	switch {
	case o.Steps < 1 && o.Epochs == 0 || o.Batch < 1 || o.Accumulate < 0:
		return fmt.Errorf("train: %d steps of %d sequences, accumulated over %d batches: expected 1 or more of each", o.Steps, o.Batch, o.Accumulate)
	case o.Steps > maxSteps || o.Batch > maxBatch || o.Accumulate > maxAccumulate:
		return fmt.Errorf("train: %d steps of %d sequences, accumulated over %d batches: at most %d, %d and %d", o.Steps, o.Batch, o.Accumulate, maxSteps, maxBatch, maxAccumulate)
	case !(o.LR > 0) || math.IsInf(o.LR, 0) || !(o.MinLR >= 0 && o.MinLR <= o.LR):
		return fmt.Errorf("train: learning rate from %g down to %g, expects a positive number and a last one that is not larger", o.LR, o.MinLR)
	case o.Warmup < 0 || o.EvalEvery < 0 || o.EvalBatches < 1:
		return fmt.Errorf("train: warm-up %d, evaluation every %d steps over %d batches: none may be negative, and an evaluation takes a batch", o.Warmup, o.EvalEvery, o.EvalBatches)
	case o.Warmup > maxSteps || o.EvalEvery > maxSteps || o.EvalBatches > maxEvalBatches:
		return fmt.Errorf("train: warm-up %d, evaluation every %d steps over %d batches: at most %d, %[4]d and %[5]d", o.Warmup, o.EvalEvery, o.EvalBatches, maxSteps, maxEvalBatches)
	case o.SaveEvery < 0 || o.SaveEvery > maxSteps || o.Keep < 0 || o.Keep > maxSteps:
		return fmt.Errorf("train: a checkpoint every %d steps, of which %d are kept: expects 0 to %d", o.SaveEvery, o.Keep, maxSteps)
	case !(o.Beta1 >= 0 && o.Beta1 < 1) || !(o.Beta2 >= 0 && o.Beta2 < 1) || !(o.Epsilon > 0) || math.IsInf(o.Epsilon, 0):
		return fmt.Errorf("train: beta1 %g and beta2 %g must be from 0 to below 1, epsilon %g above 0 and finite", o.Beta1, o.Beta2, o.Epsilon)
	case !(o.WeightDecay >= 0) || math.IsInf(o.WeightDecay, 0) || !(o.Clip >= 0):
		return fmt.Errorf("train: weight decay %g and clip %g must not be negative, nor the decay infinite", o.WeightDecay, o.Clip)
	}
	if o.Best != "" && o.Best != BestBLEU && o.Best != BestChrF {
		return fmt.Errorf("train: the best checkpoint by %.20q, expects %s or %s", o.Best, BestBLEU, BestChrF)
	}
	if o.DType != "" && !slices.Contains(DTypes(), o.DType) {
		return fmt.Errorf("train: products of %.20q, expects %s", o.DType, quote.Or(DTypes()))
	}
	if !(o.Smoothing >= 0 && o.Smoothing < 1) {
		return fmt.Errorf("train: label smoothing %g, expects 0 to below 1", o.Smoothing)
	}
	if !(o.Dropout >= 0 && o.Dropout < 1) {
		return fmt.Errorf("train: dropout of %g, expects 0 to below 1", o.Dropout)
	}
	if o.Patience < 0 || o.Patience > maxSteps {
		return fmt.Errorf("train: patience for %d evaluations, expects 0 to %d", o.Patience, maxSteps)
	}
	if o.Patience > 0 && o.EvalEvery == 0 {
		return fmt.Errorf("train: patience for %d evaluations of a run that evaluates after its last step only: evaluate every few steps", o.Patience)
	}
	if o.Epochs < 0 || o.Epochs > maxSteps || o.Epoch < 0 {
		return fmt.Errorf("train: %d epochs of %d examples, expects 0 to %d", o.Epochs, o.Epoch, maxSteps)
	}
	return o.checkSchedule()
}

// Event reports a training step.
type Event struct {
	Step            int // steps done, 1 or more
	Loss            float64
	ValLoss         float64 // NaN unless an evaluation followed this step
	LR              float64
	GradNorm        float64 // before clipping
	Tokens          int     // of the step's batches; or examples
	TokensPerSecond float64 // or examples per second, without tokens
}

// Trainer trains one model. It prints nothing: it passes events to the caller.
type Trainer struct {
	// Seconds is a budget for steps, without evaluations; 0: none. Run ends before the step
	// that would exceed it, if that takes as long as the one before, with an evaluation.
	Seconds float64
	spent   float64

	model   *model.Checkpoint // at the start of the run
	options Options
	weights model.Weights   // all of them
	learned model.Weights   // those that are not frozen; they share memory
	grads   []format.Tensor // of them
	asked   []format.Tensor // grads, and those of the running moments
	running model.Weights   // the running moments that steps update
	part    []format.Tensor // gradients of one of several batches; nil for a single batch
	adamw   *AdamW
	engine  Engine
	data    *Data
	step    int
	batch   Batch
	drop    *dropper // nil: nothing is dropped

	loss, valLoss *float64 // of the last step, and after it; nil if unknown
}

// New returns a trainer that starts from the weights of c and changes them in
// place. If c holds the state of an earlier run, training continues after it.
func New(c *model.Checkpoint, e Engine, d *Data, o Options) (*Trainer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if err := c.Weights.Check(c.Graph); err != nil {
		return nil, err
	}
	if most := c.Context(); most > 0 && d.context > most {
		return nil, fmt.Errorf("train: sequences of %d tokens for a model of context %d", d.context, most)
	}
	align(c.Weights)
	learned, err := o.learned(c)
	if err != nil {
		return nil, err
	}
	t := &Trainer{model: c, options: o, weights: c.Weights, learned: learned, adamw: newAdamW(o, learned), engine: e, data: d, step: c.Step}
	if t.drop, err = o.newDropper(c); err != nil {
		return nil, err
	}
	if err := t.ask(); err != nil {
		return nil, err
	}
	if o.Accumulate > 1 {
		t.part = sameShapes(t.asked)
	}
	if c.Train != nil {
		if err := t.adamw.restore(learned, c.Train.Moments, c.Step); err != nil {
			return nil, err
		}
		if err := o.checkState(c.Train, c.Step); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// align moves weights whose elements are not aligned, as those in the memory of an ONNX
// file may be: what cannot be viewed as numbers cannot be changed in place.
func align(weights model.Weights) {
	for i, w := range weights {
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(w.Data))); at%uintptr(w.DType.Size()) != 0 {
			weights[i].Data = alignedBytes(len(w.Data))
			copy(weights[i].Data, w.Data)
		}
	}
}

// learned returns the weights that are not frozen.
func (o Options) learned(c *model.Checkpoint) (model.Weights, error) {
	names, err := o.Trained(c.Graph)
	if names == nil || err != nil {
		return c.Weights, err
	}
	var learned model.Weights
	for _, w := range c.Weights {
		if slices.Contains(names, w.Name) {
			learned = append(learned, w)
		}
	}
	return learned, nil
}

// sameShapes returns zeros with the shapes and names of the weights.
func sameShapes(w model.Weights) (out []format.Tensor) {
	for _, t := range w {
		out = append(out, format.FromFloat32s(t.Name, t.Shape, make([]float32, t.Elements())))
	}
	return out
}

// Run trains until the last step or until ctx is done. It finishes the current
// step first, so that training can resume from Checkpoint, and then returns
// ctx's error. It calls event after every step; event may save a checkpoint,
// and its error ends the run.
func (t *Trainer) Run(ctx context.Context, event func(Event) error) error {
	for t.step < t.options.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := t.Step()
		if err != nil {
			return err
		}
		took := float64(e.Tokens) / e.TokensPerSecond
		t.spent += took
		last := t.step == t.options.Steps || t.Seconds > 0 && t.spent+took > t.Seconds
		if last || t.options.EvalEvery > 0 && t.step%t.options.EvalEvery == 0 {
			if e.ValLoss, err = t.Evaluate(); err != nil {
				return err
			}
			t.valLoss = &e.ValLoss
		}
		if err := event(e); err != nil || last {
			return err
		}
	}
	return nil
}

// Spent returns the seconds of the steps that Run has taken, without evaluations.
func (t *Trainer) Spent() float64 { return t.spent }

// Step takes one step without an evaluation: ValLoss is NaN.
func (t *Trainer) Step() (Event, error) {
	began := time.Now()
	lr := t.options.rate(t.step)
	device, elsewhere := t.engine.(Updater)
	loss, length := 0.0, 0.0
	var err error
	if elsewhere {
		loss, length, err = t.update(device, lr)
	} else if loss, err = t.gradients(); err == nil {
		length, err = norm(t.grads)
	}
	if err != nil {
		return Event{}, fmt.Errorf("train: step %d: %w", t.step+1, err)
	}
	if bad := loss + length; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return Event{}, fmt.Errorf("train: step %d: loss %g, gradient of length %g: %s; the weights of step %d are kept: take a smaller learning rate", t.step+1, loss, length, t.firstBad(), t.step)
	}
	if elsewhere {
		t.adamw.step++
	} else if err := t.adamw.update(t.learned, t.grads, lr, t.options.shorten(length)); err != nil {
		return Event{}, err
	}
	if err := t.updateMoments(); err != nil {
		return Event{}, err
	}
	t.step++
	t.loss, t.valLoss = &loss, nil
	tokens := t.options.Batch * max(1, t.options.Accumulate) * t.data.length(t.batch)
	return Event{
		Step: t.step, Loss: loss, ValLoss: math.NaN(), LR: lr, GradNorm: length, Tokens: tokens,
		TokensPerSecond: float64(tokens) / time.Since(began).Seconds(),
	}, nil
}

// gradients computes the gradient of the next step's batches in t.grads and
// returns their loss. It weights batches by their labels, so the result is
// that of one large batch.
func (t *Trainer) gradients() (float64, error) {
	n := max(1, t.options.Accumulate)
	var batch Batch
	draw := func(i int) (err error) {
		batch, err = t.draw(t.step*n + i)
		return err
	}
	if n == 1 {
		if err := draw(0); err != nil {
			return 0, err
		}
		return t.engine.Step(t.weights, batch, t.asked)
	}
	total, labels := 0.0, 0.0
	for i := range n {
		if err := draw(i); err != nil {
			return 0, err
		}
		count := float64(t.batch.labels())
		if count == 0 {
			continue // no labels: neither loss nor gradient
		}
		into := t.part
		if labels == 0 {
			into = t.asked
		}
		loss, err := t.engine.Step(t.weights, batch, into)
		if err != nil {
			return 0, err
		}
		total, labels = total+loss*count, labels+count
		if labels > count { // not the first batch
			if err := mix(t.asked, t.part, count/labels); err != nil {
				return 0, err
			}
		}
	}
	return total / labels, nil
}

// draw returns batch number n, with masks of dropout, if any.
func (t *Trainer) draw(n int) (batch Batch, err error) {
	t.data.next(t.options, n, &t.batch)
	if batch = t.batch; t.drop != nil {
		if batch, err = t.drop.with(batch, n); err != nil {
			return nil, err
		}
	}
	return batch, t.data.err()
}

// update takes a step on a device.
func (t *Trainer) update(device Updater, lr float64) (loss, length float64, err error) {
	if len(t.running) > 0 {
		return 0, 0, fmt.Errorf("train: running moments are not updated on a device: train on the CPU, or without batch statistics")
	}
	batch, err := t.draw(t.step)
	if err != nil {
		return 0, 0, err
	}
	return device.Update(t.state(), batch, lr)
}

// state is what an Updater changes.
func (t *Trainer) state() State {
	return State{Step: t.step, Weights: t.weights, Learned: t.learned, Moments: t.adamw.moments(t.learned)}
}

// pull gets the state from the device, if it is there.
func (t *Trainer) pull() error {
	if device, ok := t.engine.(Updater); ok {
		return device.Pull(t.state())
	}
	return nil
}

// mix adds b to the running mean a with weight share.
func mix(a, b []format.Tensor, share float64) error {
	x, y, err := numbers(a, b)
	if err != nil {
		return err
	}
	each(cut(x), func(_ int, p piece) {
		x, y := x[p.tensor][p.from:p.to], y[p.tensor][p.from:p.to]
		for j := range x {
			x[j] += float32(share * (float64(y[j]) - float64(x[j])))
		}
	})
	return nil
}

// shorten returns the factor that scales a gradient of the given norm down to
// Clip, in PyTorch's form.
func (o Options) shorten(length float64) float64 {
	if o.Clip == 0 {
		return 1
	}
	return min(1, o.Clip/(length+1e-6))
}

// Evaluate returns the mean loss over the validation part. It uses the same
// batches every time, so evaluations of one run are comparable.
func (t *Trainer) Evaluate() (float64, error) {
	sum := 0.0
	if err := t.pull(); err != nil {
		return 0, err
	}
	for n := range t.options.EvalBatches {
		t.data.draw(t.data.val, t.options.Batch, model.NewStream(t.options.Seed, "validation.batch"), n, &t.batch)
		loss, err := 0.0, t.data.err()
		if err == nil {
			loss, err = t.engine.Loss(t.weights, t.batch)
		}
		if err != nil {
			return 0, fmt.Errorf("train: evaluation after step %d: %w", t.step, err)
		}
		sum += loss
	}
	return sum / float64(t.options.EvalBatches), nil
}

// Checkpoint returns the current model with the state for resuming. It shares
// memory with the trainer: save it before the next step.
func (t *Trainer) Checkpoint(tokenizer []byte) (*model.Checkpoint, error) {
	state, err := t.options.state(t.step)
	if err == nil {
		err = t.pull()
	}
	if err != nil {
		return nil, err
	}
	state.Moments = t.adamw.moments(t.learned)
	return &model.Checkpoint{
		Arch: t.model.Arch, Config: t.model.Config, Graph: t.model.Graph, Special: t.model.Special, ChatTemplate: t.model.ChatTemplate, LowBits: t.model.LowBits, LoRA: t.model.LoRA,
		Weights: t.weights, Tokenizer: tokenizer, Step: t.step, Loss: t.loss, ValLoss: t.valLoss, Train: state,
	}, nil
}

// Start returns a checkpoint at step 0: a network with initial weights drawn
// from the seed, and a tokenizer, which may be nil.
func Start(n nn.Network, t *tokens.Tokenizer, seed uint64) (*model.Checkpoint, error) {
	first, err := model.New(n, seed)
	if err == nil && t != nil {
		first.Special = model.Spelled(t, first.IDs())
		first.Tokenizer, err = t.MarshalJSON()
	}
	return first, err
}

// Saved returns the options of a checkpoint's run.
func Saved(c *model.Checkpoint) (o Options, err error) {
	if c.Train == nil {
		return o, fmt.Errorf("train: the checkpoint holds no training state: it cannot be resumed")
	}
	if len(c.Train.Options) > maxState {
		return o, fmt.Errorf("train: the checkpoint's training options have %d bytes, at most %d", len(c.Train.Options), maxState)
	}
	if err := json.Unmarshal(c.Train.Options, &o); err != nil {
		return o, fmt.Errorf("train: the checkpoint's training options: %w", err)
	}
	return o, o.Check()
}

// Resumable returns what keeps a run from going on from a checkpoint: settings,
// moments or state that are missing or are not of one step.
func Resumable(c *model.Checkpoint) error {
	o, err := Saved(c)
	if err != nil {
		return err
	}
	learned, err := o.learned(c)
	if err != nil {
		return err
	}
	if err := newAdamW(o, learned).restore(learned, c.Train.Moments, c.Step); err != nil {
		return err
	}
	return o.checkState(c.Train, c.Step)
}
