package huggingface

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/tokens"
)

// Files of GPT-2's tokenizer in its first form, and files that name its
// special tokens.
const (
	vocabName       = "vocab.json"
	mergesName      = "merges.txt"
	addedTokensName = "added_tokens.json"
)

// slowClasses are the tokenizer classes that use vocab.json and merges.txt as
// GPT-2 does. Others split text differently or add tokens.
var slowClasses = []string{"", "GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"}

// otherTokenizers lists the files of unsupported tokenizers.
var otherTokenizers = []string{"tokenizer.model", spieceName, sourceName, targetName, "sentencepiece.bpe.model", "vocab.txt", vocabName, mergesName}

// remedy is what to do about a tokenizer that is not read.
const remedy = "write a tokenizer.json in Python with AutoTokenizer.from_pretrained(FOLDER).save_pretrained(OUT)"

// readTokenizer returns the tokenizer.json of a folder, or the equivalent of its older
// files. The text is empty if the folder has neither; the note then names the
// tokenizer file that was ignored, if any.
func (d *folder) readTokenizer(c config) (text []byte, note string, err error) {
	if text, note, err = d.pieces(c); len(text) > 0 || note != "" || err != nil {
		return text, note, err
	}
	if d.has(tokenizerName) {
		if text, err = d.fast(c); err == nil && d.has(targetTokenName) && c.source {
			var target []byte
			if target, err = d.read(targetTokenName, maxTokenizer); err == nil {
				text = tokens.Pair(text, target)
			}
		}
		return text, "", err
	}
	if !d.has(vocabName) || !d.has(mergesName) {
		if i := slices.IndexFunc(otherTokenizers, d.has); i >= 0 {
			note = fmt.Sprintf("%s is ignored, the model has no tokenizer: %s", otherTokenizers[i], remedy)
		}
		return nil, note, nil
	}
	config, class, err := d.tokenizerConfig(c)
	if err != nil {
		return nil, "", err
	}
	if !slices.Contains(slowClasses, class) {
		return nil, fmt.Sprintf("%s is ignored, the model has no tokenizer: it belongs to a %s: %s", vocabName, quote.String(class), remedy), nil
	}
	text, err = d.slow(config)
	return text, "", err
}

// fast returns the tokenizer.json of a folder. transformers makes GPT-2's
// tokenizer from it; tokenizer_config.json decides whether it adds a space
// before a text.
func (d *folder) fast(c config) (text []byte, err error) {
	if text, err = d.read(tokenizerName, maxTokenizer); err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, d.errorf(tokenizerName, "it is empty: fetch the file again, or remove it if the model has no tokenizer")
	}
	config, class, err := d.tokenizerConfig(c)
	if err != nil {
		return nil, err
	}
	on, err := config.flag("add_prefix_space", false)
	if err != nil {
		return nil, d.errorf(tokenizerConfigName, "%w", err)
	}
	inFile, has := tokens.PrefixSpace(text)
	if !gpt2Tokenizers[class] || !has || inFile == on {
		return text, nil
	}
	return tokens.SetPrefixSpace(text, on)
}

// tokenizerConfig returns the tokenizer_config.json and the tokenizer class
// that transformers uses.
func (d *folder) tokenizerConfig(c config) (about object, class string, err error) {
	if about, err = d.object(tokenizerConfigName, maxTokenizerConfig); err != nil {
		return nil, "", err
	}
	config, err := d.object(configName, maxConfig)
	if err != nil {
		return nil, "", err
	}
	if class, err = tokenizerClass(c, about, config); err != nil {
		return nil, "", d.errorf(tokenizerConfigName, "%w", err)
	}
	return about, class, nil
}

