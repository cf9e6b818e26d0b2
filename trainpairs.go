package attnx

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
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

// beginPairs is begin for a run that learns to translate.
func (r *trainRun) beginPairs(ctx context.Context, o TrainOptions) error {
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
	tok := o.Tokenizer
	var file []byte
	if tok == nil {
		if tok, file, err = pairTokenizer(o, c); err != nil {
			return &Error{Option: "Pairs", Err: err}
		}
	}
	if o.Network == nil {
		name := cmp.Or(o.Arch, arch.Translators()[0])
		if !slices.Contains(arch.Translators(), name) {
			return &OptionError{Option: "Arch", Reason: fmt.Sprintf(" is %.64q, which cannot learn to translate: take %s", name, quote.Or(arch.Translators()))}
		}
		if o.Network, err = arch.New(name, sizes, tok.VocabSize()); err != nil {
			return err
		}
	}
	r.model, err = train.Start(o.Network, tok, r.options.Seed)
	if err != nil {
		return err
	}
	if file != nil {
		r.model.Tokenizer = file // a tokenizer writes no post-processor
	}
	if !r.model.Translates() {
		return &Error{Option: "Network", Err: fmt.Errorf("%s reads no source", r.model.Arch), Do: "declare one with nn.Builder.Source"}
	}
	if r.model.Special, err = pairSpecial(tok); err != nil {
		return err
	}
	r.options.DataSHA256, r.options.Context = c.SHA256(), cmp.Or(o.Context, r.model.Context(), pairContext)
	r.options.Best = cmp.Or(o.Settings.Best, train.BestBLEU)
	return r.encodePairs(c, tok)
}

// pairTokenizer makes a tokenizer for both sides, with tokens that end and pad a text, and
// its file, which puts the end behind each text.
func pairTokenizer(o TrainOptions, c *pairs.Corpus) (*tokens.Tokenizer, []byte, error) {
	var text strings.Builder
	for _, p := range c.Pairs {
		text.WriteString(p.Source + "\n" + p.Target + "\n")
	}
	kind := cmp.Or(o.Kind, tokens.BPE)
	vocab := o.Vocab
	if kind == tokens.BPE {
		vocab = cmp.Or(vocab, pairVocab)
	}
	t, err := tokens.Train(kind, text.String(), vocab)
	if err != nil {
		return nil, nil, err
	}
	plain, err := t.MarshalJSON()
	if err != nil {
		return nil, nil, err
	}
	var file map[string]any
	if err := json.Unmarshal(plain, &file); err != nil {
		return nil, nil, err
	}
	added, _ := file["added_tokens"].([]any)
	end := t.VocabSize()
	for i, token := range []string{endToken, padToken} {
		added = append(added, map[string]any{"id": end + i, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	file["added_tokens"] = added
	sequence := map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}}
	second := map[string]any{"Sequence": map[string]any{"id": "B", "type_id": 0}}
	special := map[string]any{"SpecialToken": map[string]any{"id": endToken, "type_id": 0}}
	file["post_processor"] = map[string]any{
		"type": "TemplateProcessing", "single": []any{sequence, special}, "pair": []any{sequence, special, second, special},
		"special_tokens": map[string]any{endToken: map[string]any{"id": endToken, "ids": []int{end}, "tokens": []string{endToken}}},
	}
	whole, err := json.Marshal(file)
	if err != nil {
		return nil, nil, err
	}
	t, err = tokens.Parse(whole)
	return t, whole, err
}

// pairSpecial returns the ids that end, pad and begin the texts of a translator. As in
// T5, padding begins a target.
func pairSpecial(tok *tokens.Tokenizer) (*model.Special, error) {
	end, ended := tok.ID(endToken)
	pad, padded := tok.ID(padToken)
	if !ended || !padded {
		return nil, &Error{Option: "Tokenizer", Err: fmt.Errorf("a translator's has the tokens %s and %s", endToken, padToken), Do: "add them, or leave the tokenizer out"}
	}
	return &model.Special{End: []int64{end}, Pad: &pad, Start: &pad, Tokens: model.SpecialTokens{End: endToken, Pad: padToken}}, nil
}

// encodePairs makes the training data of pairs, and the judge of what is held out.
func (r *trainRun) encodePairs(c *pairs.Corpus, tok *tokens.Tokenizer) error {
	most, long := r.options.Context, 0
	special := r.model.Special
	if special == nil || special.Start == nil || special.Pad == nil || len(special.End) == 0 {
		return fmt.Errorf("%s has no ids that begin, end and pad its targets", r.model.Arch)
	}
	end := special.End[0]
	encode := func(text string) []int64 { return endedIDs(tok, text, end) }
	var parts [2][]train.PairIDs
	var held []pairs.Pair
	learn, out := c.Split(HeldShare)
	for i, list := range [][]pairs.Pair{learn, out} {
		for _, p := range list {
			ids := train.PairIDs{Source: encode(p.Source), Target: encode(p.Target)}
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
	var err error
	r.data, err = train.NewPairs(parts[0], parts[1], *special.Start, *special.Pad)
	return err
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
	return r.encodePairs(c, tok)
}
