package attnx

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
)

// Translator is an open model that translates, with its tokenizer.
type Translator struct {
	Path       string
	Checkpoint *model.Checkpoint // without weights if ONNX files were opened
	Tokenizer  *tokens.Tokenizer
	Runtime    runtime.Place
	Default    Translation // the model's own settings

	special  *model.Special
	parts    decode.Pair
	sessions []runtime.Session
}

// Translation configures how texts are translated.
type Translation struct {
	MaxTokens     int                  // of a translation; 0: 20 if the model says nothing, as in transformers
	Beams         int                  // translations that are continued at the same time; 0 and 1: the likeliest token is taken
	Best          int                  // translations of each text, at most Beams; 0: 1
	LengthPenalty float64              // 0 favors short translations, 1 is the usual value; more favors long ones
	EarlyStopping decode.EarlyStopping // when the search ends
	ForcedEnd     []int64              // the last token at MaxTokens is one of these; empty: any
	Banned        []int64              // never generated
	Renormalize   bool                 // probabilities sum to 1 without the banned tokens
}

// Translated is a translation of a text.
type Translated struct {
	decode.Target
	Text string
}

// OpenTranslator opens a model that translates: a checkpoint, a Hugging Face folder, or
// a folder of ONNX files that Export wrote. The encoder and the decoder of a
// checkpoint run as graphs of their own in a runtime if one is installed; otherwise in Go.
func OpenTranslator(path string, o Options) (*Translator, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var t *Translator
	var err error
	if kind, of := find.Expect(path, "an ONNX file", find.ONNX); of == nil && kind == find.ONNX && isPair(filepath.Dir(path)) {
		return nil, &Error{Err: fmt.Errorf("%s: it is one part of a network that translates", path), Do: NameFolder}
	}
	if isPair(path) {
		t, err = openPair(path, o)
	} else {
		var c *model.Checkpoint
		if c, path, err = find.Load(path, o.Tell, model.LoadModel); err == nil {
			t, err = translatorOf(path, c, o)
		}
	}
	if err != nil {
		return nil, err
	}
	if t.Tokenizer, err = find.Tokenizer(path, t.Checkpoint.Tokenizer, t.Checkpoint); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// translatorOf opens the parts of a model.
func translatorOf(path string, c *model.Checkpoint, o Options) (*Translator, error) {
	if !c.Translates() {
		return nil, fmt.Errorf("%s: the network %.80q does not translate: it reads no source", path, c.Arch)
	}
	cut, err := c.Cut()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t, err := newTranslator(path, c, o)
	if err != nil {
		return nil, err
	}
	open := func(p model.Part) (runtime.Session, error) { return gorgonia.NewForward(p.Graph, p.Weights) }
	r, err := o.runner(export.Plain{})
	if err == nil {
		err = r.available(r.options(o))
	}
	switch {
	case err == nil:
		open = func(p model.Part) (runtime.Session, error) {
			data, err := export.Bytes(p.Graph, p.Weights, export.Plain{})
			if err != nil {
				return nil, err
			}
			s, err := r.Open(runtime.File{Data: data}, r.options(o))
			if err == nil {
				t.Runtime = r.placed(s)
			}
			return s, err
		}
	case !errors.Is(err, runtime.ErrUnavailable) || o.Device == "cuda" || o.Library != "" || o.Runtime != "":
		return nil, err
	default:
		t.Runtime = runtime.Place{Runtime: "Go", Without: "ONNX Runtime", Why: err}
	}
	for _, p := range []model.Part{cut.Encoder, cut.First, cut.Next} {
		s, err := open(p)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), t.Close())
		}
		t.sessions = append(t.sessions, s)
	}
	t.parts = decode.Pair{Encoder: t.sessions[0], First: t.sessions[1], Next: t.sessions[2], Layers: cut.Layers(), Recurrent: cut.Recurrent()}
	return t, nil
}

// newTranslator returns a translator with the settings of a model, that runs nowhere yet.
func newTranslator(path string, c *model.Checkpoint, o Options) (t *Translator, err error) {
	t = &Translator{Path: path, Checkpoint: c, special: huggingface.SpecialOf(c)}
	if t.Default, err = settingsOf(t.special); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if names := notApplied(t.special); len(names) > 0 {
		o.Tell.Say(find.Warning, "%s: generation_config.json sets %s, which attnx does not apply: transformers may translate otherwise", path, strings.Join(names, ", "))
	}
	return t, nil
}

