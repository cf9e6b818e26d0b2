package gguf

import "encoding/json"

// object is a JSON object of a tokenizer.json.
type object = map[string]any

// pre is how a byte-level tokenizer splits a text: a row of the table.
type pre struct {
	names     []string // tokenizer.ggml.pre; the first is written
	normalize string   // the normalizer of the model's own tokenizer.json; llama.cpp has none for these models
	parts     []object // pre-tokenizers, before ByteLevel
	words     bool     // ByteLevel splits with GPT-2's expression
	whole     bool     // a word that is a token is not merged (ignore_merges)
	begins    bool     // a text begins with a special token unless the file says otherwise
}

// Expressions of the tokenizers' own files. llama.cpp has them in the same
// order, in an equivalent form (src/llama-vocab.cpp).
const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
	punctuation  = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	llama3Words  = contractions + `\p{N}{1,3}` + punctuation
	qwenWords    = contractions + `\p{N}` + punctuation
	upperLower   = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`
	upperAlone   = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`
	suffix       = `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`
	tekkenWords  = upperLower + `|` + upperAlone + `|\p{N}` + slashed
	gpt4oWords   = upperLower + suffix + `|` + upperAlone + suffix + `|\p{N}{1,3}` + slashed
	slashed      = `| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

func splitBy(regex string) object {
	return object{"type": "Split", "pattern": object{"Regex": regex}, "behavior": "Isolated", "invert": false}
}

var singleDigits = object{"type": "Digits", "individual_digits": true}

// pres is the table. Its first row with what a tokenizer does is the one that is
// written, so rows that are the same for llama.cpp too are one.
var pres = []pre{
	{names: []string{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "mpt", "jais", "exaone4", "mellum", "modern-bert", "olmo", "trillion", "granite-docling"}, words: true},
	{names: []string{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}, parts: []object{singleDigits}, words: true},
	{names: []string{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"}, parts: []object{splitBy(llama3Words)}, whole: true, begins: true},
	{names: []string{"dbrx", "smaug-bpe", "chatglm-bpe"}, parts: []object{splitBy(llama3Words)}},
	{names: []string{"glm4", "glm5"}, parts: []object{splitBy(llama3Words)}, whole: true},
	{names: []string{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"}, normalize: "NFC", parts: []object{splitBy(qwenWords)}},
	{names: []string{"stablelm2", "hunyuan", "grok-2"}, parts: []object{splitBy(qwenWords)}},
	{names: []string{"tekken"}, parts: []object{splitBy(tekkenWords)}, whole: true, begins: true},
	{names: []string{"gpt-4o", "llama4", "kanana2", "talkie"}, parts: []object{splitBy(gpt4oWords)}},
	{names: []string{"default", ""}, parts: []object{
		splitBy(`[\p{P}\$\+<=>\^~\|]+`), splitBy(`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`),
		splitBy(`\p{N}+`), splitBy(`[0-9][0-9][0-9]`),
	}},
}

// byteLevel is the last pre-tokenizer of a row, and the decoder of all.
func byteLevel(words bool) object {
	return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": words}
}

// preTokenizer returns the pre-tokenizer of a row.
func (p pre) preTokenizer() object {
	if len(p.parts) == 0 {
		return byteLevel(p.words)
	}
	return object{"type": "Sequence", "pretokenizers": append(p.parts[:len(p.parts):len(p.parts)], byteLevel(p.words))}
}

// preOf returns the row of a name.
func preOf(name string) (pre, bool) {
	for _, p := range pres {
		for _, n := range p.names {
			if n == name {
				return p, true
			}
		}
	}
	return pre{}, false
}

// nested are the members in which a Sequence has its parts.
var nested = []string{"normalizers", "pretokenizers", "processors", "decoders"}

// neutral are members of parts of a tokenizer that change no ids.
var neutral = []string{"trim_offsets"}

// flat returns the parts of a component of a tokenizer.json, which may be a
// Sequence, in one list, without what changes no ids. JSON's defaults are set.
func flat(text json.RawMessage) []object {
	var o object
	if json.Unmarshal(text, &o) != nil || o == nil {
		return nil
	}
	return flatten(nil, o, 0)
}

func flatten(list []object, o object, depth int) []object {
	for _, name := range nested {
		parts, ok := o[name].([]any)
		if !ok || o["type"] != "Sequence" || depth > 8 {
			continue
		}
		for _, p := range parts {
			if inner, ok := p.(object); ok {
				list = flatten(list, inner, depth+1)
			}
		}
		return list
	}
	for _, name := range neutral {
		delete(o, name)
	}
	if _, ok := o["use_regex"]; !ok && o["type"] == "ByteLevel" {
		o["use_regex"] = true
	}
	return append(list, o)
}

// same reports whether two components of a tokenizer are the same.
func same(a, b []object) bool {
	x, err := json.Marshal(a)
	if err != nil || len(a) != len(b) {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && string(x) == string(y)
}

// flatOf is flat for a component that is not JSON yet.
func flatOf(o object) []object {
	text, err := json.Marshal(o)
	if err != nil {
		return nil
	}
	return flat(text)
}
