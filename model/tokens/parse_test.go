package tokens_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/tokens"
)

// edit returns a valid file in which one text is replaced by another.
func edit(t *testing.T, kind tokens.Kind, old, new string) []byte {
	t.Helper()
	size := 0
	if kind == tokens.BPE {
		size = 259
	}
	b, err := train(t, kind, "ab ab ab abc", size).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	if strings.Count(s, old) == 0 {
		t.Fatalf("no %s in %s", old, s)
	}
	return []byte(strings.Replace(s, old, new, 1))
}

// textAlone is the post-processor that transformers 5 saves.
const textAlone = `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{}}`

// nested is n Sequences within each other.
func nested(n int, list string) string {
	return strings.Repeat(`{"type":"Sequence","`+list+`":[`, n) + strings.Repeat("]}", n)
}

func TestParseRefusesInvalid(t *testing.T) {
	const (
		word, char, bpe = tokens.Word, tokens.Char, tokens.BPE
	)
	for _, c := range []struct {
		why      string
		kind     tokens.Kind
		old, new string
		path     string
		reason   string
	}{
		{"no JSON", word, `{"version"`, `"version"`, "", "follows"},
		{"cut", word, `}}`, ``, "", ""},
		{"not UTF-8", word, `[UNK]`, "\xff", "", "UTF-8"},
		{"text behind", word, `}}`, `}} x`, "", "byte"},
		{"twice", word, `"padding":null`, `"padding":null,"padding":null`, "", "duplicate"},
		{"token twice", word, `"ab":1`, `"ab":1,"ab":2`, "", "duplicate"},
		{"deep", word, `"padding":null`, `"padding":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "", "depth"},
		{"padding that is no object", word, `"padding":null`, `"padding":true`, "padding", "expected an object or null"},
		{"no parts", word, `"post_processor":null`, `"post_processor":{"type":"Sequence"}`, "post_processor.processors", "missing"},
		{"no template", word, `"post_processor":null`, `"post_processor":{"type":"TemplateProcessing"}`, "post_processor.single", "missing"},
		{"no object", word, `{"type":"Whitespace"}`, `[]`, "pre_tokenizer", "expected an object"},
		{"id twice", word, `"ab":1`, `"ab":2`, "model.vocab.abc", `"ab"`},
		{"negative id", word, `"ab":1`, `"ab":-1`, "model.vocab.ab", "-1"},
		{"fraction", word, `"ab":1`, `"ab":1.0`, "model.vocab.ab", "1.0"},
		{"id of 32 bits", word, `"ab":1`, `"ab":2147483648`, "model.vocab.ab", "2147483648"},
		{"id no number", word, `"ab":1`, `"ab":"1"`, "model.vocab.ab", `"1"`},
		{"unknown token unknown", word, `"unk_token":"[UNK]"`, `"unk_token":"<unk>"`, "model.unk_token", "<unk>"},
		{"no unknown token", word, `,"unk_token":"[UNK]"`, ``, "model.unk_token", "missing"},
		{"long token", word, `"unk_token":"[UNK]"`, `"unk_token":"` + strings.Repeat("é", 1000) + `"`, "model.unk_token", "…"},
		{"no vocabulary", word, `{"[UNK]":0,"ab":1,"abc":2}`, `null`, "model.vocab", "expected an object"},
		{"one token", char, `"vocab":{"[UNK]":0,"a":1,"b":2," ":3,"c":4}`, `"vocab":{"[UNK]":0}`, "model.vocab", "at least 2"},
		{"no model type", word, `"type":"WordLevel",`, ``, "model.type", "missing"},
		{"no separator", word, `"post_processor":null`, `"post_processor":{"type":"BertProcessing"}`, "post_processor.sep", "missing"},
		{"an id without a token", word, `"post_processor":null`, `"post_processor":{"type":"BertProcessing","sep":["b",99],"cls":["a",0]}`, "post_processor", "99"},
		{"a special token without ids", word, `"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}}`,
			"post_processor.single[0].SpecialToken.id", "no ids"},
		{"a table that is no base64", word, `"normalizer":null`, `"normalizer":{"type":"Precompiled","precompiled_charsmap":"?"}`, "normalizer.precompiled_charsmap", "base64"},
		{"a table cut short", word, `"normalizer":null`, `"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////wAA"}`, "normalizer.precompiled_charsmap", "size"},
		{"cleanup is a text", word, `"cleanup":true`, `"cleanup":"yes"`, "decoder.cleanup", `"yes"`},
		{"no prefix", word, `"prefix":" ",`, ``, "decoder.prefix", "missing"},
		{"merge unknown", bpe, `"a b"`, `"a bcd"`, "model.merges[0]", "bcd"},
		{"merge without result", bpe, `"a b"`, `"b a"`, "model.merges[0]", `"ba"`},
		{"merge of one", bpe, `"a b"`, `"ab"`, "model.merges[0]", "two tokens"},
		{"merge of three", bpe, `"a b"`, `["a","b","b"]`, "model.merges[0]", "two tokens"},
		{"merge of numbers", bpe, `"a b"`, `[1,2]`, "model.merges[0]", "two tokens"},
		{"merge is a number", bpe, `"a b"`, `7`, "model.merges[0]", "two tokens"},
		{"merges missing", bpe, `,"merges":["a b","Ġ ab"]`, ``, "model.merges", "missing"},
		{"added without text", bpe, `"content":"<|endoftext|>"`, `"content":""`, "added_tokens[0].content", "empty"},
		{"added id wrong", bpe, `"id":258,"content"`, `"id":1,"content"`, "added_tokens[0].id", "258"},
		{"added id with a gap", bpe, `"id":258,"content":"<|endoftext|>"`, `"id":260,"content":"<x>"`, "added_tokens[0].id", "259"},
		{"added twice", bpe, `"added_tokens":[`, `"added_tokens":[{"id":0,"content":"!"},{"id":0,"content":"!"},`, "added_tokens[1]", "twice"},
	} {
		checkRefusal(t, c.why, edit(t, c.kind, c.old, c.new), c.path, c.reason, false)
	}
	checkRefusal(t, "nothing", nil, "", "", false)
	checkRefusal(t, "no object", []byte(`[]`), "", "object", false)
	checkRefusal(t, "empty object", []byte(`{}`), "model", "missing", false)
}

