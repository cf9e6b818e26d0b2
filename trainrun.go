package attnx

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/internal/speed"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/score"
	"github.com/attnx/attnx/model/train"
)

// trainRun is a run in progress.
type trainRun struct {
	folder  string
	fresh   bool // not resumed
	engine  string
	how     EngineOptions
	options train.Options
	config  string // for people; "" if the run has none
	events  TrainEvents

	seconds float64 // of its steps; 0: any number

	val    Corpus            // of validation, as given
	ends   bool              // the tokenizer has a token that ends a document
	model  *model.Checkpoint // the model at the start
	names  map[string]string // of the nodes of an ONNX file, by their results
	data   *train.Data
	source *train.Source    // nil if the text cannot be found again
	tokens *train.TokenFile // that data is read from; nil: none
	text   bool             // the data are a text

	valTokens *train.TokenFile // the same for validation

	judge  *translationJudge // of a run that learns to translate
	scores *score.Scores     // of the last evaluation

	run     *model.Run // the folder; nil until it is written
	trainer *train.Trainer
	metrics *metricsLog
	speed   *speedometer
	saved   int // the last saved step
	done    int // steps taken
}

// in returns the path of a file of the run.
func (r *trainRun) in(name string) string { return filepath.Join(r.folder, name) }

// train takes the steps, once the model and the data are ready.
func (r *trainRun) train(ctx context.Context) (*TrainResult, error) {
	if err := r.checkForm(); err != nil {
		return nil, err
	}
	if err := r.checkMemory(); err != nil {
		return nil, r.named(err)
	}
	if r.events.Open != nil {
		r.events.Open()
	}
	r.how.Loss, r.how.Recompute, r.how.DType = r.options.Passes(), r.options.Recompute, r.options.DType
	if r.how.Device == "cuda" && r.options.Accumulate <= 1 && !r.options.BatchStatistics {
		r.how.Update = &r.options
	}
	network, err := r.options.Network(r.model)
	if err != nil {
		return nil, err
	}
	engine, why, err := OpenEngine(r.engine, network, r.how)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	if err := r.checkThreads(engine.Name(), why); err != nil {
		return nil, err
	}
	r.options.Engine = engine.Name()
	if r.trainer, err = train.New(r.model, engine, r.data, r.options); err != nil {
		return nil, err
	}
	r.trainer.Seconds = r.seconds
	if r.speed, err = newSpeedometer(network, r.data, engine.Name(), r.how.Device); err != nil {
		return nil, err
	}
	if err := r.openFolder(); err != nil {
		return nil, err
	}
	defer r.run.Close()
	if err := errors.Join(r.saveSource(), r.saveConfig()); err != nil {
		return nil, err
	}
	if r.metrics, err = openMetrics(r.folder, r.model.Step); err != nil {
		return nil, err
	}
	defer r.metrics.Close()
	if r.events.Begin != nil {
		frozen, err := r.options.Frozen(r.model)
		if err != nil {
			return nil, err
		}
		r.events.Begin(TrainBegin{
			Model: r.model, Steps: r.options.Steps, Engine: engine.Name(), Device: r.how.Device, NoORT: why,
			Init: r.options.Init, Frozen: frozen,
		})
	}
	if r.settled() {
		return r.end(errEarly)
	}
	return r.end(r.steps(ctx))
}

// errEarly ends a run whose patience is over.
var errEarly = errors.New("the validation loss has stopped falling")

// settled reports whether none of the last Patience evaluations had a lower loss
// than one before them.
func (r *trainRun) settled() bool {
	if r.options.Patience == 0 {
		return false
	}
	best, since := math.Inf(1), 0
	for _, m := range r.metrics.history {
		switch {
		case m.ValLoss == nil:
		case *m.ValLoss < best:
			best, since = *m.ValLoss, 0
		default:
			since++
		}
	}
	return since >= r.options.Patience
}

