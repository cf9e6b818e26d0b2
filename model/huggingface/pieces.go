package huggingface

import (
	"fmt"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// Files of the tokenizers of networks that translate, which SentencePiece trained.
const (
	spieceName = "spiece.model"
	sourceName = "source.spm"
	targetName = "target.spm"

	targetVocabName = "target_vocab.json"     // Marian's, if sides have a vocabulary each
	targetTokenName = "target_tokenizer.json" // attnx's own, then: transformers reads it by this name
)

// maxPieces is the most bytes of a model of SentencePiece. The largest real ones have 5 MB.
const maxPieces = 16 << 20

// pieceSpecial are the special tokens of T5 and Marian where no file has others.
var pieceSpecial = map[string]string{"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}

// pieces returns the equivalent of the files of T5's or Marian's tokenizer; nothing if the
// folder has no such tokenizer. transformers reads Marian's even beside a tokenizer.json.
func (d *folder) pieces(c config) (text []byte, note string, err error) {
	if !d.has(sourceName) && !d.has(spieceName) {
		return nil, "", nil
	}
	about, class, err := d.tokenizerConfig(c)
	if err != nil {
		return nil, "", err
	}
	switch {
	case class == marianTokenizer && d.has(sourceName) && d.has(targetName) && d.has(vocabName):
		separate, err := about.flag("separate_vocabs", false)
		if err != nil {
			return nil, "", d.errorf(tokenizerConfigName, "%w", err)
		}
		if text, err = d.marianTokenizer(about, separate); err != nil {
			return nil, "", err
		}
	case (class == "T5Tokenizer" || class == t5Tokenizer) && d.has(spieceName) && !d.has(tokenizerName):
		text, err = d.t5Tokenizer(about)
	}
	if err == nil && len(text) > maxTokenizer {
		err = fmt.Errorf("%s: as one file its tokenizer has %d bytes, at most %d are read", d.path, len(text), maxTokenizer)
	}
	return text, "", err
}

// marianTokenizer reads Marian's files. If sides are separate, there are two tokenizers: each
// has its own file of SentencePiece first, because that one decodes too.
func (d *folder) marianTokenizer(about object, separate bool) (text []byte, err error) {
	var f tokens.MarianFiles
	var targets []byte
	type part struct {
		name string
		most int64
		into *[]byte
	}
	parts := []part{{sourceName, maxPieces, &f.Source}, {targetName, maxPieces, &f.Target}, {vocabName, maxTokenizer, &f.Vocab}}
	if separate {
		parts = append(parts, part{targetVocabName, maxTokenizer, &targets})
	}
	for _, part := range parts {
		if *part.into, err = d.read(part.name, part.most); err != nil {
			return nil, err
		}
	}
	added, special, err := d.added(about, pieceSpecial)
	if err != nil {
		return nil, err
	}
	for _, a := range added {
		a.Normalized = false // Python looks for all of them in the text as it is
		f.Added = append(f.Added, a)
	}
	f.End, f.Unknown = special[endAt].Content, special[unknownAt].Content
	if text, err = f.JSON(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	if separate {
		own := f
		own.Source, own.Target, own.Vocab, own.Added = f.Target, f.Source, targets, nil
		for _, a := range f.Added { // their ids are those of sources
			a.ID = nil
			own.Added = append(own.Added, a)
		}
		target, err := own.JSON()
		if err != nil {
			return nil, fmt.Errorf("%s: the vocabulary of targets, %s: %w", d.path, targetVocabName, err)
		}
		text = tokens.Pair(text, target)
	}
	return text, nil
}

func (d *folder) t5Tokenizer(about object) (text []byte, err error) {
	var f tokens.T5Files
	if f.Model, err = d.read(spieceName, maxPieces); err != nil {
		return nil, err
	}
	var special []tokens.Added
	if f.Added, special, err = d.added(about, pieceSpecial); err != nil {
		return nil, err
	}
	f.End, f.Extra = special[endAt].Content, 100
	if !about.null("extra_ids") {
		n, err := parseID(about["extra_ids"], false)
		if err != nil {
			return nil, d.errorf(tokenizerConfigName, "extra_ids: %w", err)
		}
		f.Extra = int(n)
	}
	if text, err = f.JSON(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	return text, nil
}

// marianConfig is the tokenizer_config.json beside the files of Marian's tokenizer.
type marianConfig struct {
	Class    string             `json:"tokenizer_class"`
	Longest  int                `json:"model_max_length,omitempty"`
	CleanUp  bool               `json:"clean_up_tokenization_spaces"`
	Separate bool               `json:"separate_vocabs"`
	End      string             `json:"eos_token"`
	Pad      string             `json:"pad_token,omitempty"`
	Unknown  string             `json:"unk_token"`
	Extra    []string           `json:"extra_special_tokens,omitempty"`
	Added    map[int64]addition `json:"added_tokens_decoder"`
	Chat     string             `json:"chat_template,omitempty"`
}

// addition is an added token as transformers writes it.
type addition struct {
	Content    string `json:"content"`
	LStrip     bool   `json:"lstrip"`
	Normalized bool   `json:"normalized"`
	RStrip     bool   `json:"rstrip"`
	SingleWord bool   `json:"single_word"`
	Special    bool   `json:"special"`
}

// marianFiles returns the files of a tokenizer that Marian's files made; none for others.
func marianFiles(c *model.Checkpoint) ([]store.File, error) {
	source, target, separate := tokens.SplitPair(c.Tokenizer)
	if !separate {
		source = c.Tokenizer
	}
	f, ok := tokens.MarianFilesOf(source)
	of, both := tokens.MarianFilesOf(target)
	if !ok || separate && !both {
		return nil, nil
	}
	about := marianConfig{Class: marianTokenizer, Longest: c.Context(), End: f.End, Unknown: f.Unknown, Added: map[int64]addition{}, Chat: c.ChatTemplate}
	if s := SpecialOf(c); s != nil {
		about.Pad = s.Tokens.Pad
	}
	for _, a := range f.Added {
		about.Added[*a.ID] = addition{a.Content, a.LStrip, a.Normalized, a.RStrip, a.SingleWord, a.Special}
		if named := a.Content == f.End || a.Content == f.Unknown || a.Content == about.Pad || about.Pad == "" && a.Content == pieceSpecial["pad_token"]; a.Special && !named {
			about.Extra = append(about.Extra, a.Content)
		}
	}
	about.Separate = separate
	text, err := encode(about)
	files := []store.File{
		{Name: sourceName, Write: content(f.Source)}, {Name: targetName, Write: content(f.Target)},
		{Name: vocabName, Write: content(f.Vocab)}, {Name: tokenizerConfigName, Write: content(text)},
	}
	if separate {
		files = append(files, store.File{Name: targetVocabName, Write: content(of.Vocab)})
	}
	return files, err
}