// Close closes the model.
func (t *Translator) Close() (err error) {
	for _, s := range t.sessions {
		err = errors.Join(err, s.Close())
	}
	return err
}

// notApplied returns the settings of a generation_config.json that change what
// transformers generates and that attnx does not apply.
func notApplied(s *model.Special) (names []string) {
	var given map[string]any
	if json.Unmarshal(s.Generation, &given) != nil {
		return nil
	}
	for name, neutral := range map[string]any{
		"do_sample": false, "num_beam_groups": 1.0, "diversity_penalty": 0.0, "repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0,
		"no_repeat_ngram_size": 0.0, "encoder_no_repeat_ngram_size": 0.0, "min_length": 0.0, "min_new_tokens": 0.0, "forced_bos_token_id": nil,
		"suppress_tokens": nil, "begin_suppress_tokens": nil, "sequence_bias": nil, "exponential_decay_length_penalty": nil, "penalty_alpha": nil,
		"force_words_ids": nil, "guidance_scale": nil,
	} {
		if is, ok := given[name]; ok && is != nil && !reflect.DeepEqual(is, neutral) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// settingsOf reads the settings of a translation from those of a generation_config.json.
func settingsOf(s *model.Special) (out Translation, err error) {
	out.LengthPenalty = 1
	var g struct {
		Beams         int             `json:"num_beams"`
		Best          int             `json:"num_return_sequences"`
		New           int             `json:"max_new_tokens"`
		Longest       int             `json:"max_length"`
		LengthPenalty *float64        `json:"length_penalty"`
		EarlyStopping json.RawMessage `json:"early_stopping"`
		ForcedEnd     json.RawMessage `json:"forced_eos_token_id"`
		Banned        [][]int64       `json:"bad_words_ids"`
		Renormalize   bool            `json:"renormalize_logits"`
	}
	if len(s.Generation) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(s.Generation, &g); err != nil {
		return out, fmt.Errorf("the settings of a generation: %w", err)
	}
	out.Beams, out.Best, out.Renormalize = g.Beams, g.Best, g.Renormalize
	if out.MaxTokens = g.New; g.New == 0 && g.Longest > 1 {
		out.MaxTokens = g.Longest - 1 // the start counts there
	}
	if g.LengthPenalty != nil {
		out.LengthPenalty = *g.LengthPenalty
	}
	switch string(g.EarlyStopping) {
	case "true":
		out.EarlyStopping = decode.StopWhenFull
	case `"never"`:
		out.EarlyStopping = decode.StopNever
	}
	var one int64
	if len(g.ForcedEnd) > 0 && string(g.ForcedEnd) != "null" {
		if json.Unmarshal(g.ForcedEnd, &one) == nil {
			out.ForcedEnd = []int64{one}
		} else if err := json.Unmarshal(g.ForcedEnd, &out.ForcedEnd); err != nil {
			return out, fmt.Errorf("forced_eos_token_id is %.40s: expected an id or a list of ids", g.ForcedEnd)
		}
	}
	for _, words := range g.Banned {
		if len(words) != 1 {
			return out, fmt.Errorf("bad_words_ids has a word of %d tokens, only words of one are supported", len(words))
		}
		out.Banned = append(out.Banned, words[0])
	}
	return out, nil
}

// Encode converts a text to the ids of a source. Messages call the text by name.
func (t *Translator) Encode(name, text string) ([]int64, error) {
	if err := find.CheckText(name, text); err != nil {
		return nil, err
	}
	ids := t.Tokenizer.Encode(text)
	ends := t.special.End
	if t.Tokenizer.Separate() {
		ends = t.Tokenizer.AddSpecial(nil)
	}
	if at := slices.IndexFunc(ids, func(id int64) bool { return slices.Contains(ends, id) }); at >= 0 {
		return nil, fmt.Errorf("%s has the token %.40q, which ends a text: take it out", name, t.Tokenizer.Token(ids[at]))
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s is empty: give a text to translate", name)
	}
	ids = t.Tokenizer.AddSpecial(ids)
	switch most := t.Checkpoint.Context(); {
	case most > 0 && len(ids) > most:
		return nil, fmt.Errorf("%s has %d tokens, the model reads at most %d: cut it into sentences", name, len(ids), most)
	}
	return ids, find.CheckIDs(t.Tokenizer, t.Checkpoint, name, ids)
}

// Translate returns the best translations of each text, the best one first. Zero
// values in how are those of the model.
func (t *Translator) Translate(ctx context.Context, texts []string, how Translation) ([][]Translated, error) {
	sources := make([][]int64, len(texts))
	for i, text := range texts {
		name := "the text"
		if len(texts) > 1 {
			name = fmt.Sprintf("text %d", i+1)
		}
		var err error
		if sources[i], err = t.Encode(name, text); err != nil {
			return nil, err
		}
	}
	targets, err := t.TranslateIDs(ctx, sources, how)
	if err != nil {
		return nil, err
	}
	out := make([][]Translated, len(targets))
	for i, of := range targets {
		for _, target := range of {
			text, err := t.Decode(target.IDs)
			if err != nil {
				return nil, err
			}
			out[i] = append(out[i], Translated{target, text})
		}
	}
	return out, nil
}

// Decode returns the text of a translation, without special tokens, as transformers does with
// skip_special_tokens.
func (t *Translator) Decode(ids []int64) (string, error) {
	target := t.Tokenizer.Target()
	return target.Decode(slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return t.silent(id) || target.Special(id) }))
}

