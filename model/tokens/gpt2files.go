package tokens

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/internal/quote"
)

// Files are the files of GPT-2's tokenizer from before tokenizer.json, and the
// settings next to them.
type Files struct {
	Vocab  []byte  // vocab.json: {"token": id, …}
	Merges []byte  // merges.txt: two tokens on each line
	Added  []Added // in the order in which they take free ids
	Begin  string  // an added token to put before each text; empty: none
	End    string  // one to put after each text
	Prefix bool    // put a space before a text that starts without one
}

// Added is a token that Encode finds before it splits the text.
type Added struct {
	Content                                         string
	ID                                              *int64 // nil: the id in the vocabulary, or the next free one
	SingleWord, LStrip, RStrip, Normalized, Special bool
}

// JSON returns a tokenizer.json equivalent to the files, even if [Parse] does
// not support it. Invalid files give a [FormatError] that names one of them.
func (f Files) JSON() ([]byte, error) {
	ids, next, err := vocabIDs(f.Vocab)
	if err != nil {
		return nil, err
	}
	w := writer{}
	w.text(`{"version":"1.0","truncation":null,"padding":null,"added_tokens":`)
	seen := w.addedList(f.Added, ids, next)
	const byteLevel = `{"type":"ByteLevel","trim_offsets":true,"use_regex":true,"add_prefix_space":`
	prefix := strconv.FormatBool(f.Prefix) + `}`
	w.text(`,"normalizer":null,"pre_tokenizer":` + byteLevel + prefix + `,"post_processor":`)
	w.template(f.Begin, f.End, seen)
	w.text(`,"decoder":` + byteLevel + `true},"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"",` +
		`"end_of_word_suffix":"","fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":`)
	w.text(string(bytes.TrimSpace(f.Vocab)))
	merges, err := mergeLines(f.Merges)
	if err != nil {
		return nil, err
	}
	w.text(`,"merges":`)
	w.list(len(merges), func(i int) { w.quoted(merges[i]) })
	w.text(`}}`)
	return w.out, w.err
}

// vocabIDs reads a vocab.json and returns the next free id too.
func vocabIDs(text []byte) (ids map[string]int64, next int64, err error) {
	root, err := document(text)
	if err == nil {
		root.path = "vocab.json"
		ids = map[string]int64{}
		err = root.members(func(name string, value node) error {
			id, err := value.id()
			ids[name], next = int64(id), max(next, int64(id)+1)
			return err
		})
	}
	if bad, ok := err.(*FormatError); ok {
		bad.Path = "vocab.json"
	}
	return ids, next, err
}

// mergeLines returns the lines of a merges.txt that are merges. Only the first
// line may be a comment, because "#" is a token too.
func mergeLines(text []byte) ([]string, error) {
	lines := strings.Split(string(text), "\n")
	if strings.HasPrefix(lines[0], "#version") {
		lines = lines[1:]
	}
	merges := lines[:0]
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		if strings.Count(line, " ") != 1 {
			return nil, invalid("merges.txt", "line %d of its merges is %.130q, expected two tokens with a space between them", i+1, quote.Line(line, 120))
		}
		merges = append(merges, line)
	}
	return merges, nil
}

// addedList writes added tokens as a list, and returns their ids. next is the first free id.
func (w *writer) addedList(added []Added, known map[string]int64, next int64) (taken map[string]int64) {
	taken = map[string]int64{}
	w.text(`[`)
	for _, a := range added {
		if _, twice := taken[a.Content]; twice || a.Content == "" {
			continue
		}
		id, ok := known[a.Content]
		if !ok {
			id = next
		}
		if a.ID != nil {
			id = *a.ID
		}
		if next = max(next, id+1); len(taken) > 0 {
			w.text(`,`)
		}
		taken[a.Content] = id
		w.file(a, id)
	}
	w.text(`]`)
	return taken
}

// file writes an added token with all its members.
func (w *writer) file(a Added, id int64) {
	w.text(`{"id":` + strconv.FormatInt(id, 10) + `,"content":`)
	w.quoted(a.Content)
	for _, flag := range []struct {
		name string
		on   bool
	}{{"single_word", a.SingleWord}, {"lstrip", a.LStrip}, {"rstrip", a.RStrip}, {"normalized", a.Normalized}, {"special", a.Special}} {
		w.text(`,"` + flag.name + `":` + strconv.FormatBool(flag.on))
	}
	w.text(`}`)
}

// template writes the post-processor that puts added tokens before and after
// each text, or null if there are none.
func (w *writer) template(begin, end string, ids map[string]int64) {
	special := map[string]string{} // tokens as pieces of a template
	var known []string
	for _, token := range []string{begin, end} {
		id, ok := ids[token]
		if _, twice := special[token]; !ok || twice {
			continue
		}
		quoted, err := jsontext.AppendQuote(nil, token)
		if err != nil && w.err == nil {
			w.err = err
		}
		name := string(quoted)
		special[token] = `{"SpecialToken":{"id":` + name + `,"type_id":0}}`
		known = append(known, name+`:{"id":`+name+`,"ids":[`+strconv.FormatInt(id, 10)+`],"tokens":[`+name+`]}`)
	}
	if len(known) == 0 {
		w.text(`null`)
		return
	}
	around := func(sequence string) string {
		pieces := []string{special[begin], sequence, special[end]}
		return strings.Join(slices.DeleteFunc(pieces, func(s string) bool { return s == "" }), ",")
	}
	const first, second = `{"Sequence":{"id":"A","type_id":0}}`, `{"Sequence":{"id":"B","type_id":1}}`
	w.text(`{"type":"TemplateProcessing","single":[` + around(first) + `],"pair":[` + around(first) + `,` + around(second) +
		`],"special_tokens":{` + strings.Join(known, ",") + `}}`)
}
