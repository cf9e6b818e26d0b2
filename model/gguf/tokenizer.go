package gguf

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/tokens"
)

// Keys of the metadata of a tokenizer. keyWhole is the whole tokenizer.json.
const (
	keyModel  = "tokenizer.ggml.model"
	keyPre    = "tokenizer.ggml.pre"
	keyTokens = "tokenizer.ggml.tokens"
	keyTypes  = "tokenizer.ggml.token_type"
	keyScores = "tokenizer.ggml.scores"
	keyMerges = "tokenizer.ggml.merges"
	keyBegin  = "tokenizer.ggml.add_bos_token"
	keyEnd    = "tokenizer.ggml.add_eos_token"
	keyPrefix = "tokenizer.ggml.add_space_prefix"
	keyWhole  = "tokenizer.huggingface.json"
	keyChat   = "tokenizer.chat_template"
)

// The types of tokens (gguf-py/gguf/constants.py, TokenType).
const (
	normalToken = iota + 1
	unknownToken
	controlToken
	userToken
	unusedToken
	byteToken
)

// space is how SentencePiece writes a space.
const space = "▁"

// vocabulary is the tokenizer in a file's metadata.
type vocabulary struct {
	f      *blocks.File
	tokens []string
	types  []int32
	ids    map[string]int
}

// errNotRead is a tokenizer that is valid, and that attnx does not read.
type errNotRead struct{ reason string }

func (e *errNotRead) Error() string { return e.reason }

// tokenizer returns the tokenizer.json of a file's metadata, and what it is if it has
// been read; empty if the file has no tokenizer. An *errNotRead reports one of another kind.
func tokenizer(f *blocks.File) ([]byte, *tokens.Tokenizer, error) {
	if text, ok := f.Value(keyWhole).(string); ok && text != "" {
		return []byte(text), nil, nil
	}
	kind, ok := f.Value(keyModel).(string)
	if v := f.Value(keyModel); v != nil && !ok {
		return nil, nil, bad(keyModel, "it is %s, expected a string", show(v))
	}
	if kind == "" || kind == "none" || kind == "no_vocab" {
		return nil, nil, nil
	}
	make, ok := map[string]func(*vocabulary) (object, error){"gpt2": (*vocabulary).byteLevel, "llama": (*vocabulary).sentencePiece, "bert": (*vocabulary).wordPiece}[kind]
	if !ok {
		return nil, nil, &errNotRead{fmt.Sprintf("%s is %s, attnx reads gpt2, llama and bert", keyModel, quote.String(kind))}
	}
	v, err := vocabularyOf(f)
	if err != nil {
		return nil, nil, err
	}
	o, err := make(v)
	if err != nil {
		return nil, nil, err
	}
	o["version"], o["truncation"], o["padding"] = "1.0", nil, nil
	if o["added_tokens"], err = v.added(); err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil {
		return nil, nil, err
	}
	text := bytes.TrimSpace(out.Bytes())
	read, err := tokens.Parse(text)
	if err != nil {
		return nil, nil, asTokenizer(err)
	}
	return text, read, nil
}

// asTokenizer says of an error of the tokenizer.json that was made of metadata
// that these are at fault.
func asTokenizer(err error) error {
	switch e := err.(type) {
	case *tokens.FormatError:
		return bad("tokenizer.ggml", "%s: %s: %s", cmp.Or(e.Path, "the tokenizer"), e.Reason, again)
	case *tokens.UnsupportedError:
		return &errNotRead{fmt.Sprintf("tokenizer.ggml: %s: %s", cmp.Or(e.Path, "the tokenizer"), e.Reason)}
	}
	return err
}

const again = "the file is damaged; take another copy"

// bad returns the error for metadata that no tokenizer has.
func bad(key, reason string, args ...any) error {
	return &blocks.FormatError{Name: key, Offset: -1, Reason: fmt.Sprintf(reason, args...)}
}

// vocabularyOf reads what all kinds of tokenizers have.
func vocabularyOf(f *blocks.File) (*vocabulary, error) {
	v := &vocabulary{f: f, ids: map[string]int{}}
	var ok bool
	if v.tokens, ok = f.Value(keyTokens).([]string); !ok || len(v.tokens) == 0 {
		return nil, bad(keyTokens, "it is %s, expected a list of strings: %s", show(f.Value(keyTokens)), again)
	}
	switch types := f.Value(keyTypes).(type) {
	case nil:
		v.types = slices.Repeat([]int32{normalToken}, len(v.tokens))
	case []int32:
		v.types = types
	case []uint32:
		for _, t := range types {
			v.types = append(v.types, int32(min(t, math.MaxInt32)))
		}
	default:
		return nil, bad(keyTypes, "it is %s, expected a list of integers: %s", show(types), again)
	}
	if len(v.types) != len(v.tokens) {
		return nil, bad(keyTypes, "it has %d elements, and there are %d tokens: %s", len(v.types), len(v.tokens), again)
	}
	for id, token := range v.tokens {
		if !utf8.ValidString(token) {
			return nil, bad(keyTokens, "token %d is not UTF-8: %s", id, again)
		}
		if v.types[id] == unusedToken {
			continue
		}
		if first, twice := v.ids[token]; twice {
			return nil, bad(keyTokens, "tokens %d and %d are both %s: %s", first, id, quote.String(token), again)
		}
		v.ids[token] = id
	}
	return v, nil
}

