package train

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
)

// Options are the settings of a training run. They travel in its checkpoints,
// so that a run goes on with what it began with.
type Options struct {
	Steps       int     `json:"steps"`                // in all, a resumed run's earlier ones included
	Batch       int     `json:"batch"`                // sequences that are computed side by side
	Accumulate  int     `json:"accumulate,omitempty"` // batches of one step, one after the other; 0 is 1
	Context     int     `json:"context,omitempty"`    // tokens of a text's sequences; 0: as many as the network sees
	LR          float64 `json:"lr"`                   // the highest learning rate
	MinLR       float64 `json:"min_lr"`
	Warmup      int     `json:"warmup"` // steps of rising learning rate
	Beta1       float64 `json:"beta1"`
	Beta2       float64 `json:"beta2"`
	Epsilon     float64 `json:"epsilon"`
	WeightDecay float64 `json:"weight_decay"`
	Clip        float64 `json:"clip"` // the longest gradient; 0 leaves it as it is
	Seed        uint64  `json:"seed"`
	Engine      string  `json:"engine,omitempty"` // engine of the run; a resumed run must reuse it to reproduce rounding
	EvalEvery   int     `json:"eval_every"`       // steps between evaluations; 0: only after the last
	EvalBatches int     `json:"eval_batches"`     // batches of one evaluation
	DataSHA256  string  `json:"data_sha256"`      // of the text, so that a resumed run can tell that it is another

	// Used by the caller only; these do not affect the results.
	Device    string `json:"device,omitempty"`     // where the engine computes; "" is the CPU
	SaveEvery int    `json:"save_every,omitempty"` // steps between checkpoints
	Keep      int    `json:"keep,omitempty"`       // newest checkpoints that stay
}

// The largest settings of a run. They come from files too: a run must not
// evaluate for ever because somebody's file says so.
const (
	maxSteps       = math.MaxInt32 // and what is counted in steps or checkpoints
	maxBatch       = 1 << 27
	maxAccumulate  = 1 << 20
	maxEvalBatches = 10000
)

// DefaultOptions returns nanoGPT's settings for its CPU run, for the given
// number of steps.
func DefaultOptions(steps int) Options {
	return Options{
		Steps: steps, Batch: 12, LR: 1e-3, MinLR: 1e-4, Warmup: min(100, steps/10),
		Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-8, WeightDecay: 0.1, Clip: 1,
		EvalEvery: max(1, steps/10), EvalBatches: 8,
	}
}

// Check reports the first setting that makes no run.
func (o Options) Check() error {
	switch {
	case o.Steps < 1 || o.Batch < 1 || o.Accumulate < 0:
		return fmt.Errorf("train: %d steps of %d sequences, accumulated over %d batches: expected 1 or more of each", o.Steps, o.Batch, o.Accumulate)
	case o.Steps > maxSteps || o.Batch > maxBatch || o.Accumulate > maxAccumulate:
		return fmt.Errorf("train: %d steps of %d sequences, accumulated over %d batches: at most %d, %d and %d", o.Steps, o.Batch, o.Accumulate, maxSteps, maxBatch, maxAccumulate)
	case !(o.LR > 0) || math.IsInf(o.LR, 0) || !(o.MinLR >= 0 && o.MinLR <= o.LR):
		return fmt.Errorf("train: learning rate from %g down to %g, expects a positive number and no larger last one", o.LR, o.MinLR)
	case o.Warmup < 0 || o.EvalEvery < 0 || o.EvalBatches < 1:
		return fmt.Errorf("train: warm-up %d, evaluation every %d steps over %d batches: none may be negative, and an evaluation takes a batch", o.Warmup, o.EvalEvery, o.EvalBatches)
	case o.Warmup > maxSteps || o.EvalEvery > maxSteps || o.EvalBatches > maxEvalBatches:
		return fmt.Errorf("train: warm-up %d, evaluation every %d steps over %d batches: at most %d, %[4]d and %[5]d", o.Warmup, o.EvalEvery, o.EvalBatches, maxSteps, maxEvalBatches)
	case o.SaveEvery < 0 || o.SaveEvery > maxSteps || o.Keep < 0 || o.Keep > maxSteps:
		return fmt.Errorf("train: a checkpoint every %d steps, of which %d stay: expects 0 to %d", o.SaveEvery, o.Keep, maxSteps)
	case !(o.Beta1 >= 0 && o.Beta1 < 1) || !(o.Beta2 >= 0 && o.Beta2 < 1) || !(o.Epsilon > 0) || math.IsInf(o.Epsilon, 0):
		return fmt.Errorf("train: beta1 %g and beta2 %g must be from 0 to below 1, epsilon %g above 0 and finite", o.Beta1, o.Beta2, o.Epsilon)
	case !(o.WeightDecay >= 0) || math.IsInf(o.WeightDecay, 0) || !(o.Clip >= 0):
		return fmt.Errorf("train: weight decay %g and clip %g must not be negative, nor the decay infinite", o.WeightDecay, o.Clip)
	}
	return nil
}

// Event is what a run tells after every step.
type Event struct {
	Step            int // steps done, from 1
	Loss            float64
	ValLoss         float64 // NaN unless this step was followed by an evaluation
	LR              float64
	GradNorm        float64 // before clipping
	TokensPerSecond float64 // examples, where there are no tokens
}

