package train

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
)

// Options are the settings of a training run. Checkpoints store them, so that
// a resumed run continues with the same settings.
type Options struct {
	Steps       int     `json:"steps"`                // total, including those before resuming
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
	Smoothing   float64 `json:"label_smoothing,omitempty"` // share of a label's probability that all tokens share; evaluations have none
	DataSHA256  string  `json:"data_sha256"`               // of the text, so that a resumed run can detect a different one

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
}

// Values of Options.Best.
const (
	BestBLEU = "bleu"
	BestChrF = "chrf"
)

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
	case o.Steps < 1 || o.Batch < 1 || o.Accumulate < 0:
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
	if !(o.Smoothing >= 0 && o.Smoothing < 1) {
		return fmt.Errorf("train: label smoothing %g, expects 0 to below 1", o.Smoothing)
	}
	if o.Patience < 0 || o.Patience > maxSteps {
		return fmt.Errorf("train: patience for %d evaluations, expects 0 to %d", o.Patience, maxSteps)
	}
	if o.Patience > 0 && o.EvalEvery == 0 {
		return fmt.Errorf("train: patience for %d evaluations of a run that evaluates after its last step only: evaluate every few steps", o.Patience)
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
	model   *model.Checkpoint // at the start of the run
	options Options
	weights model.Weights // all of them
	learned model.Weights // those that are not frozen; they share memory
	grads   []format.Tensor
	part    []format.Tensor // gradients of one of several batches; nil for a single batch
	adamw   *AdamW
	engine  Engine
	data    *Data
	step    int
	batch   Batch

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
	learned, err := o.learned(c)
	if err != nil {
		return nil, err
	}
	t := &Trainer{model: c, options: o, weights: c.Weights, learned: learned, adamw: newAdamW(o, learned), engine: e, data: d, step: c.Step}
	t.grads = sameShapes(learned)
	if o.Accumulate > 1 {
		t.part = sameShapes(learned)
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
		last := t.step == t.options.Steps
		if last || t.options.EvalEvery > 0 && t.step%t.options.EvalEvery == 0 {
			if e.ValLoss, err = t.Evaluate(); err != nil {
				return err
			}
			t.valLoss = &e.ValLoss
		}
		if err := event(e); err != nil {
			return err
		}
	}
	return nil
}

// Step takes one step without an evaluation: ValLoss is NaN.
func (t *Trainer) Step() (Event, error) {
	began := time.Now()
	loss, err := t.gradients()
	if err != nil {
		return Event{}, fmt.Errorf("train: step %d: %w", t.step+1, err)
	}
	length, err := norm(t.grads)
	if err != nil {
		return Event{}, err
	}
	if bad := loss + length; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return Event{}, fmt.Errorf("train: step %d: loss %g, gradient of length %g: %s; the weights of step %d are kept: take a smaller learning rate", t.step+1, loss, length, t.firstBad(), t.step)
	}
	lr := t.options.rate(t.step)
	if err := t.adamw.update(t.learned, t.grads, lr, t.options.shorten(length)); err != nil {
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
	draw := func(i int) error {
		t.data.draw(t.data.train, t.options.Batch, model.NewStream(t.options.Seed, "train.batch"), t.step*n+i, &t.batch)
		return t.data.err()
	}
	if n == 1 {
		if err := draw(0); err != nil {
			return 0, err
		}
		return t.engine.Step(t.weights, t.batch, t.grads)
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
			into = t.grads
		}
		loss, err := t.engine.Step(t.weights, t.batch, into)
		if err != nil {
			return 0, err
		}
		total, labels = total+loss*count, labels+count
		if labels > count { // not the first batch
			if err := mix(t.grads, t.part, count/labels); err != nil {
				return 0, err
			}
		}
	}
	return total / labels, nil
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
	if err != nil {
		return nil, err
	}
	state.Moments = t.adamw.moments(t.learned)
	return &model.Checkpoint{
		Arch: t.model.Arch, Config: t.model.Config, Graph: t.model.Graph, Special: t.model.Special, ChatTemplate: t.model.ChatTemplate, LoRA: t.model.LoRA,
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
