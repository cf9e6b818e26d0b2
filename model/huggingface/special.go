package huggingface

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// Names of the ids in config.json and generation_config.json.
const (
	endID   = "eos_token_id"
	beginID = "bos_token_id"
	padID   = "pad_token_id"
)

// special returns the special ids and tokens of a folder with a model of
// configuration c and a tokenizer.json, which may be empty. It follows
// transformers 5:
//
//   - Ids come from generation_config.json, or from config.json if there is none.
//     The two are not merged: an id missing from the file is unset.
//   - An id outside the vocabulary never occurs and is dropped. Ids that
//     transformers rejects are rejected, and so are numbers with a fraction.
//   - Generation settings come from the same file as the ids.
//   - Tokens come from tokenizer_config.json. special_tokens_map.json takes
//     precedence unless the former has added_tokens_decoder. GPT-2's tokenizer
//     class defaults to <|endoftext|>.
//
// It returns nil for a network "simple" of which no file says anything. The note
// names the ends that are left out; it is "" where there are none.
func (d *folder) special(c config, tokenizer []byte) (s *model.Special, note string, err error) {
	s, note, err = d.generationIDs(c)
	if err != nil || s == nil {
		return nil, note, err
	}
	s.Tokens, err = d.specialTokens(c, tokenizer)
	return s, note, err
}

// GenerationIDs returns the special ids of a folder that holds a model: those of
// generation_config.json, and where the folder has none those of config.json.
func GenerationIDs(path string, c *model.Checkpoint) (*model.Special, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	defer d.close()
	f, _ := familyOf(c.Arch)
	s, _, err := d.generationIDs(config{family: family{arch: c.Arch, source: f.source}, vocab: c.Vocab()})
	return s, err
}

// object reads a file that is one JSON object; nil if the file does not exist.
func (d *folder) object(name string, most int64) (object, error) {
	if !d.has(name) {
		return nil, nil
	}
	text, err := d.read(name, most)
	if err != nil {
		return nil, err
	}
	o, err := parseObject(text)
	if err != nil {
		return nil, d.errorf(name, "%w", err)
	}
	return o, nil
}

func (d *folder) generationIDs(c config) (s *model.Special, note string, err error) {
	config, err := d.object(configName, maxConfig)
	if err != nil {
		return nil, "", err
	}
	// transformers opens no config.json with other ids, whatever decides.
	if s, err = config.ids(c.vocab, false); err != nil {
		return nil, "", d.errorf(configName, "%w", err)
	}
	generation, err := d.object(GenerationName, maxConfig)
	switch {
	case err != nil:
		return nil, "", err
	case generation != nil:
		start := s.Start
		if s, err = generation.ids(c.vocab, true); err == nil {
			err = generation.endsNothing()
		}
		if err == nil {
			s.Start = cmp.Or(s.Start, start)
			if !c.source {
				s.Start = nil
			}
			s.Generation, err = generation.settings(func(name string) bool { return isSetting(name) && !(c.source && name == startID) })
		}
		if err != nil {
			return nil, "", d.errorf(GenerationName, "%w", err)
		}
		return s, d.neverEnds(GenerationName, generation, c.vocab), nil
	}
	if !c.source {
		s.Start = nil
	}
	if s.Generation, err = config.settings(func(name string) bool { return slices.Contains(inConfig, name) }); err != nil {
		return nil, "", d.errorf(configName, "%w", err)
	}
	if c.class == "" && s.Generation == nil && config.absent(endID) && config.absent(beginID) && config.absent(padID) {
		return nil, "", nil
	}
	if err := config.endsNothing(); err != nil {
		return nil, "", d.errorf(configName, "%w", err)
	}
	return s, d.neverEnds(configName, config, c.vocab), nil
}

// neverEnds returns a note on the ids of a file that should end a text, and that
// no token has: transformers reads them too, and generates without an end.
func (d *folder) neverEnds(name string, o object, vocab int) string {
	values := []jsontext.Value{o[endID]}
	if o.null(endID) {
		return ""
	}
	if o[endID].Kind() == '[' {
		values, _ = elements(o[endID]) // it was read before
	}
	for _, v := range values {
		if id, err := parseID(v, true); err == nil && (id < 0 || id >= int64(vocab)) {
			return fmt.Sprintf("%s: %s %d ends no text: the vocabulary has the ids 0 to %d", filepath.Join(d.path, name), endID, id, vocab-1)
		}
	}
	return ""
}

// ids reads the ids of an object. In a generation_config.json, which is loose,
// ids may be decimals without a fraction, and bos_token_id may be a list, of
// which the first counts.
func (o object) ids(vocab int, loose bool) (*model.Special, error) {
	s := &model.Special{}
	var err error
	if s.End, err = o.idList(endID, vocab, true, loose); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		list bool
		into **int64
	}{{beginID, loose, &s.Begin}, {padID, false, &s.Pad}, {startID, false, &s.Start}} {
		ids, err := o.idList(f.name, vocab, f.list, loose)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			*f.into = &ids[0]
		}
	}
	return s, nil
}

// endsNothing rejects an empty list of end ids: without a pad id transformers
// takes the pad from it and fails.
func (o object) endsNothing() error {
	if o.null(endID) || o[endID].Kind() != '[' || !o.null(padID) {
		return nil
	}
	if ids, err := elements(o[endID]); err == nil && len(ids) == 0 {
		return fmt.Errorf("%s is an empty list: write null if no id ends a text", endID)
	}
	return nil
}

