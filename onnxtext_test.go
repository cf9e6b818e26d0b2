package attnx

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/role"
)

// wordTokenizer is a tokenizer.json of five words with a token before and after each
// text. Python's tokenizers gives [1 4 5 2] for "the cat".
const wordTokenizer = `{"version":"1.0","truncation":null,"padding":null,"added_tokens":[
{"id":0,"content":"[PAD]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
{"id":1,"content":"[CLS]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
{"id":2,"content":"[SEP]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],
"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[1],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[2],"tokens":["[SEP]"]}}},
"decoder":null,"model":{"type":"WordLevel","vocab":{"[PAD]":0,"[CLS]":1,"[SEP]":2,"[UNK]":3,"the":4,"cat":5,"dog":6},"unk_token":"[UNK]"}}`

// textInputs writes a file with the inputs of a text, of a length that may be fixed,
// and a table of so many rows.
func textInputs(t *testing.T, length onnx.Dim, rows int64) string {
	t.Helper()
	g := &onnx.Graph{Name: "g", Initializers: []*onnx.Tensor{{Name: "table", DataType: onnx.Float, Dims: []int64{rows, 1}, Raw: make([]byte, 4*rows)}}}
	for i, k := range []role.Kind{role.Tokens, role.AttentionMask, role.Positions, role.Segments} {
		name := k.Name()
		g.Inputs = append(g.Inputs, onnx.ValueInfo{Name: name, DataType: onnx.Int64, Dims: []onnx.Dim{{Open: true, Param: "B"}, length}})
		n := &onnx.Node{Op: "Identity", Inputs: []string{name}, Outputs: []string{name + "_out"}}
		out := onnx.ValueInfo{Name: name + "_out", DataType: onnx.Int64, NoShape: true}
		if i == 0 {
			n.Op, n.Inputs, out.DataType = "Gather", []string{"table", name}, onnx.Float
		}
		g.Nodes, g.Outputs = append(g.Nodes, n), append(g.Outputs, out)
	}
	return writeModel(t, filepath.Join(t.TempDir(), "model.onnx"), g)
}

// A text fills the ids, and what goes with them.
func TestTextAsInput(t *testing.T) {
	open := onnx.Dim{Open: true, Param: "T"}
	ids := role.Tokens.Name()
	beside := func(path string) string {
		noError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "tokenizer.json"), []byte(wordTokenizer), 0o666))
		return path
	}
	for name, c := range map[string]struct {
		path    string
		input   File
		want    map[role.Kind][]int64
		refused string
	}{
		"open":      {beside(textInputs(t, open, 9)), File{ids, "text:the cat"}, map[role.Kind][]int64{role.Tokens: {1, 4, 5, 2}, role.AttentionMask: {1, 1, 1, 1}, role.Positions: {0, 1, 2, 3}, role.Segments: {0, 0, 0, 0}}, ""},
		"padded":    {beside(textInputs(t, onnx.Dim{Value: 6}, 9)), File{ids, "text:the dog"}, map[role.Kind][]int64{role.Tokens: {1, 4, 6, 2, 0, 0}, role.AttentionMask: {1, 1, 1, 1, 0, 0}, role.Positions: {0, 1, 2, 3, 4, 5}, role.Segments: {0, 0, 0, 0, 0, 0}}, ""},
		"too long":  {beside(textInputs(t, onnx.Dim{Value: 3}, 9)), File{ids, "text:the dog"}, nil, `takes 3 tokens, the text has 4: shorten it`},
		"no id":     {beside(textInputs(t, open, 6)), File{ids, "text:the dog"}, nil, `the token "dog" has the id 6, but the model's ids are from 0 to 5`},
		"none":      {textInputs(t, open, 9), File{ids, "text:the dog"}, nil, `there is no tokenizer.json beside it: name a tokenizer.json`},
		"mask":      {beside(textInputs(t, open, 9)), File{role.AttentionMask.Name(), "text:the dog"}, nil, `goes beside the ids of a text`},
		"no input":  {beside(textInputs(t, open, 9)), File{"words", "text:the dog"}, nil, `it has no input "words"`},
		"no number": {beside(smallModel(t)), File{"image", "text:the dog"}, nil, `the ids of a text are integers`},
	} {
		x, err := readONNX(c.path)
		noError(t, err)
		given, from, err := x.readInputs(Files{c.input}, "")
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		noError(t, err)
		for k, want := range c.want {
			got, err := given[k.Name()].Int64s()
			if err != nil || !slices.Equal(got, want) || from[k.Name()] == "" {
				t.Errorf("%s: %s is %v, %v", name, k.Name(), got, err)
			}
		}
	}
}

// The tokenizer is beside the file, above a folder onnx, or where it is named.
func TestTokenizerOfAText(t *testing.T) {
	folder := t.TempDir()
	noError(t, os.Mkdir(filepath.Join(folder, "onnx"), 0o777))
	data, err := os.ReadFile(textInputs(t, onnx.Dim{Open: true, Param: "T"}, 9))
	noError(t, err)
	path := filepath.Join(folder, "onnx", "model.onnx")
	noError(t, os.WriteFile(path, data, 0o666))
	noError(t, os.WriteFile(filepath.Join(folder, "tokenizer.json"), []byte(wordTokenizer), 0o666))
	text := filepath.Join(folder, "words.txt")
	noError(t, os.WriteFile(text, []byte("the cat"), 0o666))
	x, err := readONNX(path)
	noError(t, err)
	for _, tokenizer := range []string{"", folder, filepath.Join(folder, "tokenizer.json")} {
		given, _, err := x.readInputs(Files{{role.Tokens.Name(), text}}, tokenizer)
		if err != nil || len(given) != 4 {
			t.Errorf("%q: %v, %v", tokenizer, given, err)
		}
	}
	if _, _, err := x.readInputs(nil, folder); err == nil || !strings.Contains(err.Error(), "a tokenizer is for an input that is a text") {
		t.Errorf("%v", err)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
