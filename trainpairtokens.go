package attnx

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/pairs"
	"github.com/attnx/attnx/model/tokens"
)

// pairTokenizer makes a tokenizer for both sides, or two, with tokens that end and pad a text,
// and its file, which puts the end behind each text.
func pairTokenizer(o TrainOptions, c *pairs.Corpus) (*tokens.Tokenizer, []byte, error) {
	var sides [2]strings.Builder
	for _, p := range c.Pairs {
		if sides[0].WriteString(p.Source + "\n"); o.SeparateVocabularies {
			sides[1].WriteString(p.Target + "\n")
		} else {
			sides[0].WriteString(p.Target + "\n")
		}
	}
	t, file, err := endedTokenizer(o, sides[0].String())
	if err != nil || !o.SeparateVocabularies {
		return t, file, err
	}
	_, target, err := endedTokenizer(o, sides[1].String())
	if err != nil {
		return nil, nil, err
	}
	file = tokens.Pair(file, target)
	t, err = tokens.Parse(file)
	return t, file, err
}

// endedTokenizer makes a tokenizer of a text, and its file.
func endedTokenizer(o TrainOptions, text string) (*tokens.Tokenizer, []byte, error) {
	kind := cmp.Or(o.Kind, tokens.BPE)
	vocab := o.Vocab
	if kind == tokens.BPE {
		vocab = cmp.Or(vocab, pairVocab)
	}
	t, err := tokens.Train(kind, text, vocab)
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
	if o.SeparateVocabularies {
		if end, err = 0, makeRoom(file, added); err != nil {
			return nil, nil, err
		}
	}
	for i, token := range []string{endToken, padToken} {
		added = append(added, map[string]any{"id": end + i, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	slices.SortStableFunc(added, func(a, b any) int { return cmp.Compare(idOf(a), idOf(b)) })
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

// makeRoom gives the first ids of a tokenizer's file to the tokens that end and pad a text. Where
// each side has a vocabulary, these have the same ids in both: a configuration has one of each,
// which the embeddings of both sides look up.
func makeRoom(file map[string]any, added []any) error {
	m, _ := file["model"].(map[string]any)
	vocab, _ := m["vocab"].(map[string]any)
	if len(vocab) == 0 {
		return errors.New("the vocabulary of this kind of tokenizer has no room for the tokens that end and pad a text: take word, char or bpe")
	}
	for token, id := range vocab {
		if n, ok := id.(float64); ok {
			vocab[token] = int(n) + 2
		}
	}
	for i, token := range []string{endToken, padToken} {
		if _, taken := vocab[token]; taken {
			return fmt.Errorf("the texts have %.80q, which ends or pads a text here: leave it out of the pairs", token)
		}
		vocab[token] = i
	}
	for _, a := range added {
		if a, ok := a.(map[string]any); ok {
			a["id"] = idOf(a) + 2
		}
	}
	return nil
}

// idOf returns the id of an added token in a tokenizer's file.
func idOf(added any) int {
	a, _ := added.(map[string]any)
	switch id := a["id"].(type) {
	case float64:
		return int(id)
	case int:
		return id
	}
	return 0
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

// paddedBeyond says why transformers cannot open a translator whose padding is no id of its sources;
// "" for any other. Runs with two vocabularies wrote such ones.
func paddedBeyond(c *model.Checkpoint) string {
	s := huggingface.SpecialOf(c)
	if !c.Translates() || s == nil || s.Pad == nil || *s.Pad < int64(c.SourceIDs()) {
		return ""
	}
	return fmt.Sprintf("transformers cannot open it: padding has the id %d, and its sources have %d ids: train it again with this version", *s.Pad, c.SourceIDs())
}
