package attnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/pairs"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// PairCorpus is parallel text, from which a network learns to translate: Files, or
// Pairs.
type PairCorpus struct {
	Files  []string     // files and folders that pairs.Read reads; with Target, one file with a sentence in each line
	Glob   string       // pattern for the names of files in folders; "": all
	Target string       // file with the translation of each line
	Pairs  []pairs.Pair // pairs in memory
}

func (d PairCorpus) empty() bool { return len(d.Files) == 0 && len(d.Pairs) == 0 && d.Target == "" }

// paths returns the files and folders that are read.
func (d PairCorpus) paths() []string {
	if d.Target == "" {
		return d.Files
	}
	return append(slices.Clone(d.Files), d.Target)
}

// Read reads the pairs.
func (d PairCorpus) Read(ctx context.Context) (*pairs.Corpus, error) {
	switch {
	case len(d.Pairs) > 0:
		if len(d.paths()) > 0 {
			return nil, &Error{Option: "Pairs", Err: errors.New("it has Files and Pairs"), Do: "give one"}
		}
		c := &pairs.Corpus{Pairs: d.Pairs}
		c.Counts.Pairs = len(d.Pairs)
		return c, nil
	case d.Target != "" && len(d.Files) != 1:
		return nil, &Error{Option: "Target", Value: d.Target, Err: fmt.Errorf("it has the translations of one file, not of %d", len(d.Files)), Do: "name one file with the sources"}
	case d.Target != "":
		return pairs.ReadLines(d.Files[0], d.Target)
	}
	return pairs.Read(ctx, d.Files, cmp.Or(d.Glob, "*"))
}