// idList returns the ids of a member that are in the vocabulary, without
// duplicates. The member may be missing, null, a number or, if list is set, a
// list of numbers.
func (o object) idList(name string, vocab int, list, loose bool) (ids []int64, err error) {
	if o.null(name) {
		return nil, nil
	}
	values := []jsontext.Value{o[name]}
	if list && o[name].Kind() == '[' {
		if values, err = elements(o[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	seen := map[int64]bool{}
	for _, v := range values {
		id, err := parseID(v, loose)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if id < 0 || id >= int64(vocab) || seen[id] {
			continue
		}
		if len(ids) == model.MaxEnds {
			return nil, fmt.Errorf("%s has more than %d ids of the vocabulary: a model needs only a few to end its texts", name, model.MaxEnds)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	return ids, nil
}

// parseID reads an id of 64 bits.
func parseID(v jsontext.Value, loose bool) (int64, error) {
	if v.Kind() == '0' { // the kind of every number
		if id, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return id, nil
		}
		x, err := strconv.ParseFloat(string(v), 64)
		if loose && err == nil && x == math.Trunc(x) && math.Abs(x) < 1<<63 && !isInteger(v) {
			return int64(x), nil
		}
	}
	return 0, fmt.Errorf("%s is not an id: ids are whole numbers of at most 64 bits", quote.String(string(v)))
}

// isInteger reports whether a JSON number has only digits. Python reads such a
// number exactly, and not as a float.
func isInteger(v jsontext.Value) bool {
	return !slices.ContainsFunc(v, func(b byte) bool { return b == '.' || b == 'e' || b == 'E' })
}

// elements returns the values of a JSON array.
func elements(v jsontext.Value) (values []jsontext.Value, err error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(v, &raw); err != nil {
		return nil, err
	}
	for _, r := range raw {
		values = append(values, jsontext.Value(r))
	}
	return values, nil
}

// specialTokens reads the special tokens from the files next to the tokenizer.
func (d *folder) specialTokens(c config, tokenizer []byte) (s model.SpecialTokens, err error) {
	if len(tokenizer) == 0 {
		return s, nil
	}
	config, err := d.object(configName, maxConfig)
	if err != nil {
		return s, err
	}
	about, err := d.object(tokenizerConfigName, maxTokenizerConfig)
	if err != nil {
		return s, err
	}
	class, err := tokenizerClass(c, about, config)
	if err != nil {
		return s, d.errorf(tokenizerConfigName, "%w", err)
	}
	if gpt2Tokenizers[class] && hasEndOfText(tokenizer) {
		s.Begin, s.End, s.Unknown = tokens.EndOfText, tokens.EndOfText, tokens.EndOfText
	}
	if err := about.tokensInto(&s); err != nil {
		return s, d.errorf(tokenizerConfigName, "%w", err)
	}
	if !about.absent("added_tokens_decoder") {
		return s, nil
	}
	legacy, err := d.object(specialMapName, maxConfig)
	if err != nil {
		return s, err
	}
	if err := legacy.tokensInto(&s); err != nil {
		return s, d.errorf(specialMapName, "%w", err)
	}
	return s, nil
}

// gpt2Tokenizers are the names of the tokenizer class that has default tokens.
var gpt2Tokenizers = map[string]bool{"GPT2Tokenizer": true, "GPT2TokenizerFast": true}

// hasEndOfText reports whether a tokenizer.json of any kind contains
// <|endoftext|>. Nearly all write it literally; Parse finds the others.
func hasEndOfText(tokenizer []byte) bool {
	if bytes.Contains(tokenizer, []byte(`"`+tokens.EndOfText+`"`)) {
		return true
	}
	t, err := tokens.Parse(tokenizer)
	if err != nil {
		return false
	}
	_, ok := t.EndOfText()
	return ok
}

// tokenizerClass returns the tokenizer class that transformers uses: from
// tokenizer_config.json, then config.json, then the default of the
// architecture.
func tokenizerClass(c config, about, config object) (string, error) {
	for _, o := range []object{about, config} {
		if !o.null("tokenizer_class") {
			return o.text("tokenizer_class", "")
		}
	}
	return c.tokenizer, nil
}

// tokensInto overwrites the tokens in s with those that an object sets.
func (o object) tokensInto(s *model.SpecialTokens) error {
	for _, f := range []struct {
		name string
		into *string
	}{{"bos_token", &s.Begin}, {"eos_token", &s.End}, {"pad_token", &s.Pad}, {"unk_token", &s.Unknown}, {"cls_token", &s.Class}, {"sep_token", &s.Separator}, {"mask_token", &s.Mask}} {
		if o.absent(f.name) {
			continue
		}
		token, err := parseToken(o[f.name])
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		*f.into = token
	}
	return nil
}

// parseToken reads a token: a string, an object with its content, or null.
func parseToken(v jsontext.Value) (token string, err error) {
	switch v.Kind() {
	case 'n':
		return "", nil
	case '{':
		o, err := parseObject(v)
		if err != nil {
			return "", err
		}
		if o.absent("content") {
			return "", fmt.Errorf("%s has no content", quote.String(string(v)))
		}
		token, err = o.text("content", "")
		if err != nil {
			return "", err
		}
	case '"':
		if token, err = unquote(v); err != nil {
			return "", err
		}
	default:
		return "", fmt.Errorf("%s is not a token: a token is a string or an object with its content", quote.String(string(v)))
	}
	if len(token) > model.MaxSpecialBytes {
		return "", fmt.Errorf("the token has %d bytes, at most %d are read", len(token), model.MaxSpecialBytes)
	}
	return token, nil
}