// checkForm refuses what the form of training changes in no place of the network.
func (r *trainRun) checkForm() error {
	loss, err := r.options.WithLoss(r.model.Graph)
	if err != nil {
		return err
	}
	if r.options.Dropout > 0 {
		if _, err := graph.AddDropout(loss); err != nil {
			return &Error{Option: "Dropout", Value: fmt.Sprint(r.options.Dropout), Err: err, Do: "leave it out"}
		}
	}
	if moment, weight := graph.SharedMoment(loss); r.options.BatchStatistics && moment != "" {
		err := fmt.Errorf("the running moment %.80q is the same tensor as %.80q: a step cannot update one without the other", moment, weight)
		if moment == weight {
			err = fmt.Errorf("the running moment %.80q is read as another weight too: a step cannot update one without the other", moment)
		}
		return &Error{Option: "BatchStatistics", Err: err, Do: ExportMoments}
	}
	if r.options.BatchStatistics && graph.RunningMoments(loss) == nil {
		return &Error{Option: "BatchStatistics", Err: errors.New("the network has no BatchNormalization with moments of its own")}
	}
	return nil
}

// ExportMoments is the remedy for running moments that share a weight.
const ExportMoments = "export the file after a training batch, when they differ, or train without BatchStatistics"

// NameEarlier is the remedy for a node that cannot be trained.
const NameEarlier = "name an Output that does not need it"

// named adds the ONNX file, the name of its node and the remedy to the error that a node
// has no gradient, or is one that the engine does not compute.
func (r *trainRun) named(err error) error {
	none, unknown, at := (*graph.NoGradientError)(nil), (*graph.UnsupportedError)(nil), ""
	switch {
	case r.names == nil:
		return err
	case errors.As(err, &none):
		at = none.Node
	case errors.As(err, &unknown):
		at, err = unknown.Node, unknown
	default:
		return err
	}
	for ; at != ""; at = at[:max(0, strings.LastIndexByte(at, '.'))] { // a node's parts have names below its own
		if name := r.names[at]; name != "" {
			err = fmt.Errorf("node %.80q: %w", name, err)
			break
		}
	}
	return &Error{Option: "Init", Value: r.options.Init.Name, Err: err, Do: NameEarlier}
}

// checkMemory refuses a batch whose step does not fit into free memory.
func (r *trainRun) checkMemory() error {
	need, err := r.memory()
	if err != nil {
		return err
	}
	if free := memory.Free(); free > 0 && need > free {
		return &Error{Option: "Batch", Value: fmt.Sprint(r.options.Batch), Do: SmallerBatch,
			Err: fmt.Errorf("a step takes about %.1f GB, %.1f GB are free", float64(need)/1e9, float64(free)/1e9)}
	}
	return nil
}

// memory predicts the bytes that the run takes with the engine that it will get.
func (r *trainRun) memory() (int64, error) {
	params, err := r.options.Trained(r.model.Graph)
	if err != nil {
		return 0, &Error{Option: "Freeze", Err: err}
	}
	network, err := r.options.Network(r.model)
	if err != nil {
		return 0, err
	}
	options := r.options
	options.Engine = engineFor(r.engine, r.how.Device)
	return train.Memory(network, r.data, options, params)
}

// openFolder creates the folder of a new run and saves a checkpoint in it: a
// run that cannot be saved must not begin.
func (r *trainRun) openFolder() (err error) {
	r.saved = r.model.Step
	if !r.fresh {
		return nil
	}
	if r.run, err = model.OpenRun(r.folder, r.options.Keep); err != nil {
		return &Error{Option: "Out", Err: err}
	}
	held := heldBy(r.folder) // another process may have started a run since the check without the lock
	if held != "" {
		return errors.Join(&Error{Option: "Out", Value: r.folder, Err: fmt.Errorf("meanwhile it holds a run's %s", held), Do: "choose another folder"}, r.run.Close())
	}
	if err := errors.Join(r.save(), r.run.Wait()); err != nil {
		return errors.Join(err, r.run.Abandon())
	}
	return nil
}