// source returns what finds the pairs again; nil if they are in memory.
func (d PairCorpus) source(c *pairs.Corpus) (*train.Source, error) {
	if len(d.Pairs) > 0 {
		return nil, nil
	}
	s := &train.Source{Glob: cmp.Or(d.Glob, "*"), Files: c.Files, Bytes: c.Bytes, Pairs: true}
	for _, path := range d.Files {
		whole, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		s.Paths = append(s.Paths, whole)
	}
	if d.Target != "" {
		var err error
		if s.Target, err = filepath.Abs(d.Target); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// HeldShare is the share of sources that a run holds out: one in so many.
const HeldShare = 20

// Settings of translators.
const (
	pairVocab   = 2048 // tokens of BPE
	pairContext = 128  // tokens of a source or target
	mostJudged  = 256  // held-out pairs that an evaluation translates
	endToken    = "</s>"
	padToken    = "<pad>"
)

// checkTranslating refuses values of the settings of translators by the names of their options.
func checkTranslating(o train.Options) error {
	switch {
	case !(o.Smoothing >= 0 && o.Smoothing < 1):
		return &OptionError{Option: "Smoothing", Reason: fmt.Sprintf(" is %g: take 0 to below 1", o.Smoothing)}
	case !slices.Contains([]string{"", train.BestBLEU, train.BestChrF}, o.Best):
		return &OptionError{Option: "Best", Reason: fmt.Sprintf(" is %.20q: take %s or %s", o.Best, train.BestBLEU, train.BestChrF)}
	}
	return nil
}

// beginPairs is begin for a run that learns to translate.
func (r *trainRun) beginPairs(ctx context.Context, o TrainOptions) error {
	switch {
	case o.Settings.Pack:
		return &OptionError{Option: "Pack", Reason: " joins texts, and a pair is an example of its own: leave it out"}
	case o.Settings.Epochs > 0:
		return &OptionError{Option: "Epochs", Reason: ": pairs of similar length are drawn together, and not in epochs: give a number of steps"}
	case o.Output != "":
		return &OptionError{Option: "Output", Reason: " is what a Loss is of, and pairs have theirs: leave it out"}
	}
	sizes, err := o.sizes()
	if err != nil {
		return err
	}
	c, err := o.Pairs.Read(ctx)
	if err != nil {
		return err
	}
	if r.source, err = o.Pairs.source(c); err != nil {
		return err
	}
	tok, err := r.beginTranslator(o, sizes, c)
	if err != nil {
		return err
	}
	r.options.DataSHA256, r.options.Context = c.SHA256(), cmp.Or(o.Context, min(r.model.Context(), longestDefault), pairContext)
	r.options.Best = cmp.Or(o.Settings.Best, train.BestBLEU)
	return r.encodePairs(ctx, c, tok)
}

// beginTranslator sets the network of a new run, and returns its tokenizer.
func (r *trainRun) beginTranslator(o TrainOptions, sizes arch.Sizes, c *pairs.Corpus) (*tokens.Tokenizer, error) {
	if o.SeparateVocabularies && (o.Init != "" || o.Tokenizer != nil) {
		return nil, &OptionError{Option: "SeparateVocabularies", Reason: ": a model to start from has its tokenizer, and so has a run that is given one: leave it out"}
	}
	if o.Init != "" {
		return r.beginTranslatorFrom(o)
	}
	tok := o.Tokenizer
	var file []byte
	var err error
	if tok == nil {
		if tok, file, err = pairTokenizer(o, c); err != nil {
			return nil, &Error{Option: "Pairs", Err: err}
		}
	}
	if o.Network == nil {
		known := arch.Translators()
		if o.SeparateVocabularies {
			known = slices.DeleteFunc(known, func(name string) bool { return !arch.TakesTwoVocabularies(name) })
		}
		name := arch.Translating(cmp.Or(o.Arch, known[0]))
		if !slices.Contains(arch.Translators(), name) {
			return nil, &OptionError{Option: "Arch", Reason: fmt.Sprintf(" is %.64q, which cannot learn to translate: take %s", name, quote.Or(arch.Translators()))}
		}
		if o.Context == 0 {
			sizes.Context = cmp.Or(o.Sizes.Context, pairContext)
		}
		if o.SeparateVocabularies && !slices.Contains(known, name) {
			return nil, &OptionError{Option: "SeparateVocabularies", Reason: fmt.Sprintf(": %s has one vocabulary for both sides: take %s", name, quote.Or(known))}
		}
		if o.Network, err = arch.Resize(name, o.Sizes, sizes, tok.Target().VocabSize()); err != nil {
			return nil, err
		}
		if tok.Separate() {
			if o.Network, err = arch.WithSource(o.Network, tok.VocabSize()); err != nil {
				return nil, err
			}
		}
	}
	r.model, err = train.Start(o.Network, tok, r.options.Seed)
	if err != nil {
		return nil, err
	}
	if file != nil {
		r.model.Tokenizer = file // a tokenizer writes no post-processor
	}
	if !r.model.Translates() {
		return nil, &Error{Option: "Network", Err: fmt.Errorf("%s reads no source", r.model.Arch), Do: "declare one with nn.Builder.Source"}
	}
	if r.model.Special, err = pairSpecial(tok.Target()); err != nil {
		return nil, err
	}
	return tok, nil
}

// beginTranslatorFrom is beginTranslator for a model that the run starts from, which has its own
// tokenizer and its own tokens that begin, end and pad a text.
func (r *trainRun) beginTranslatorFrom(o TrainOptions) (*tokens.Tokenizer, error) {
	from, err := o.startFrom(r.events.Tell)
	if err != nil {
		return nil, err
	}
	r.model, r.options.Init = from.model, from.origin
	r.options.Freeze = append(from.freeze, r.options.Freeze...)
	r.model.Special = huggingface.SpecialOf(r.model)
	if err := r.adapt(o); err != nil {
		return nil, err
	}
	if most := r.model.Context(); most > 0 && o.Context > most {
		return nil, &Error{Option: "Context", Value: fmt.Sprint(o.Context), Err: fmt.Errorf("%s has a context of %d tokens: take at most as many", o.Init, most)}
	}
	return from.tokenizer, r.checkFreeze()
}

// readValPairs reads the pairs that validate a run; nil if they are some of those it
// learns from.
func (r *trainRun) readValPairs(ctx context.Context) (*pairs.Corpus, error) {
	given := PairCorpus{Files: r.val.Files, Glob: r.val.Glob}
	if r.val.empty() {
		if r.options.ValSHA256 == "" {
			return nil, nil
		}
		from, err := readSource(r.in(store.SourceName))
		if err != nil || from.Val == nil {
			return nil, &Error{Option: "Val", Value: isMissing, Err: fmt.Errorf("%s does not say where its pairs for validation are", r.folder), Do: GiveVal}
		}
		given = PairCorpus{Files: from.Val.Paths, Glob: from.Val.Glob}
	}
	c, err := given.Read(ctx)
	if err != nil {
		return nil, &Error{Option: "Val", Err: err}
	}
	if sum := c.SHA256(); r.options.ValSHA256 == "" {
		r.options.ValSHA256 = sum
	} else if sum != r.options.ValSHA256 {
		return nil, &Error{Option: "Val", Value: quote.Paths(given.Files), Err: errors.New("they are not those that this run began with"), Do: GiveVal}
	}
	if r.source != nil {
		r.source.Val, err = given.source(c)
	}
	return c, err
}

// encodePairs makes the training data of pairs, and the judge of what is held out.
func (r *trainRun) encodePairs(ctx context.Context, c *pairs.Corpus, tok *tokens.Tokenizer) error {
	most, long := r.options.Context, 0
	special := r.model.Special
	if special == nil || special.Start == nil || special.Pad == nil || len(special.End) == 0 {
		return fmt.Errorf("%s has no ids that begin, end and pad its targets", r.model.Arch)
	}
	end := special.End[0]
	targets := tok.Target()
	var parts [2][]train.PairIDs
	var held []pairs.Pair
	learn, out := c.Split(HeldShare)
	val, err := r.readValPairs(ctx)
	if err != nil {
		return err
	}
	if val != nil {
		learn, out = c.Pairs, val.Pairs
	}
	for i, list := range [][]pairs.Pair{learn, out} {
		for _, p := range list {
			ids := train.PairIDs{Source: sourceIDs(tok, p.Source, end), Target: endedIDs(targets, p.Target, end)}
			if max(len(ids.Source), len(ids.Target)) > most {
				long++
				continue
			}
			if i == 1 {
				held = append(held, p)
			}
			parts[i] = append(parts[i], ids)
		}
	}
	r.warnOfLearned(learn, out)
	if long > 0 {
		r.events.Tell.Say(Warning, "%d of %d pairs have more than %d tokens on a side and are left out", long, len(c.Pairs), most)
	}
	if len(parts[0]) == 0 || len(parts[1]) == 0 {
		return &Error{Option: "Pairs", Err: fmt.Errorf("%d pairs to learn from and %d held out are left, of %d tokens at most", len(parts[0]), len(parts[1]), most), Do: "give more pairs, or a larger context"}
	}
	r.events.Tell.Say(Notice, "%s; %d to learn from, %d held out", c.Counts, len(parts[0]), len(parts[1]))
	r.judge = &translationJudge{tok: tok, pairs: held[:min(len(held), mostJudged)], limit: most}
	for _, p := range parts[1][:len(r.judge.pairs)] {
		r.judge.sources = append(r.judge.sources, p.Source)
	}
	r.data, err = train.NewPairs(parts[0], parts[1], *special.Start, *special.Pad, min(*special.Pad, int64(r.model.SourceIDs())-1))
	return err
}

// warnOfLearned says how many of the pairs that are held out are learned too.
func (r *trainRun) warnOfLearned(learn, held []pairs.Pair) {
	learned := make(map[pairs.Pair]bool, len(learn))
	for _, p := range learn {
		learned[p] = true
	}
	n := 0
	for _, p := range held {
		if learned[p] {
			n++
		}
	}
	if n > 0 {
		r.events.Tell.Say(Warning, "%d of %d pairs held out are also learned, so scores and the validation loss say less: give more pairs, or others", n, len(held))
	}
}

// sourceIDs is endedIDs for a source. If both sides have a vocabulary, end is an id of the
// target, and the tokenizer of sources ends them itself.
func sourceIDs(tok *tokens.Tokenizer, text string, end int64) []int64 {
	if tok.Separate() {
		return tok.AddSpecial(tok.Encode(text))
	}
	return endedIDs(tok, text, end)
}

// endedIDs returns the ids of a text with the one that ends it.
func endedIDs(tok *tokens.Tokenizer, text string, end int64) []int64 {
	ids := tok.AddSpecial(tok.Encode(text))
	if len(ids) == 0 || ids[len(ids)-1] != end {
		ids = append(ids, end)
	}
	return ids
}

// readPairsAgain reads the pairs of a resumed run.
func (r *trainRun) readPairsAgain(ctx context.Context, d Corpus, tok *tokens.Tokenizer) error {
	given := PairCorpus{Files: d.Files, Glob: d.Glob}
	if d.empty() {
		from, err := readSource(r.in(store.SourceName))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !from.Pairs {
			return &Error{Option: "Data", Value: isMissing, Err: fmt.Errorf("%s does not say where its pairs are", r.folder), Do: GiveSameText}
		}
		if err != nil {
			return &Error{Err: err, Do: GiveFirstText}
		}
		given = PairCorpus{Files: from.Paths, Glob: from.Glob, Target: from.Target}
	}
	c, err := given.Read(ctx)
	if err != nil {
		return &Error{Option: "run", Value: r.folder, Err: err, Do: GiveFirstText}
	}
	if c.SHA256() != r.options.DataSHA256 {
		return &Error{Option: "run", Value: r.folder, Err: &train.MovedError{Paths: given.paths(), Reason: "its pairs have changed"}, Do: GiveFirstText}
	}
	if r.source, err = given.source(c); err != nil {
		return err
	}
	return r.encodePairs(ctx, c, tok)
}