// Trainer trains one model. It prints nothing: events go to the caller.
type Trainer struct {
	model   *model.Checkpoint // what the run began with
	options Options
	weights model.Weights
	grads   []format.Tensor
	part    []format.Tensor // gradients of one of several batches; nil while there is one
	adamw   *AdamW
	engine  Engine
	data    *Data
	step    int
	batch   Batch

	loss, valLoss *float64 // of the last step, and after it; nil where they are not known
}

// New returns a trainer that starts from the weights of c, which it changes in
// place. If c holds the state of an earlier run, training goes on after it.
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
	t := &Trainer{model: c, options: o, weights: c.Weights, adamw: newAdamW(o, c.Weights), engine: e, data: d, step: c.Step}
	t.grads = sameShapes(c.Weights)
	if o.Accumulate > 1 {
		t.part = sameShapes(c.Weights)
	}
	if c.Train != nil {
		if err := t.adamw.restore(c.Weights, c.Train.Moments, c.Step); err != nil {
			return nil, err
		}
		if err := o.checkState(c.Train, c.Step); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// sameShapes returns zeros in the shapes of the weights, under their names.
func sameShapes(w model.Weights) (out []format.Tensor) {
	for _, t := range w {
		out = append(out, format.FromFloat32s(t.Name, t.Shape, make([]float32, t.Elements())))
	}
	return out
}

// Run trains until the last step, or until ctx is done: the step under way is
// finished first, so that what Checkpoint returns can always be resumed. It
// returns ctx's error in that case. event is told every step, and may save a
// checkpoint; its error ends the run.
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

// Step takes one step, without evaluating: ValLoss is NaN.
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
	if err := t.adamw.update(t.weights, t.grads, lr, t.options.shorten(length)); err != nil {
		return Event{}, err
	}
	t.step++
	t.loss, t.valLoss = &loss, nil
	return Event{
		Step: t.step, Loss: loss, ValLoss: math.NaN(), LR: lr, GradNorm: length,
		TokensPerSecond: float64(t.options.Batch*max(1, t.options.Accumulate)*max(1, t.data.context)) / time.Since(began).Seconds(),
	}, nil
}

// gradients fills t.grads with the gradient of the next step's batches and
// returns their loss. Several batches count by their labels: the result is that
// of one large batch.
func (t *Trainer) gradients() (float64, error) {
	n := max(1, t.options.Accumulate)
	draw := func(i int) {
		t.data.draw(t.data.train, t.options.Batch, model.NewStream(t.options.Seed, "train.batch"), t.step*n+i, &t.batch)
	}
	if n == 1 {
		draw(0)
		return t.engine.Step(t.weights, t.batch, t.grads)
	}
	total, labels := 0.0, 0.0
	for i := range n {
		draw(i)
		count := float64(t.batch.labels())
		if count == 0 {
			continue // no label: no loss, and no gradient
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
		if labels > count { // not the first
			if err := mix(t.grads, t.part, count/labels); err != nil {
				return 0, err
			}
		}
	}
	return total / labels, nil
}

// mix moves the gradients a towards b by the share of b: their running mean.
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

// shorten returns the factor that brings a gradient of the given length down
// to Clip, in PyTorch's form.
func (o Options) shorten(length float64) float64 {
	if o.Clip == 0 {
		return 1
	}
	return min(1, o.Clip/(length+1e-6))
}

// Evaluate returns the mean loss over the validation part: the same batches
// every time, so that evaluations of one run can be compared.
func (t *Trainer) Evaluate() (float64, error) {
	sum := 0.0
	for n := range t.options.EvalBatches {
		t.data.draw(t.data.val, t.options.Batch, model.NewStream(t.options.Seed, "validation.batch"), n, &t.batch)
		loss, err := t.engine.Loss(t.weights, t.batch)
		if err != nil {
			return 0, fmt.Errorf("train: evaluation after step %d: %w", t.step, err)
		}
		sum += loss
	}
	return sum / float64(t.options.EvalBatches), nil
}

// Checkpoint returns the model as it is now, with the state to go on from. It
// shares memory with the trainer: save it before the next step.
func (t *Trainer) Checkpoint(tokenizer []byte) (*model.Checkpoint, error) {
	state, err := t.options.state(t.step)
	if err != nil {
		return nil, err
	}
	state.Moments = t.adamw.moments(t.weights)
	return &model.Checkpoint{
		Arch: t.model.Arch, Config: t.model.Config, Graph: t.model.Graph, Special: t.model.Special,
		Weights: t.weights, Tokenizer: tokenizer, Step: t.step, Loss: t.loss, ValLoss: t.valLoss, Train: state,
	}, nil
}

// Start returns a checkpoint at step 0: a network with first weights drawn from
// the seed, and the tokenizer of its text, which may be nil.
func Start(n nn.Network, t *tokens.Tokenizer, seed uint64) (*model.Checkpoint, error) {
	first, err := model.New(n, seed)
	if err == nil && t != nil {
		first.Special = model.Spelled(t, first.IDs())
		first.Tokenizer, err = t.MarshalJSON()
	}
	return first, err
}

// Saved returns the options that a checkpoint's run was started with.
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
