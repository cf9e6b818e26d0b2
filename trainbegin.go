package attnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// Defaults of the run's options.
const (
	defaultSteps = 200
	keepNewest   = 3   // checkpoints
	bpeVocab     = 512 // few tokens: on a CPU the logits of a large vocabulary cost more than a small network
)

// checkNew refuses invalid options of a new run before it reads anything. place
// is locked until it is closed.
func (r *trainRun) checkNew(d Corpus) (place io.Closer, err error) {
	o := &r.options
	if o.DType == train.Float32 {
		o.DType = ""
	}
	if reflect.ValueOf(*o).IsZero() {
		*o = train.DefaultOptions(defaultSteps)
	}
	if o.Epochs == 0 {
		o.SaveEvery = cmp.Or(o.SaveEvery, o.EvalEvery, o.Steps)
	} else if o.Steps > 0 {
		return nil, &Error{Option: "Epochs", Value: fmt.Sprint(o.Epochs), Err: errors.New("the steps follow from the epochs"), Do: "give one"}
	}
	o.Keep = cmp.Or(o.Keep, keepNewest)
	if r.folder == "" {
		return nil, &Error{Option: "Out", Value: isMissing, Err: errors.New("the run has no folder"), Do: "name one"}
	}
	if err := checkTranslating(*o); err != nil {
		return nil, err
	}
	if err := errors.Join(o.Check(), r.checkEngine()); err != nil {
		return nil, err
	}
	if held := heldBy(r.folder); held != "" {
		return nil, &Error{Option: "Out", Value: r.folder, Err: fmt.Errorf("it already holds a run's %s", held), Do: ResumeIt}
	}
	if place, err = output.Claim(output.Run, r.folder, d.Files...); err != nil {
		return nil, &Error{Option: "Out", Err: err}
	}
	return place, nil
}

// checkEngine refuses an unknown engine or device.
func (r *trainRun) checkEngine() error {
	r.engine, r.how.Device = cmp.Or(r.engine, "auto"), cmp.Or(r.how.Device, "cpu")
	r.options.Device = ""
	if r.how.Device != "cpu" {
		r.options.Device = r.how.Device
	}
	switch {
	case !slices.Contains(Engines(), r.engine):
		return &Error{Option: "Engine", Value: fmt.Sprintf("%.20q", r.engine), Err: errors.New("take gorgonia, ort or auto")}
	case !slices.Contains([]string{"cpu", "cuda"}, r.how.Device):
		return &Error{Option: "Device", Value: fmt.Sprintf("%.20q", r.how.Device), Err: errors.New("take cpu or cuda")}
	case r.engine == "auto" && r.options.DType != "":
		r.engine = "ort" // the other one has float32 alone
	case r.engine == "gorgonia" && r.how.Device != "cpu":
		return &Error{Option: "Device", Value: r.how.Device, Err: errors.New("the gorgonia engine computes on the CPU"), Do: TakeORT}
	}
	return r.checkThreads(r.engine, nil)
}

// checkThreads refuses a number of threads for Gorgonia's engine. why is the reason why it was
// chosen, nil if it was asked for.
func (r *trainRun) checkThreads(engine string, why error) error {
	if engine != "gorgonia" || r.how.Threads == 0 {
		return nil
	}
	err := errors.New("the gorgonia engine takes the threads of Go, of which GOMAXPROCS says how many")
	if why != nil {
		err = fmt.Errorf("%w, and ONNX Runtime is not there: %w", err, why)
	}
	return &Error{Option: "Threads", Value: fmt.Sprint(r.how.Threads), Err: err, Do: LeaveItOut}
}

// LeaveItOut is the remedy for an option that has no effect.
const LeaveItOut = "leave it out"

