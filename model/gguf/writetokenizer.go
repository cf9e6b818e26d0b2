package gguf

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/internal/quote"
)

// tokenizerFile is what a GGUF file keeps of a tokenizer.json.
type tokenizerFile struct {
	Added []struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	} `json:"added_tokens"`
	Normalizer json.RawMessage `json:"normalizer"`
	Pre        json.RawMessage `json:"pre_tokenizer"`
	Post       json.RawMessage `json:"post_processor"`
	Model      struct {
		Type     string          `json:"type"`
		Vocab    json.RawMessage `json:"vocab"`
		Merges   json.RawMessage `json:"merges"`
		Unknown  string          `json:"unk_token"`
		Prefix   string          `json:"continuing_subword_prefix"`
		Suffix   string          `json:"end_of_word_suffix"`
		Fallback bool            `json:"byte_fallback"`
		Whole    bool            `json:"ignore_merges"`
	} `json:"model"`
}

// vocabulary writes the tokenizer, the special ids and the chat template. What
// llama.cpp cannot express of the tokenizer is in the file's tokenizer.json only,
// and in a note.
func (w *writing) vocabulary() {
	if w.c.ChatTemplate != "" {
		defer func() { w.put(keyChat, w.c.ChatTemplate) }()
	}
	if len(w.c.Tokenizer) == 0 {
		w.put(keyModel, "none")
		w.ids(nil)
		return
	}
	entries, err := w.tokens()
	if err != nil {
		w.report.Notes = append(w.report.Notes, fmt.Sprintf("llama.cpp has no such tokenizer (%v): it reads ids only", err))
		w.put(keyModel, "none")
		w.ids(nil)
	} else {
		w.metadata = append(w.metadata, entries...)
	}
	w.put(keyWhole, string(w.c.Tokenizer))
}

// ids writes the special ids. begin is the token with which the tokenizer begins
// a text; nil: none.
func (w *writing) ids(begin *int) {
	s := w.c.Special
	if s == nil {
		return
	}
	for i, id := range s.End[:min(len(s.End), 3)] {
		w.put("tokenizer.ggml."+[]string{"eos", "eot", "eom"}[i]+"_token_id", uint32(id))
	}
	if s.Begin != nil && begin == nil {
		w.put("tokenizer.ggml.bos_token_id", uint32(*s.Begin))
	}
	if s.Pad != nil {
		w.put("tokenizer.ggml.padding_token_id", uint32(*s.Pad))
	}
}

// tokens returns the metadata of the tokenizer.
func (w *writing) tokens() (entries []blocks.Entry, err error) {
	var t tokenizerFile
	if err := json.Unmarshal(w.c.Tokenizer, &t); err != nil {
		return nil, err
	}
	if t.Model.Type != "BPE" || t.Model.Prefix != "" || t.Model.Suffix != "" {
		return nil, fmt.Errorf("its model is %s, and llama.cpp's are BPE", quote.String(t.Model.Type))
	}
	vocab := map[string]int{}
	if err := json.Unmarshal(t.Model.Vocab, &vocab); err != nil {
		return nil, err
	}
	merges, err := t.merges()
	if err != nil {
		return nil, err
	}
	kind, more, err := t.kind(vocab, merges, w.c.IDs())
	if err != nil {
		return nil, err
	}
	begins, ends, begin, end, err := t.around()
	if err != nil {
		return nil, err
	}
	list, types, left := t.list(vocab, w.c.IDs(), kind)
	if left > 0 {
		w.report.Notes = append(w.report.Notes, fmt.Sprintf("%d tokens are beyond the model's %d ids and left out", left, w.c.IDs()))
	}
	put := func(key string, value any) { entries = append(entries, blocks.Entry{Key: key, Value: value}) }
	put(keyModel, kind)
	entries = append(entries, more...)
	put(keyTokens, list)
	put(keyTypes, types)
	put(keyBegin, begins)
	put(keyEnd, ends)
	if id, ok := vocab[t.Model.Unknown]; ok && t.Model.Unknown != "" {
		put("tokenizer.ggml.unknown_token_id", uint32(id))
	}
	if begins {
		put("tokenizer.ggml.bos_token_id", uint32(begin))
		w.ids(&begin)
	} else {
		w.ids(nil)
	}
	if s := w.c.Special; ends && (s == nil || len(s.End) == 0 || s.End[0] != int64(end)) {
		return nil, fmt.Errorf("it ends a text with the token %d, with which the model does not end one", end)
	}
	return entries, nil
}

// merges returns the two halves of each merge.
func (t *tokenizerFile) merges() (pairs [][2]string, err error) {
	var lines []string
	if json.Unmarshal(t.Model.Merges, &lines) != nil {
		err = json.Unmarshal(t.Model.Merges, &pairs)
		return pairs, err
	}
	for _, line := range lines {
		left, right, ok := strings.Cut(line, " ")
		if !ok {
			continue // a comment
		}
		pairs = append(pairs, [2]string{left, right})
	}
	return pairs, nil
}

