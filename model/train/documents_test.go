package train

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
)

// read reads a file of the given name with fields.
func readLines(t *testing.T, name, text string, how Reading) (*Text, error) {
	t.Helper()
	folder := writeFiles(t, map[string]string{name: text})
	how.Glob, how.Limit, how.Fields = "*", 1<<20, true
	return ReadText(t.Context(), []string{filepath.Join(folder, name)}, how)
}

func TestDocuments(t *testing.T) {
	const jsonl = "\ufeff" + `{"text": "ab", "id": 7}

{"prompt": "x:", "completion": "yz"}
{"text": "é\n", "prompt": "ignored"}
`
	text, err := readLines(t, "a.JSONL", jsonl, Reading{Ended: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []Document{{End: 3}, {End: 8, Prompt: 2}, {End: 11}}
	if text.Text != "ab\nx:yz\né\n" || !reflect.DeepEqual(text.Documents, want) {
		t.Errorf("the text is %q with documents %v, expected %v", text.Text, text.Documents, want)
	}
	again, err := text.Source.Read(t.Context(), Reading{Fields: true, Ended: true})
	if err != nil || again.Text != text.Text || !reflect.DeepEqual(again.Documents, want) {
		t.Errorf("read again: %v, %v", again, err)
	}
	// Other files, and other names, are one document and no field is looked for.
	if plain, err := readLines(t, "a.txt", jsonl, Reading{}); err != nil || plain.Text != jsonl || plain.Documents != nil {
		t.Errorf("a plain text: %v, %v", plain, err)
	}
}

// The labels of a prompt do not count, and its last id has the label of the first
// id of the completion.
func TestPromptsAreMasked(t *testing.T) {
	text, err := readLines(t, "a.ndjson", `{"prompt": "ab", "completion": "cd"}`+"\n"+`{"prompt": "", "completion": "dc"}`+"\n", Reading{})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokens.Train(tokens.Char, "abcd", 0) // a, b, c, d are 0 to 3 or the like
	if err != nil {
		t.Fatal(err)
	}
	id := tok.Encode("abcd")
	d, err := text.Tokenize(t.Context(), tok, Form{Length: 8}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	const no = model.IgnoreIndex
	want := map[int64][2][]int64{
		id[0]: {{id[0], id[1], id[2]}, {no, id[2], id[3]}},
		id[3]: {{id[3], 0, 0}, {id[2], no, no}},
	}
	seen := map[int64]bool{}
	var b Batch
	for n := range 20 {
		d.draw(d.train, 1, model.NewStream(1, "test"), n, &b)
		ids, labels := b.int64s(role.Tokens), b.int64s(role.Labels)
		if w := want[ids[0]]; !slices.Equal(ids, w[0]) || !slices.Equal(labels, w[1]) {
			t.Fatalf("ids %v have labels %v, expected %v", ids, labels, w)
		}
		seen[ids[0]] = true
	}
	if len(seen) != 2 {
		t.Errorf("20 batches drew only %v", seen)
	}
	unmasked, err := readLines(t, "a.ndjson", `{"text": "abcd"}`+"\n"+`{"text": "dc"}`+"\n", Reading{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := (&Text{Text: unmasked.Text, Documents: []Document{{End: 4, Prompt: 1}, {End: 6}}}).Tokenize(t.Context(), tok, Form{Length: 8}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if other.SHA256() == d.SHA256() {
		t.Error("data with another prompt have the same hash")
	}
}

// Without prompts the documents follow one another, each with its end.
func TestDocumentsArePacked(t *testing.T) {
	text, err := readLines(t, "a.jsonl", strings.Repeat(`{"text": "abc"}`+"\n", 30), Reading{})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokens.Train(tokens.Char, "abc", 0)
	if err != nil {
		t.Fatal(err)
	}
	id := tok.Encode("abc")
	end := id[1] // any id
	d, err := text.Tokenize(t.Context(), tok, Form{Length: 4, End: &end}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.train.len(); n != 30*4*9/10-4 {
		t.Errorf("%d windows", n)
	}
	b := d.room(1)
	d.train.fill(3, b, 0)
	if got := b.int64s(role.Tokens); !slices.Equal(got, []int64{end, id[0], id[1], id[2]}) {
		t.Errorf("the window is %v", got)
	}
}

// Messages are rendered by the caller.
func TestMessages(t *testing.T) {
	text, err := readLines(t, "a.jsonl", `{"messages": [{"role": "user", "content": "hi"}]}`, Reading{Ended: true, Chat: func(messages []byte) ([]string, error) {
		var m []map[string]string
		err := json.Unmarshal(messages, &m)
		return []string{"<" + m[0]["content"] + ">", "ok", "<so>", "yes"}, err
	}})
	if err != nil || text.Text != "<hi>ok<so>yes" || !reflect.DeepEqual(text.Documents, []Document{{End: 13, Prompt: 4, Turns: []int{2, 4, 3}}}) {
		t.Errorf("%+v, %v", text, err)
	}
	tok, err := tokens.Train(tokens.Char, text.Text, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, err := text.Tokenize(t.Context(), tok, Form{Length: 16}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	b := d.room(1)
	d.train.fill(0, b, 0)
	learned, err := tok.Decode(slices.DeleteFunc(slices.Clone(b.int64s(role.Labels)), func(id int64) bool { return id == model.IgnoreIndex }))
	if err != nil || learned != "okyes" || d.context != 12 {
		t.Errorf("%q is learned of %d tokens, %v", learned, d.context, err)
	}
	refuse := func([]byte) ([]string, error) { return nil, errors.New("no such template") }
	if _, err := readLines(t, "a.jsonl", `{"messages": []}`, Reading{Chat: refuse}); err == nil || !strings.Contains(err.Error(), "line 1: no such template") {
		t.Error(err)
	}
}

func TestDocumentsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"text": "a"}` + "\n" + `{"text": "b`:                    "line 2, the last, is cut off",
		`{"text": "a"` + "\n" + `{"text": "b"}` + "\n":            "line 1 is no JSON object",
		`["text"]` + "\n":                                         "line 1 is no JSON object",
		`{"text": 7}` + "\n":                                      "line 1 is no JSON object",
		`{"prompt": "a"}` + "\n":                                  "a prompt and a completion belong together",
		`{"prompt": "a", "completion": ""}` + "\n":                "its completion is empty",
		`{"content": "a"}` + "\n":                                 `it has no "text"`,
		`{"messages": [{"role": "user", "content": "a"}]}` + "\n": "messages take a model's chat template",
		`{"text": "a\u0000"}` + "\n":                              "it holds a zero byte",
		"{\"text\": \"a\xff\"}\n":                                 "it is not UTF-8 text at byte 11",
		`{"text": ""}` + "\n":                                     "the text is empty",
	} {
		if _, err := readLines(t, "a.jsonl", text, Reading{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a.jsonl") {
			t.Errorf("%s: %v, expected %s", text, err, want)
		}
	}
}