// slow makes a tokenizer.json from vocab.json and merges.txt as transformers
// does. GPT-2's tokenizer has the token <|endoftext|> unless a file overrides
// it.
func (d *folder) slow(config object) (text []byte, err error) {
	var f tokens.Files
	if f.Vocab, err = d.read(vocabName, maxTokenizer); err != nil {
		return nil, err
	}
	if f.Merges, err = d.read(mergesName, maxTokenizer); err != nil {
		return nil, err
	}
	var special []tokens.Added
	if f.Added, special, err = d.added(config, gpt2Special); err != nil {
		return nil, err
	}
	if f.Prefix, err = config.flag("add_prefix_space", false); err != nil {
		return nil, d.errorf(tokenizerConfigName, "%w", err)
	}
	for _, end := range []struct {
		flag  string
		token tokens.Added
		into  *string
	}{{"add_bos_token", special[beginAt], &f.Begin}, {"add_eos_token", special[endAt], &f.End}} {
		on, err := config.flag(end.flag, false)
		if err != nil {
			return nil, d.errorf(tokenizerConfigName, "%w", err)
		}
		if on {
			*end.into = end.token.Content
		}
	}
	if text, err = f.JSON(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	if len(text) > maxTokenizer {
		return nil, d.errorf(vocabName, "as a tokenizer.json it has %d bytes, at most %d are read", len(text), maxTokenizer)
	}
	return text, nil
}

// added returns the added tokens of a tokenizer from before tokenizer.json, and those of
// them that addedSpecial returns.
func (d *folder) added(config object, missing map[string]string) (added, special []tokens.Added, err error) {
	named, err := d.object(specialMapName, maxTokenizerConfig)
	if err != nil {
		return nil, nil, err
	}
	if added, err = addedDecoder(config); err != nil {
		return nil, nil, d.errorf(tokenizerConfigName, "%w", err)
	}
	if len(added) == 0 {
		ids, err := d.object(addedTokensName, maxTokenizerConfig)
		if err == nil {
			added, err = addedIDs(ids)
		}
		if err != nil {
			return nil, nil, d.errorf(addedTokensName, "%w", err)
		}
		for name, value := range named { // takes precedence over tokenizer_config.json, as in transformers
			if config == nil {
				config = object{}
			}
			config[name] = value
		}
	}
	if special, err = addedSpecial(config, missing); err != nil {
		return nil, nil, d.errorf(tokenizerConfigName, "%w", err)
	}
	return append(added, special...), special, nil
}

// addedDecoder reads added_tokens_decoder in a tokenizer_config.json: added
// tokens by id.
func addedDecoder(config object) (added []tokens.Added, err error) {
	if config.null("added_tokens_decoder") {
		return nil, nil
	}
	err = members(config["added_tokens_decoder"], func(name string, value jsontext.Value) error {
		id, err := strconv.ParseUint(name, 10, 31)
		if err != nil {
			return fmt.Errorf("added_tokens_decoder: %s is not an id", quote.String(name))
		}
		a, err := addedToken(value)
		n := int64(id)
		a.ID = &n
		added = append(added, a)
		return err
	})
	slices.SortStableFunc(added, byID)
	return added, err
}

// addedIDs reads an added_tokens.json: the ids of added tokens.
func addedIDs(o object) (added []tokens.Added, err error) {
	for content := range o {
		id, err := o.size(content)
		if err != nil {
			return nil, err
		}
		n := int64(id)
		added = append(added, tokens.Added{Content: content, ID: &n, Normalized: true})
	}
	slices.SortStableFunc(added, byID)
	return added, nil
}

func byID(a, b tokens.Added) int {
	return cmp.Or(cmp.Compare(*a.ID, *b.ID), cmp.Compare(a.Content, b.Content))
}

// gpt2Special are the special tokens of GPT-2's tokenizer where no file has others.
var gpt2Special = map[string]string{"bos_token": tokens.EndOfText, "eos_token": tokens.EndOfText, "unk_token": tokens.EndOfText}

// Places of special tokens in what addedSpecial returns.
const (
	beginAt   = 0
	endAt     = 1
	unknownAt = 2
)

// addedSpecial reads the special tokens of a tokenizer, in the order in which transformers
// adds them. missing are those that the tokenizer has where no file has others.
func addedSpecial(config object, missing map[string]string) (special []tokens.Added, err error) {
	for _, name := range []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"} {
		a := tokens.Added{Special: true}
		switch {
		case !config.null(name):
			if a, err = addedToken(config[name]); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			a.Special = true
		case config.absent(name):
			a.Content = missing[name]
		}
		special = append(special, a)
	}
	for _, name := range []string{"additional_special_tokens", "extra_special_tokens"} {
		if config.null(name) || config[name].Kind() != '[' {
			continue
		}
		more, err := elements(config[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, value := range more {
			a, err := addedToken(value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			a.Special = true
			special = append(special, a)
		}
	}
	return special, nil
}

// addedToken reads a token: its text, or an object with its text and flags.
func addedToken(v jsontext.Value) (a tokens.Added, err error) {
	if v.Kind() == '"' {
		a.Content, err = unquote(v)
		return a, err
	}
	o, err := parseObject(v)
	if err != nil {
		return a, err
	}
	if a.Content, err = o.text("content", ""); err != nil {
		return a, err
	}
	for _, f := range []struct {
		name    string
		missing bool
		into    *bool
	}{
		{"single_word", false, &a.SingleWord}, {"lstrip", false, &a.LStrip}, {"rstrip", false, &a.RStrip},
		{"normalized", true, &a.Normalized}, {"special", false, &a.Special},
	} {
		if *f.into, err = o.flag(f.name, f.missing); err != nil {
			return a, err
		}
	}
	return a, nil
}