// kind returns llama.cpp's name for a tokenizer, and the metadata that only this
// kind has.
func (t *tokenizerFile) kind(vocab map[string]int, merges [][2]string, ids int) (name string, more []blocks.Entry, err error) {
	normal, before := flat(t.Normalizer), flat(t.Pre)
	if prefix, ok := spaces(normal, before); ok && t.Model.Fallback {
		scores := make([]float32, ids)
		for i := range scores {
			scores[i] = -1e9 // pieces that no merge gives
		}
		for rank := len(merges) - 1; rank >= 0; rank-- { // the first merge that gives a piece counts
			if id, ok := vocab[merges[rank][0]+merges[rank][1]]; ok && id < ids {
				scores[id] = -float32(rank)
			}
		}
		return "llama", []blocks.Entry{{Key: keyPre, Value: "default"}, {Key: keyPrefix, Value: prefix}, {Key: keyScores, Value: scores}}, nil
	}
	if t.Model.Fallback {
		return "", nil, fmt.Errorf("it splits a text in another way than Llama 2's and Gemma's")
	}
	unicode := ""
	if len(normal) == 1 {
		unicode, _ = normal[0]["type"].(string)
	}
	for _, p := range pres {
		if len(normal) > 1 || unicode != p.normalize || p.whole != t.Model.Whole || !same(before, flatOf(p.preTokenizer())) {
			continue
		}
		lines := make([]string, len(merges))
		for i, m := range merges {
			if strings.Contains(m[0], " ") || strings.Contains(m[1], " ") {
				return "", nil, fmt.Errorf("a merge has a space")
			}
			lines[i] = m[0] + " " + m[1]
		}
		return "gpt2", []blocks.Entry{{Key: keyPre, Value: p.names[0]}, {Key: keyMerges, Value: lines}}, nil
	}
	return "", nil, fmt.Errorf("it splits a text in a way that llama.cpp has no name for")
}

// spaces reports whether a tokenizer writes spaces as SentencePiece does, and does
// nothing else before its model, and whether it puts one before a text.
func spaces(normal, before []object) (prefix, ok bool) {
	replaced := []object{{"type": "Replace", "pattern": object{"String": " "}, "content": space}}
	with := append([]object{{"type": "Prepend", "prepend": space}}, replaced...)
	if len(before) == 1 && before[0]["type"] == "Split" { // of spaces, which are replaced by then
		if pattern, _ := before[0]["pattern"].(object); pattern["String"] == " " && len(normal) > 0 {
			before = nil
		}
	}
	if len(before) == 1 && before[0]["type"] == "Metaspace" && len(normal) == 0 && before[0]["replacement"] == space && before[0]["split"] == false {
		switch before[0]["prepend_scheme"] {
		case "always", "first", nil:
			return true, true
		case "never":
			return false, true
		}
	}
	switch {
	case len(before) > 0:
		return false, false
	case same(normal, replaced):
		return false, true
	case same(normal, with):
		return true, true
	}
	return false, false
}

var bytePiece = regexp.MustCompile(`^<0x[0-9A-F]{2}>$`)

// list returns the tokens and their types by id, as many as the model has ids. left
// counts those with larger ids. An id without a token gets one that is unused.
func (t *tokenizerFile) list(vocab map[string]int, ids int, kind string) (list []string, types []int32, left int) {
	list, types = make([]string, ids), make([]int32, ids)
	put := func(id int, token string, typ int32) {
		if id < 0 || id >= ids {
			left++
			return
		}
		list[id], types[id] = token, typ
	}
	for token, id := range vocab {
		typ := int32(normalToken)
		if kind == "llama" && bytePiece.MatchString(token) {
			typ = byteToken
		}
		put(id, token, typ)
	}
	for _, a := range t.Added {
		typ := int32(userToken)
		if a.Special {
			typ = controlToken
		}
		if kind == "llama" && a.Content == t.Model.Unknown {
			typ = unknownToken
		}
		put(a.ID, a.Content, typ)
	}
	for id := range list {
		if types[id] == 0 {
			list[id], types[id] = fmt.Sprintf("[PAD%d]", id), unusedToken
		}
	}
	return list, types, left
}

// around returns the special tokens that the tokenizer puts around a text.
func (t *tokenizerFile) around() (begins, ends bool, begin, end int, err error) {
	for _, o := range flat(t.Post) {
		switch o["type"] {
		case "ByteLevel":
			continue
		case "TemplateProcessing":
		default:
			return false, false, 0, 0, fmt.Errorf("it puts tokens around a text in another way than a template")
		}
		var pieces []string // "" is the text
		for _, p := range listOf(o["single"]) {
			special, _ := p["SpecialToken"].(object)
			name, _ := special["id"].(string)
			pieces = append(pieces, name)
		}
		at := slices.Index(pieces, "")
		if at < 0 || at > 1 || len(pieces)-at > 2 || begins || ends {
			return false, false, 0, 0, fmt.Errorf("it puts several tokens around a text")
		}
		ids, _ := o["special_tokens"].(object)
		id := func(name string) int {
			of, _ := ids[name].(object)
			list, _ := of["ids"].([]any)
			if len(list) == 1 {
				if n, ok := list[0].(float64); ok {
					return int(n)
				}
			}
			err = fmt.Errorf("it puts several tokens around a text")
			return 0
		}
		if begins = at == 1; begins {
			begin = id(pieces[0])
		}
		if ends = len(pieces) > at+1; ends {
			end = id(pieces[at+1])
		}
	}
	return begins, ends, begin, end, err
}

// listOf returns the objects of a JSON array.
func listOf(v any) (list []object) {
	all, _ := v.([]any)
	for _, e := range all {
		o, _ := e.(object)
		list = append(list, o)
	}
	return list
}