// silentSource is silent for an id of a source.
func (t *Translator) silentSource(id int64) bool {
	if t.Tokenizer.Separate() {
		return slices.Contains(t.Tokenizer.AddSpecial(nil), id)
	}
	return t.silent(id)
}

// silent reports whether an id of a target has no text: it starts, ends or pads one.
func (t *Translator) silent(id int64) bool {
	s := t.special
	return slices.Contains(s.End, id) || s.Pad != nil && id == *s.Pad || s.Start != nil && id == *s.Start
}

// translateRows is how many rows run at the same time: sources times beams.
const translateRows = 64

// TranslateIDs is Translate for ids.
func (t *Translator) TranslateIDs(ctx context.Context, sources [][]int64, how Translation) ([][]decode.Target, error) {
	d := t.Default
	o := decode.TranslateOptions{
		MaxTokens: cmp.Or(how.MaxTokens, d.MaxTokens, 20), Beams: cmp.Or(how.Beams, d.Beams, 1), Best: cmp.Or(how.Best, 1),
		LengthPenalty: how.LengthPenalty, EarlyStopping: how.EarlyStopping, Start: *t.special.Start, End: t.special.End,
		ForcedEnd: how.ForcedEnd, Banned: how.Banned, Renormalize: how.Renormalize || d.Renormalize,
	}
	if t.special.Pad != nil {
		o.Pad = *t.special.Pad
		o.SourcePad = min(o.Pad, int64(t.Checkpoint.SourceIDs())-1)
	}
	if most := t.Checkpoint.Context(); most > 0 {
		if how.MaxTokens > most && how.MaxTokens != d.MaxTokens { // what the model's file says is cut
			return nil, &OptionError{Option: "MaxTokens", Reason: fmt.Sprintf(" is %d, the model writes at most %d: take a smaller one", how.MaxTokens, most)}
		}
		o.MaxTokens = min(o.MaxTokens, most)
	}
	for _, id := range slices.Concat(o.Banned, o.ForcedEnd) {
		if id < 0 || id >= int64(t.Checkpoint.Vocab()) {
			return nil, fmt.Errorf("%s: the settings of a generation name the id %d, the vocabulary has %d", t.Path, id, t.Checkpoint.Vocab())
		}
	}
	if o.Best > o.Beams {
		return nil, &OptionError{Option: "Best", Reason: fmt.Sprintf(" is %d, but the search has %s: take as many beams, or fewer translations", o.Best, quote.Of(o.Beams, "beam"))}
	}
	var out [][]decode.Target
	for batch := range slices.Chunk(sources, max(1, translateRows/o.Beams)) {
		of, err := decode.Translate(ctx, t.parts, batch, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Path, err)
		}
		out = append(out, of...)
	}
	return out, nil
}