// flag returns a boolean of the metadata.
func (v *vocabulary) flag(key string, missing bool) bool {
	if b, ok := v.f.Value(key).(bool); ok {
		return b
	}
	return missing
}

// id returns the special token of a name, such as "bos".
func (v *vocabulary) id(name string, missing int) (id int, ok bool) {
	id = missing
	if x := v.f.Value("tokenizer.ggml." + name + "_token_id"); x != nil {
		id = integer(x)
	}
	return id, id >= 0 && id < len(v.tokens) && v.ids[v.tokens[id]] == id
}

// specialNames are the names of special tokens in the metadata.
var specialNames = strings.Fields("bos eos eot eom unknown seperator separator padding cls mask fim_pre fim_suf fim_mid fim_pad fim_rep fim_sep")

// added returns the tokens that are found before the text is split: those that
// llama.cpp finds too.
func (v *vocabulary) added() ([]object, error) {
	named := map[int]bool{}
	for _, name := range specialNames {
		if id, ok := v.id(name, -1); ok {
			named[id] = v.types[id] != byteToken
		}
	}
	list := []object{}
	for id, token := range v.tokens {
		kind := v.types[id]
		special := kind == controlToken || kind == unknownToken || named[id]
		if token == "" || !special && kind != userToken {
			continue
		}
		list = append(list, object{"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special && kind != userToken})
	}
	return list, nil
}

// vocab returns the ids of the tokens that occur.
func (v *vocabulary) vocab() map[string]int { return v.ids }

// around returns the post-processor that puts special tokens around a text.
func (v *vocabulary) around(begins, ends bool, begin, end string, missingBegin, missingEnd int) (object, error) {
	text := func(name string, kind int) object { return object{"Sequence": object{"id": name, "type_id": kind}} }
	single, pair := []object{text("A", 0)}, []object{text("A", 0), text("B", 1)}
	special := object{}
	use := func(on bool, name string, missing int, put func(list []object, piece object) []object) error {
		if !on {
			return nil
		}
		id, ok := v.id(name, missing)
		if !ok {
			return bad("tokenizer.ggml."+name+"_token_id", "it is %d, and a text has this token around it: expected one of the %d tokens: %s", id, len(v.tokens), again)
		}
		token := v.tokens[id]
		special[token] = object{"id": token, "ids": []int{id}, "tokens": []string{token}}
		piece := object{"SpecialToken": object{"id": token, "type_id": 0}}
		single, pair = put(single, piece), put(pair, piece)
		return nil
	}
	err := use(begins, begin, missingBegin, func(list []object, piece object) []object { return append([]object{piece}, list...) })
	if err == nil {
		err = use(ends, end, missingEnd, func(list []object, piece object) []object { return append(list, piece) })
	}
	if err != nil || len(special) == 0 {
		return nil, err
	}
	return object{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}, nil
}

// byteLevel returns the parts of a tokenizer in the manner of GPT-2.
func (v *vocabulary) byteLevel() (object, error) {
	name, _ := v.f.Value(keyPre).(string)
	p, ok := preOf(name)
	if !ok {
		return nil, &errNotRead{fmt.Sprintf("%s is %s, of which attnx does not know how it splits a text", keyPre, quote.String(name))}
	}
	merges, ok := v.f.Value(keyMerges).([]string)
	if !ok {
		return nil, bad(keyMerges, "it is %s, expected a list of strings: %s", show(v.f.Value(keyMerges)), again)
	}
	for i, m := range merges {
		if !utf8.ValidString(m) || strings.Count(m, " ") != 1 {
			return nil, bad(keyMerges, "merge %d is %s, expected two tokens: %s", i, quote.String(m), again)
		}
	}
	post, err := v.around(v.flag(keyBegin, p.begins), v.flag(keyEnd, false), "bos", "eos", 11, 11)
	if err != nil {
		return nil, err
	}
	o := object{
		"pre_tokenizer": p.preTokenizer(), "post_processor": orNull(post), "decoder": byteLevel(true), "normalizer": nil,
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": p.whole, "vocab": v.vocab(), "merges": merges,
		},
	}
	if p.normalize != "" {
		o["normalizer"] = object{"type": p.normalize}
	}
	return o, nil
}

// orNull returns JSON's null for a part that is missing.
func orNull(o object) any {
	if o == nil {
		return nil
	}
	return o
}

// sentencePiece returns the parts of a tokenizer in the manner of Llama 1 and 2.
func (v *vocabulary) sentencePiece() (object, error) {
	merges, err := v.pairs()
	if err != nil {
		return nil, err
	}
	post, err := v.around(v.flag(keyBegin, true), v.flag(keyEnd, false), "bos", "eos", 1, 2)
	if err != nil {
		return nil, err
	}
	o := object{
		"pre_tokenizer": nil, "post_processor": orNull(post),
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": v.vocab(), "merges": merges,
		},
	}
	replaced := object{"type": "Replace", "pattern": object{"String": " "}, "content": space}
	back := []object{{"type": "Replace", "pattern": object{"String": space}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}}
	if o["normalizer"] = replaced; v.flag(keyPrefix, true) {
		o["normalizer"] = object{"type": "Sequence", "normalizers": []object{{"type": "Prepend", "prepend": space}, replaced}}
		back = append(back, object{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	o["decoder"] = object{"type": "Sequence", "decoders": back}
	if id, ok := v.id("unknown", 0); ok {
		o["model"].(object)["unk_token"] = v.tokens[id]
	}
	return o, nil
}

// mostPairs bounds the work of pairs: the sum of the squares of the tokens'
// lengths. That of a real vocabulary is 30,000 to 20 million.
const mostPairs = 1 << 30

// pairs returns the merges that give the pieces, the best score first, in the
// order in which transformers derives them from a SentencePiece model
// (convert_slow_tokenizer.py, generate_merges).
func (v *vocabulary) pairs() ([][2]string, error) {
	if list, ok := v.f.Value(keyMerges).([]string); ok {
		var out [][2]string
		for i, m := range list {
			left, right, ok := strings.Cut(m, " ")
			if !ok || !utf8.ValidString(m) {
				return nil, bad(keyMerges, "merge %d is %s, expected two tokens: %s", i, quote.String(m), again)
			}
			out = append(out, [2]string{left, right})
		}
		return out, nil
	}
	scores, ok := v.f.Value(keyScores).([]float32)
	if !ok || len(scores) != len(v.tokens) {
		return nil, bad(keyScores, "it is %s with %d elements, expected a number for each of the %d tokens: %s", show(v.f.Value(keyScores)), len(scores), len(v.tokens), again)
	}
	type pair struct {
		left, right string
		a, b        int
		score       float32
	}
	var all []pair
	work := 0
	for id, token := range v.tokens {
		if work += len(token) * len(token); work > mostPairs {
			return nil, bad(keyTokens, "its tokens are too long for a vocabulary, up to the token %d: %s", id, again)
		}
		if v.ids[token] != id || v.types[id] == unusedToken {
			continue
		}
		first := len(all)
		for i := range token {
			a, okA := v.ids[token[:i]]
			b, okB := v.ids[token[i:]]
			if i > 0 && okA && okB {
				all = append(all, pair{token[:i], token[i:], a, b, scores[id]})
			}
		}
		slices.SortStableFunc(all[first:], func(x, y pair) int { return cmp.Or(x.a-y.a, x.b-y.b) })
	}
	slices.SortStableFunc(all, func(x, y pair) int {
		return cmp.Or(cmp.Compare(y.score, x.score), utf8.RuneCountInString(y.left)-utf8.RuneCountInString(x.left), utf8.RuneCountInString(y.right)-utf8.RuneCountInString(x.right))
	})
	out := make([][2]string, len(all))
	for i, p := range all {
		out[i] = [2]string{p.left, p.right}
	}
	return out, nil
}

// wordPiece returns the parts of a tokenizer in the manner of BERT. llama.cpp's
// files mark the first piece of a word where BERT's mark the others.
func (v *vocabulary) wordPiece() (object, error) {
	own := *v
	own.ids, own.tokens = map[string]int{}, slices.Clone(v.tokens)
	for id, token := range v.tokens {
		if word, first := strings.CutPrefix(token, space); first {
			token = word
		} else if v.types[id] != controlToken && v.types[id] != unknownToken && v.types[id] != userToken && !(strings.HasPrefix(token, "[") && strings.HasSuffix(token, "]")) {
			token = "##" + token
		}
		own.tokens[id] = token
		if v.types[id] == unusedToken {
			continue
		}
		if other, twice := own.ids[token]; twice {
			return nil, bad(keyTokens, "tokens %d and %d are both %s: %s", other, id, quote.String(token), again)
		}
		own.ids[token] = id
	}
	*v = own
	unknown, ok := v.id("unknown", 100)
	if !ok {
		return nil, bad("tokenizer.ggml.unknown_token_id", "it is %d, expected one of the %d tokens: %s", unknown, len(v.tokens), again)
	}
	begin, end := "cls", "seperator" // GGUF's spelling
	if _, ok := v.id(begin, -1); !ok {
		begin = "bos"
	}
	if _, ok := v.id(end, -1); !ok {
		end = "separator"
	}
	post, err := v.around(v.flag(keyBegin, true), v.flag(keyEnd, true), begin, end, 101, 102)
	if err != nil {
		return nil, err
	}
	return object{
		"normalizer":    object{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil, "lowercase": true},
		"pre_tokenizer": object{"type": "BertPreTokenizer"}, "post_processor": orNull(post),
		"decoder": object{"type": "WordPiece", "prefix": "##", "cleanup": true},
		"model":   object{"type": "WordPiece", "unk_token": v.tokens[unknown], "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": v.vocab()},
	}, nil
}