func TestParseRefusesUnsupported(t *testing.T) {
	const (
		word, char, bpe = tokens.Word, tokens.Char, tokens.BPE
	)
	for _, c := range []struct {
		kind     tokens.Kind
		old, new string
		path     string
	}{
		{word, `"version":"1.0"`, `"version":"2.0"`, "version"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Unknown"}`, "normalizer"},
		{word, `"normalizer":null`, "\"normalizer\":{\n\t\"type\": \"Unknown\"\n}", "normalizer"},
		{word, `"normalizer":null`, `"normalizer":{"type":"NFC","more":1}`, "normalizer.more"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Unknown"}]}`, "normalizer.normalizers[1]"},
		{word, `"normalizer":null`, `"normalizer":` + nested(10, "normalizers"), "normalizer" + strings.Repeat(".normalizers[0]", 9)},
		{word, `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[` + strings.Repeat(`{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaa"},`, 3) + `{"type":"NFKC"}]}`, "normalizer.normalizers[3]"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Prepend","prepend":"` + strings.Repeat("x", 1000) + `"}`, "normalizer"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"String":""},"content":"x"}`, "normalizer.pattern.String"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"x*"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"(?=x)x"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"(x)\\1"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"x++"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"^x"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"[a&&b]"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"[[:alpha:]]"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"\\bx"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"` + strings.Repeat("x", 5000) + `"},"content":"x"}`, "normalizer.pattern.Regex"},
		{word, `{"type":"Whitespace"}`, `{"type":"Sequence","pretokenizers":[{"type":"Whitespace"},{"type":"Unknown"}]}`, "pre_tokenizer.pretokenizers[1]"},
		{word, `{"type":"Whitespace"}`, `{"type":"Sequence","pretokenizers":[` + strings.Repeat(`{"type":"Whitespace"},`, 100) + `{}]}`, "pre_tokenizer.pretokenizers"},
		{word, `{"type":"Whitespace"}`, `{"type":"Metaspace","replacement":"▁","prepend_scheme":"last"}`, "pre_tokenizer.prepend_scheme"},
		{word, `{"type":"Whitespace"}`, `{"type":"Punctuation","behavior":"Gone"}`, "pre_tokenizer.behavior"},
		{word, `"post_processor":null`, `"post_processor":{"type":"Unknown"}`, "post_processor"},
		{word, `"post_processor":null`, `"post_processor":` + nested(10, "processors"), "post_processor" + strings.Repeat(".processors[0]", 9)},
		{word, `"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[],"pair":[],"special_tokens":{}}`, "post_processor.single"},
		{word, `"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}}`, "post_processor.single"},
		{word, `"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],"pair":[],"special_tokens":{}}`, "post_processor.single[0].Sequence.id"},
		{word, `"version":"1.0"`, `"version":"1.0","more":1`, "more"},
		{word, `"type":"WordPiece"`, `"type":"Unknown"`, "decoder"},
		{word, `"type":"WordLevel"`, `"type":"Unknown"`, "model.type"},
		{word, `"ab":1`, `"ab":1048576`, "model.vocab.ab"},
		{word, `"abc":2`, `"abc":2147483647`, "model.vocab.abc"},
		{word, `"abc":2`, `"ab\n\u001b[2Jc":1048576`, "model.vocab.ab \ufffd[2Jc"},
		{char, `[\\s\\S]`, `[\\S]`, "pre_tokenizer.pattern.Regex"},
		{char, `"Isolated"`, `"Gone"`, "pre_tokenizer.behavior"},
		{bpe, `"dropout":null`, `"dropout":0.1`, "model.dropout"},
		{bpe, `"continuing_subword_prefix":""`, `"continuing_subword_prefix":"` + strings.Repeat("x", 257) + `"`, "model.continuing_subword_prefix"},
		{bpe, `"content":"<|endoftext|>"`, `"content":"` + strings.Repeat("x", 257) + `"`, "added_tokens[0].content"},
	} {
		checkRefusal(t, c.new, edit(t, c.kind, c.old, c.new), c.path, "", true)
	}
}

func checkRefusal(t *testing.T, why string, file []byte, path, reason string, supported bool) {
	t.Helper()
	tok, err := tokens.Parse(file)
	var format *tokens.FormatError
	var unsupported *tokens.UnsupportedError
	var got string
	switch {
	case errors.As(err, &format) && !supported:
		got = format.Path
	case errors.As(err, &unsupported) && supported:
		got = unsupported.Path
	default:
		t.Errorf("%s: Parse = %v (%T)", why, err, err)
		return
	}
	if tok != nil || path != "" && got != path || !strings.Contains(err.Error(), reason) {
		t.Errorf("%s: %v, want the path %s and %q", why, err, path, reason)
	}
	if strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
		t.Errorf("%s: the error is not one short line: %q", why, err)
	}
}

// What other writers put into such files and what changes nothing.
func TestParseAccepts(t *testing.T) {
	for _, c := range []struct {
		why      string
		kind     tokens.Kind
		old, new string
	}{
		{"no decoder: a space between words", tokens.Word, `{"type":"WordPiece","prefix":" ","cleanup":true}`, `null`},
		{"absent members are null", tokens.Word, `"truncation":null,"padding":null,`, ``},
		{"a dot that matches newlines", tokens.Char, `[\\s\\S]`, `(?m:.)`},
		{"merges as pairs", tokens.BPE, `"a b"`, `["a","b"]`},
		{"a comment among merges", tokens.BPE, `"a b"`, `"#version: 0.2","a b"`},
		{"a merge that is there twice", tokens.BPE, `"a b"`, `"a b","a b"`},
		{"no model type", tokens.BPE, `"type":"BPE",`, ``},
		{"null for no suffix", tokens.BPE, `"end_of_word_suffix":""`, `"end_of_word_suffix":null`},
		{"dropout of zero", tokens.BPE, `"dropout":null`, `"dropout":0.0`},
		{"stored padding", tokens.BPE, `"padding":null`, `"padding":{"strategy":{"Fixed":8},"direction":"Left","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,"pad_token":"!"}`},
		{"stored truncation", tokens.BPE, `"truncation":null`, `"truncation":{"direction":"Right","max_length":1,"strategy":"LongestFirst","stride":0}`},
		{"no normalizers", tokens.BPE, `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[]}`},
		{"no normalizers, nested", tokens.BPE, `"normalizer":null`, `"normalizer":` + nested(7, "normalizers")},
		{"a Sequence of one pre-tokenizer", tokens.Word, `{"type":"Whitespace"}`, `{"type":"Sequence","pretokenizers":[{"type":"Whitespace"}]}`},
		{"a Sequence of one pre-tokenizer of characters", tokens.Char, `{"type":"Split","pattern":{"Regex":"[\\s\\S]"},"behavior":"Isolated","invert":false}`,
			`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"[\\s\\S]"},"behavior":"Isolated","invert":false}]}`},
		{"a Sequence of one decoder", tokens.Char, `{"type":"Fuse"}`, `{"type":"Sequence","decoders":[{"type":"Fuse"}]}`},
		{"a template of the text alone", tokens.BPE, `"post_processor":null`, `"post_processor":` + textAlone},
		{"a template for pairs", tokens.BPE, `"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":1}}],"pair":[{"SpecialToken":{"id":"a","type_id":0}}],"special_tokens":{"a":{"id":"a","ids":[1],"tokens":["a"]}}}`},
		{"a Sequence of such post-processors", tokens.BPE, `"post_processor":null`,
			`"post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel","trim_offsets":true},{"type":"Sequence","processors":[]},` + textAlone + `]}`},
		{"a post-processor that moves offsets", tokens.BPE, `"post_processor":null`, `"post_processor":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":false}`},
	} {
		tok, err := tokens.Parse(edit(t, c.kind, c.old, c.new))
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		ids := tok.Encode("ab ab")
		want := map[tokens.Kind]string{tokens.Word: "[1 1]", tokens.Char: "[1 2 3 1 2]", tokens.BPE: "[256 257]"}[c.kind]
		if got := fmt.Sprint(ids); got != want {
			t.Errorf("%s: ids %s, want %s", c.why, got, want)
		}
		if got, err := tok.Decode(ids); err != nil || got != "ab ab" {
			t.Errorf("%s: Decode = %q, %v", c.why, got, err)
		}
	}
}

// A token that is not written in characters for bytes is its own text.
func TestTokenThatIsNoBytes(t *testing.T) {
	tok, err := tokens.Parse(edit(t, tokens.BPE, `"special":true}]`, `"special":true},{"id":259,"content":"<é>"}]`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tok.Decode([]int64{259}); err != nil || got != "<é>" {
		t.Errorf("Decode = %q, %v, want <é>", got, err)
	}
	tok, err = tokens.Parse(edit(t, tokens.BPE, `"<|endoftext|>":258`, `"<|endoftext|>":258,"a é 日":259`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tok.Decode([]int64{259}); err != nil || got != "a é 日" {
		t.Errorf("Decode = %q, %v, want a é 日", got, err)
	}
}

// The encoder of encoding/json calls MarshalJSON and checks what it gives.
func TestMarshalJSONIsJSON(t *testing.T) {
	for _, kind := range []tokens.Kind{tokens.Word, tokens.Char, tokens.BPE} {
		if _, err := json.Marshal(train(t, kind, "a\"\\\n\u2028\x01<&> b 日", 0)); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	// Small files: the fuzzer changes a byte here and there.
	for _, kind := range []tokens.Kind{tokens.Word, tokens.Char, tokens.BPE} {
		b, err := train(f, kind, "ab abc ab abc", 0).MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "ab abc don't <|endoftext|> \u00a0 1 é")
	}
	// Small files with the parts that Train does not use.
	for _, parts := range []string{
		`"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},"model":{"type":"BPE","unk_token":"<unk>","byte_fallback":true,"fuse_unk":true,"ignore_merges":true,"vocab":{"<unk>":0,"▁":1,"a":2,"b":3,"ab":4,"▁ab":5,"<0xC3>":6},"merges":["a b",["▁","ab"]]}`,
		`"normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},"decoder":{"type":"WordPiece","prefix":"##"},"post_processor":{"type":"BertProcessing","sep":["b",2],"cls":["a",1]},"model":{"type":"WordPiece","unk_token":"u","vocab":{"u":0,"a":1,"b":2,"##b":3}}`,
		`"normalizer":{"type":"Sequence","normalizers":[{"type":"Nmt"},{"type":"NFKC"},{"type":"Precompiled","precompiled_charsmap":"CAAAAAEEAABhAACAYgA="}]},"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"},"decoder":{"type":"Metaspace","replacement":"▁"},"model":{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":[["<unk>",0],["▁",-2.5],["a",-1],["▁a",-1.5],["<0xC3>",0]]}`,
		`"normalizer":{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"Strip","strip_left":true,"strip_right":true},{"type":"StripAccents"}]},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"[a-c]+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"},"behavior":"MergedWithPrevious","invert":true},{"type":"Digits","individual_digits":true},{"type":"UnicodeScripts"},{"type":"ByteLevel"}]},"decoder":{"type":"CTC","pad_token":"u","word_delimiter_token":"|"},"added_tokens":[{"id":3,"content":"<L>","lstrip":true,"rstrip":true,"normalized":true}],"model":{"type":"WordLevel","unk_token":"u","vocab":{"u":0,"a":1,"b":2}}`,
	} {
		f.Add([]byte("{"+parts+"}"), " ab  abc é 12 <L> a\u0301")
	}
	f.Add([]byte(`{"model":{"type":"WordLevel","vocab":{"a":0,"b":1},"unk_token":"a"},"pre_tokenizer":{"type":"Whitespace"}}`), "a c")
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		tok, err := tokens.Parse(file)
		if err != nil {
			var format *tokens.FormatError
			var unsupported *tokens.UnsupportedError
			if !errors.As(err, &format) && !errors.As(err, &unsupported) {
				t.Fatalf("an error of another type: %v", err)
			}
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 {
				t.Fatalf("not one short line: %q", err)
			}
			return
		}
		ids := tok.Encode(text)
		for _, id := range ids {
			if id < 0 || id >= int64(tok.VocabSize()) {
				t.Fatalf("id %d of %d", id, tok.VocabSize())
			}
		}
		whole, err := tok.Decode(ids)
		if err != nil {
			t.Fatal(err)
		}
		d, stream := tok.NewDecoder(), ""
		for _, id := range ids {
			s, err := d.Next(id)
			if err != nil {
				t.Fatal(err)
			}
			stream += s
		}
		if stream += d.Flush(); stream != whole {
			t.Fatalf("id by id %q, at once %q", stream, whole)
		}
		tok.AddSpecial(ids)
		b, err := tok.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := tokens.Parse(b)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, b)
		}
		if got := fmt.Sprint(again.Encode(text)); got != fmt.Sprint(ids) {
			t.Fatalf("ids %d, after writing and reading %s", ids, got)
		}
	})
}

// How a program once cut and padded texts is kept, and not applied.
func TestBatchingIsKept(t *testing.T) {
	tok, err := tokens.Train(tokens.BPE, strings.Repeat("a b c ", 20), 258)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := tok.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	const cut, pad = `{"direction":"Left","max_length":3,"strategy":"LongestFirst","stride":0}`,
		`{"strategy":{"Fixed":8},"direction":"Right","pad_to_multiple_of":null,"pad_id":5,"pad_type_id":0,"pad_token":"%"}`
	text := bytes.Replace(plain, []byte(`"truncation":null,"padding":null`), []byte(`"truncation":`+cut+`, "padding": `+pad), 1)
	with, err := tokens.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := with.MarshalJSON()
	if err != nil || !bytes.Contains(again, []byte(`"truncation":`+cut+`,"padding":`+pad)) {
		t.Errorf("%s, %v", again[:200], err)
	}
	most, left := with.Truncation()
	id, ok := with.Padding()
	if most != 3 || !left || id != 5 || !ok || !slices.Equal(with.Encode("a b c a b c"), tok.Encode("a b c a b c")) {
		t.Errorf("%d %t, %d %t", most, left, id, ok)
	}
	if most, _ := tok.Truncation(); most != 0 {
		t.Errorf("a tokenizer without truncation cuts to %d", most)
	}
	if _, ok := tok.Padding(); ok {
		t.Error("a tokenizer without padding pads")
	}
}