// save saves the current state in the background.
func (r *trainRun) save() error {
	reached, err := r.trainer.Checkpoint(r.model.Tokenizer)
	if err != nil {
		return err
	}
	reached.Rank = r.rank()
	return r.run.Save(reached)
}

// judged adds the scores of held-out translations to the metrics of an evaluation.
func (r *trainRun) judged(m *Metric) error {
	if r.scores = nil; r.judge == nil || m.ValLoss == nil {
		return nil
	}
	s, err := r.judge.scores(r.model, r.how.Device)
	if err != nil {
		return fmt.Errorf("the translations of step %d: %w", m.Step, err)
	}
	r.scores, m.Scores = &s, &s
	return nil
}

// rank returns what decides which checkpoint is best, the lowest; nil: the validation
// loss does.
func (r *trainRun) rank() *float64 {
	if r.scores == nil {
		return nil
	}
	rank := 100 - r.scores.BLEU
	if r.options.Best == train.BestChrF {
		rank = 100 - r.scores.ChrF
	}
	return &rank
}

// steps trains until the last step, the end of ctx, or an error.
func (r *trainRun) steps(ctx context.Context) error {
	every := max(1, r.options.SaveEvery)
	return r.trainer.Run(ctx, func(e train.Event) error {
		r.done++
		m := r.speed.metric(e)
		if err := r.judged(&m); err != nil {
			return err
		}
		r.metrics.add(m)
		if r.events.Step != nil {
			r.events.Step(m)
		}
		var err error
		if e.Step%every != 0 {
			err = r.run.Poll()
		} else if err = r.save(); err == nil {
			r.saved = e.Step
		}
		if err == nil && m.ValLoss != nil && e.Step < r.options.Steps && r.settled() {
			return errEarly
		}
		return err
	})
}

// end saves the final state, however the run ended. It reports a failed save
// before the reason why the run ended.
func (r *trainRun) end(runErr error) (*TrainResult, error) {
	if fast := r.speed.overPeak; fast > 0 {
		r.events.Tell.Say(Warning, "no share: %s", speed.BusyProduct(fast, r.speed.peak))
	}
	early := errors.Is(runErr, errEarly)
	if early {
		runErr = nil
	}
	stopped := errors.Is(runErr, context.Canceled) || errors.Is(runErr, context.DeadlineExceeded)
	if runErr != nil && !stopped && r.done == 0 {
		return nil, errors.Join(r.named(runErr), r.abandon())
	}
	also := func(err error) error {
		if stopped || runErr != nil && runErr.Error() == err.Error() { // the second save failed for the same reason
			return err
		}
		return errors.Join(runErr, err)
	}
	result := &TrainResult{
		Run: r.folder, Done: r.done, Seconds: r.trainer.Spent(), Steps: r.options.Steps, Engine: r.options.Engine, Device: r.how.Device,
		History: r.metrics.history, Source: r.source,
	}
	switch {
	case stopped:
		result.Ended = Stopped
	case runErr != nil:
		result.Ended = Failed
	case early:
		result.Ended = Early
	case r.model.Step+r.done < r.options.Steps:
		result.Ended = Spent
	}
	reached := r.model.Step + r.done
	if r.saved != reached {
		if err := r.save(); err != nil {
			return nil, also(err)
		}
	}
	if err := errors.Join(r.run.Wait(), r.metrics.Close()); err != nil {
		return nil, also(err)
	}
	result.Checkpoint = r.run.Path(reached)
	var err error
	if result.Model, err = r.trainer.Checkpoint(r.model.Tokenizer); err != nil {
		return nil, also(err)
	}
	return result, runErr
}

// abandon removes the files of a new run that made no progress.
func (r *trainRun) abandon() error {
	if !r.fresh {
		return nil
	}
	r.metrics.Close()
	os.Remove(r.in(store.MetricsName))
	os.Remove(r.metrics.events)
	os.Remove(r.in(store.SourceName))
	os.Remove(r.in(store.ConfigName))
	return r.run.Abandon()
}