// heldBy returns the name of a file that shows that a folder contains a run, ""
// if there is none.
func heldBy(folder string) string {
	saved, aside, err := store.List(folder, model.CheckSeal)
	switch {
	case err != nil: // the folder does not exist
		return ""
	case len(saved) > 0:
		return filepath.Base(saved[0].Path)
	case len(aside) > 0:
		return filepath.Base(aside[0])
	}
	for _, name := range []string{store.MetricsName, store.LossPlotName, store.SourceName, store.ConfigName, store.LatestName, store.BestName} {
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

// begin reads the data of a new run and initializes its weights.
func (r *trainRun) begin(ctx context.Context, o TrainOptions) error {
	switch {
	case o.Pairs.empty():
	case !o.Data.empty():
		return &Error{Option: "Pairs", Err: errors.New("a run learns from Data or from Pairs"), Do: "give one"}
	default:
		return r.beginPairs(ctx, o)
	}
	if o.Init != "" {
		return r.beginFrom(ctx, o)
	}
	if len(o.AddTokens) > 0 {
		return &OptionError{Option: "AddTokens", Reason: " belongs to Init: give both"}
	}
	sizes, err := o.sizes()
	if err != nil {
		return err
	}
	tok := o.Tokenizer
	var text *train.Text
	ids, err := openTokens(o.Data.Files)
	if err != nil {
		return err
	}
	if ids != nil {
		if err := o.Data.check(); err != nil {
			return errors.Join(err, ids.Close())
		}
		if tok != nil {
			return errors.Join(&Error{Option: "Tokenizer", Err: errors.New("a token file has its own"), Do: "leave it out"}, ids.Close())
		}
		if o.Kind != 0 || o.Vocab != 0 {
			option := "Tokenizer"
			if o.Kind == 0 {
				option = "Vocab"
			}
			return errors.Join(&Error{Option: option, Err: errors.New("a token file has its own tokenizer"), Do: LeaveItOut}, ids.Close())
		}
		tok = ids.Tokenizer()
	} else if o.Data.Data == nil {
		r.ends = o.Kind == tokens.BPE
		if tok != nil {
			r.ends = endOf(tok) != nil
		}
		if text, err = r.readText(ctx, o.Data); err != nil {
			return err
		}
		r.options.DataSHA256, r.options.Documents = text.SHA256, text.Documents != nil
		r.textRead(text)
		if tok, err = o.tokenizer(text); err != nil {
			return err
		}
	} else if err = o.Data.check(); err != nil {
		return err
	} else if r.data = o.Data.Data; r.options.DataSHA256 == "" {
		r.options.DataSHA256 = r.data.SHA256()
	}
	network, err := o.network(sizes, tok)
	if err != nil {
		return err
	}
	shape, err := model.Of(network)
	if err != nil {
		return err
	}
	if (text != nil || ids != nil) && o.Context != shape.Context() {
		r.options.Context = o.Context
	}
	if ids != nil {
		if err := r.useTokens(ids, o.Data.Files[0], cmp.Or(o.Context, shape.Context())); err != nil {
			return err
		}
	}
	if text != nil {
		if err := r.tokenize(ctx, text, tok, cmp.Or(o.Context, shape.Context())); err != nil {
			return err
		}
	}
	if r.model, err = train.Start(network, tok, r.options.Seed); err != nil {
		return err
	}
	return r.checkFreeze()
}

// sizes returns the sizes of a network that attnx ships: those of the preset.
func (o TrainOptions) sizes() (arch.Sizes, error) {
	if o.Context < 0 {
		return arch.Sizes{}, &Error{Option: "Context", Value: fmt.Sprint(o.Context), Err: errors.New("take 1 or more, or 0 for the network's")}
	}
	if o.Network != nil {
		if o.Sizes != (arch.Sizes{}) {
			return arch.Sizes{}, &Error{Option: "Sizes", Err: errors.New("the network has sizes of its own"), Do: "leave out one of Sizes and Network"}
		}
		return arch.Sizes{}, nil
	}
	if s := o.Sizes; min(s.Layers, s.Heads, s.Width, s.Context, s.KVHeads, s.Inner) < 0 {
		return arch.Sizes{}, &Error{Option: "Sizes", Value: fmt.Sprintf("%+v", s), Err: errors.New("none may be negative")}
	}
	sizes, err := arch.Preset(cmp.Or(o.Preset, "tiny"))
	sizes.Context = cmp.Or(o.Context, sizes.Context)
	return sizes, err
}

// tokenizer returns the given tokenizer, or makes one from the text.
func (o TrainOptions) tokenizer(text *train.Text) (*tokens.Tokenizer, error) {
	if o.Tokenizer != nil {
		return o.Tokenizer, nil
	}
	kind, vocab := cmp.Or(o.Kind, tokens.Char), o.Vocab
	if kind == tokens.BPE && vocab == 0 {
		vocab = bpeVocab
	}
	t, err := tokens.Train(kind, text.Text, vocab)
	if err != nil {
		return nil, &Error{Option: "Data", Value: quote.Paths(text.Names), Err: err}
	}
	return t, nil
}

// network returns the given network, or one that attnx ships.
func (o TrainOptions) network(sizes arch.Sizes, tok *tokens.Tokenizer) (nn.Network, error) {
	if o.Network != nil {
		return o.Network, nil
	}
	if tok == nil {
		return nil, &Error{Option: "Network", Value: isMissing, Err: errors.New("the data have no tokenizer to choose one for"), Do: "give the network of these data, or their Tokenizer"}
	}
	if arch.Known(o.Arch) && !slices.Contains(arch.Decoders(), o.Arch) {
		return nil, &OptionError{Option: "Arch", Reason: fmt.Sprintf(" is %.64q, which cannot learn to continue a text: take %s", o.Arch, quote.Or(arch.Decoders()))}
	}
	n, err := arch.Resize(cmp.Or(o.Arch, arch.Names()[0]), o.Sizes, sizes, tok.VocabSize())
	if err != nil && o.Context > 0 { // the presets' own sizes are valid
		return nil, &Error{Option: "Context", Err: err}
	}
	return n, err
}

// open locks and tidies the folder of a resumed run, and returns the path of
// its newest checkpoint.
func (r *trainRun) open(keep int) (path string, err error) {
	run, err := model.OpenRun(r.folder, cmp.Or(keep, keepNewest))
	if err != nil {
		return "", err
	}
	for _, b := range run.SetAside() {
		r.events.Tell.Say(Warning, "set aside as %s: %s", filepath.Base(b.Path), quote.Line(b.Reason.Error(), 2000))
	}
	path, ok := run.Latest()
	if !ok {
		err := &Error{Option: "run", Value: r.folder, Err: errors.New("none of its checkpoints is whole"), Do: BeginAgain}
		return "", errors.Join(err, run.Close())
	}
	r.run = run
	return path, nil
}

// newest reads the newest intact checkpoint and returns its path, "" if there is
// none. It writes nothing, so a refused checkpoint or option leaves the folder
// unchanged.
func (r *trainRun) newest(o ResumeOptions) (string, error) {
	var refused error
	path, _, err := store.Newest(r.folder, func(path string, f io.ReaderAt, size int64) (score float64, broken, err error) {
		score, broken, err = model.CheckSeal(path, f, size)
		if broken != nil || err != nil {
			return score, broken, err
		}
		if err = r.take(path, o); find.Damaged(err) {
			return score, err, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			refused = err
		}
		return score, nil, err
	})
	if refused != nil || err == nil {
		return path, refused
	}
	return "", nil // open reports the problem when it tidies the folder
}

// take reads a checkpoint and its options, and applies the requested changes.
func (r *trainRun) take(path string, o ResumeOptions) (err error) {
	if r.model, err = model.Load(path); err != nil {
		return err
	}
	if r.options, err = train.Saved(r.model); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s := &r.options
	if o.Epochs > 0 {
		if s.Epochs == 0 {
			return &Error{Option: "Epochs", Value: fmt.Sprint(o.Epochs), Err: fmt.Errorf("%s draws its examples: give a number of steps", r.folder)}
		}
		if o.Steps > 0 {
			return &Error{Option: "Epochs", Value: fmt.Sprint(o.Epochs), Err: errors.New("the steps follow from the epochs"), Do: "give one"}
		}
		s.Epochs, o.Steps = o.Epochs, s.StepsFor(o.Epochs)
	}
	s.Steps, s.SaveEvery, s.Keep, s.Patience = cmp.Or(o.Steps, s.Steps), cmp.Or(o.SaveEvery, s.SaveEvery), cmp.Or(o.Keep, s.Keep), cmp.Or(o.Patience, s.Patience)
	r.engine, r.how.Device = cmp.Or(o.Engine, s.Engine), cmp.Or(o.EngineOptions.Device, s.Device)
	return errors.Join(s.Check(), r.checkEngine())
}

// resumable refuses a folder that is not a run's, without touching it.
func resumable(folder string) error {
	if _, err := find.Expect(folder, "a run's folder", find.RunFolder, find.ModelFolder, find.OtherFolder); err != nil {
		return err
	}
	saved, aside, err := store.List(folder, model.CheckSeal)
	if err == nil && len(saved)+len(aside) == 0 {
		err = find.NoCheckpoint(folder)
	}
	return err
}

// complete reports whether a checkpoint with all requested steps exists.
func (r *trainRun) complete() bool { return r.model != nil && r.options.Steps <= r.model.Step }

// readAgain reads the data of a resumed run if it has steps left. from is its
// checkpoint.
func (r *trainRun) readAgain(ctx context.Context, d Corpus, from string) error {
	if r.complete() {
		return nil
	}
	if r.options.ValSHA256 == "" && r.options.Table == nil && !r.val.empty() {
		return &Error{Option: "Val", Err: fmt.Errorf("%s validates with a part of its data", r.folder), Do: "leave it out"}
	}
	if err := r.readData(ctx, d, from); err != nil {
		return err
	}
	return r.validate(ctx)
}

// readData reads what a resumed run learns from.
func (r *trainRun) readData(ctx context.Context, d Corpus, from string) error {
	if r.data = d.Data; r.data != nil {
		if sum := r.data.SHA256(); sum != r.options.DataSHA256 {
			return &Error{Option: "Data", Err: fmt.Errorf("they are not those that this run began with (SHA-256 %.12s, was %.12s)", sum, r.options.DataSHA256), Do: "give the same"}
		}
		return d.check()
	}
	if how := r.options.Table; how != nil {
		return r.readTableAgain(d, from, *how)
	}
	if len(r.model.Tokenizer) == 0 {
		return &Error{Option: "Data", Value: isMissing, Err: fmt.Errorf("%s learned from examples, which are not in its folder", r.folder), Do: GiveExamples}
	}
	tok, err := tokenizerOf(from, r.model)
	if err == nil && r.model.Arch != fileArch && (tok.VocabSize() > find.ReadIDs(r.model) || tok.Target().VocabSize() > r.model.IDs()) {
		err = find.TooLarge(from, tok, r.model) // refused now: the data may contain those ids anywhere
	}
	if err != nil {
		return err
	}
	if r.model.Translates() {
		return r.readPairsAgain(ctx, d, tok)
	}
	if found, err := r.tokensAgain(d, r.options.Context); found || err != nil {
		return err
	}
	r.ends = endOf(tok) != nil
	text, err := r.findText(ctx, d)
	if err != nil {
		return err
	}
	r.textRead(text)
	return r.tokenize(ctx, text, tok, cmp.Or(r.options.Context, r.model.Context()))
}

// readTableAgain reads the examples of a resumed run.
func (r *trainRun) readTableAgain(d Corpus, from string, how train.Table) error {
	files := d.Files
	source, err := readSource(r.in(store.SourceName))
	if len(files) == 0 {
		if err != nil {
			return &Error{Err: err, Do: GiveFirstText}
		}
		files = source.Paths
	}
	if err == nil && source.Val != nil && r.val.empty() {
		r.val = Corpus{Files: source.Val.Paths}
	}
	var tok *tokens.Tokenizer
	if how.Text != "" {
		var err error
		if tok, err = tokenizerOf(from, r.model); err != nil {
			return err
		}
	}
	if err := r.readTable(files, tok, how, 0); err != nil {
		return err
	}
	if sum := r.data.SHA256(); sum != r.options.DataSHA256 {
		return &Error{Option: "Data", Value: quote.Paths(files), Do: "give the same files in the same order",
			Err: fmt.Errorf("the examples are not those this run began with (SHA-256 %.12s, was %.12s)", sum, r.options.DataSHA256)}
	}
	return nil
}
