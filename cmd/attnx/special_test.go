package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/texts"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime/decode"
)

// special returns a model with special ids that no spelling shows, and the path
// where it is saved.
func special(t *testing.T) (*model.Checkpoint, string) {
	t.Helper()
	tok := trainedOn(t, tokens.BPE)
	c, path := spread(t, "gpt2", tok)
	begin, pad := int64(5), int64(9)
	c.Special = &model.Special{
		End: []int64{264, 3, 77}, Begin: &begin, Pad: &pad,
		Tokens: model.SpecialTokens{Begin: tok.Token(5), End: tok.Token(77), Pad: tok.Token(9), Unknown: tok.Token(1)},
	}
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	return c, path
}

// TestSpecialSurvives takes a model through every command that reads one form
// of it and writes another: the special ids stay.
func TestSpecialSurvives(t *testing.T) {
	c, path := special(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, args := range [][]string{
		{"convert", path, "-o", at("hf")},
		{"convert", at("hf"), "-o", at("of-hf.safetensors")},
		{"export", path, "-o", at("folder") + "/"},
		{"export", path, "-o", at("web") + "/", "--web"},
		{"export", path, "-o", at("plain.onnx")},
		{"convert", at("folder"), "-o", at("of-folder.safetensors")},
		{"convert", at("folder/model.onnx"), "-o", at("of-onnx.safetensors")},
		{"convert", at("web"), "-o", at("of-web.safetensors")},
		{"convert", at("plain.onnx"), "-o", at("of-plain.safetensors")},
		{"average", path, at("of-hf.safetensors"), "-o", at("mean.safetensors")},
		{"reseal", path, "-o", at("resealed.safetensors")},
		{"export", path, "--triton", at("repository")},
	} {
		attnxRun(t, exitOK, args...)
	}
	for _, name := range []string{"of-hf", "of-folder", "of-onnx", "of-web", "of-plain", "mean", "resealed"} {
		got, err := model.Load(at(name + ".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Special, c.Special) {
			t.Errorf("%s has %+v, want %+v", name, got.Special, c.Special)
		}
	}
	// A trainer continues with them.
	data, err := train.FromText(strings.Repeat(folderText, 5), trainedOn(t, tokens.BPE), 8)
	if err != nil {
		t.Fatal(err)
	}
	o := train.DefaultOptions(1)
	o.Batch = 1
	reached, err := gorgonia.Fit(t.Context(), c, data, o, nil)
	if err != nil || !reflect.DeepEqual(reached.Special, c.Special) {
		t.Errorf("training ends with %+v, %v", reached.Special, err)
	}
	for _, folder := range []string{"hf", "folder", "web"} {
		for file, want := range map[string]string{
			"config.json":            `"bos_token_id":5,"eos_token_id":[264,3,77],"pad_token_id":9`,
			"generation_config.json": `"bos_token_id":5,"eos_token_id":[264,3,77],"pad_token_id":9`,
			"genai_config.json":      `"bos_token_id":5,"eos_token_id":[264,3,77],"pad_token_id":9`,
			"tokenizer_config.json":  fmt.Sprintf(`"bos_token":%q,"eos_token":%q,"pad_token":%q,"unk_token":%q`, c.Special.Tokens.Begin, c.Special.Tokens.End, c.Special.Tokens.Pad, c.Special.Tokens.Unknown),
		} {
			if folder == "hf" && file == "genai_config.json" {
				continue
			}
			wantText(t, at(filepath.Join(folder, file)), want)
		}
	}
	wantText(t, filepath.Join(dir, "repository", "m", "config.pbtxt"),
		`parameters{key:"eos_token_id"value:{string_value:"[264,3,77]"}}parameters{key:"bos_token_id"value:{string_value:"5"}}parameters{key:"pad_token_id"value:{string_value:"9"}}`)
}

// wantText checks that a file holds a text, white space aside.
func wantText(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(string(text)), ""); !strings.Contains(got, want) {
		t.Errorf("%s has no %s: %s", path, want, got)
	}
}

// TestSpelledSpecial loads a checkpoint that says nothing of special ids, as
// those of older versions: <|endoftext|> ends its texts in every form.
func TestSpelledSpecial(t *testing.T) {
	c, path := spread(t, "gpt2", trainedOn(t, tokens.BPE))
	folder := filepath.Join(t.TempDir(), "folder")
	attnxRun(t, exitOK, "convert", path, "-o", folder)
	about, _, err := huggingface.ReadAbout(folder)
	if err != nil {
		t.Fatal(err)
	}
	got := about.Special
	end := int64(c.Vocab() - 1) // Train puts it last
	if !slices.Equal(got.End, []int64{end}) || got.Tokens.End != tokens.EndOfText {
		t.Errorf("a folder of it says %+v", got)
	}
	l, err := attnx.Open(path, attnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !slices.Equal(l.End, []int64{end}) {
		t.Errorf("generate ends at %v", l.End)
	}
}

// pythonTransformers runs fixtures/oracle/gpt2_transformers.py on questions.
func pythonTransformers(t *testing.T, questions any) (answers [][]int64) {
	t.Helper()
	python := interpreter([]string{"ATTNX_PYTHON"}, "torch, transformers")
	if python == "" {
		t.Skip("NOT ASKED: ATTNX_PYTHON names no Python that has torch and transformers")
	}
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-B", "../../fixtures/oracle/gpt2_transformers.py", "--continue")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr, cmd.Env = bytes.NewReader(in), &stderr, append(os.Environ(), "HF_HUB_OFFLINE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return answers
}

// TestGenerateAsTransformers has transformers and attnx continue texts with
// folders whose files say different things of what ends a text, with what attnx
// exports of them, with penalties and with stop strings: the same ids.
func TestGenerateAsTransformers(t *testing.T) {
	if _, err := onnxRuntime(t); err != nil {
		t.Skip("no ONNX Runtime")
	}
	tok := trainedOn(t, tokens.BPE)
	_, path := spread(t, "gpt2", tok)
	const prompt = "the quick"
	free := generatedIDs(t, path, "--prompt", prompt, "--max-tokens", "12")
	a, b, c := free[2], free[5], free[9]
	type question struct {
		Folder  string         `json:"folder"`
		IDs     []int64        `json:"ids"`
		Options map[string]any `json:"options"`
	}
	var questions []question
	var got []texts.Text
	ask := func(folder string, options map[string]any, from []string, args ...string) {
		options["max_new_tokens"] = 12
		for _, f := range from {
			questions = append(questions, question{folder, tok.Encode(prompt), options})
			got = append(got, generated(t, f, append(args, "--prompt", prompt, "--max-tokens", "12")...).Texts[0])
		}
	}
	for name, files := range map[string]map[string]string{
		"number":    {"config.json": fmt.Sprintf(`{"eos_token_id": %d}`, a)},
		"list":      {"config.json": fmt.Sprintf(`{"eos_token_id": [%d, %d]}`, c, b)},
		"above":     {"config.json": fmt.Sprintf(`{"eos_token_id": %d}`, a), "generation_config.json": fmt.Sprintf(`{"eos_token_id": [%d, 99999, %d], "pad_token_id": 0}`, c, b)},
		"none":      {"config.json": fmt.Sprintf(`{"eos_token_id": %d}`, a), "generation_config.json": `{}`},
		"null":      {"config.json": `{"eos_token_id": null, "bos_token_id": null}`, "tokenizer_config.json": fmt.Sprintf(`{"eos_token": %q}`, tok.Token(a))},
		"elsewhere": {"generation_config.json": `{"eos_token_id": [-1, 99999]}`},
		// A token for padding was added, and the model was not resized.
		"larger": {
			"config.json":    fmt.Sprintf(`{"eos_token_id": %d, "pad_token_id": %d}`, b, tok.VocabSize()),
			"tokenizer.json": fmt.Sprintf(`{"added_tokens": [%s, %s]}`, addedToken(tok.VocabSize()-1, tokens.EndOfText), addedToken(tok.VocabSize(), "[PAD]")),
		},
	} {
		folder := filepath.Join(t.TempDir(), name)
		attnxRun(t, exitOK, "convert", path, "-o", folder)
		os.Remove(filepath.Join(folder, "generation_config.json"))
		for file, text := range files {
			amend(t, filepath.Join(folder, file), text)
		}
		dir := t.TempDir()
		attnxRun(t, exitOK, "export", folder, "-o", filepath.Join(dir, "out")+"/")
		attnxRun(t, exitOK, "export", folder, "-o", filepath.Join(dir, "m.onnx"))
		attnxRun(t, exitOK, "convert", folder, "-o", filepath.Join(dir, "m.safetensors"))
		ask(folder, map[string]any{}, []string{folder, filepath.Join(dir, "out"), filepath.Join(dir, "out", "model.onnx"), filepath.Join(dir, "m.onnx"), filepath.Join(dir, "m.safetensors")})
		ask(filepath.Join(dir, "out"), map[string]any{}, []string{folder})
		if name == "null" {
			ask(folder, map[string]any{"repetition_penalty": 1.5}, []string{folder}, "--repetition-penalty", "1.5")
			readable := func(id int64) bool { return tok.Token(id) < "\x7f" } // not a part of a character
			at := 1 + slices.IndexFunc(free[1:], readable)
			stop := tok.Token(free[at])
			ask(folder, map[string]any{"stop_strings": []string{stop}}, []string{folder}, "--stop", stop)
			if r := got[len(got)-1]; len(r.IDs) != at+1 || r.StopReason != decode.StopString || strings.Contains(r.Text, stop) {
				t.Errorf("--stop %q: %+v", stop, r)
			}
		}
	}
	for i, want := range pythonTransformers(t, questions) {
		ids := got[i].IDs
		if got[i].StopReason == decode.StopToken && len(want) > 0 {
			want = want[:len(want)-1] // transformers gives the id that ended the text
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%v: attnx continues with %v, %s; transformers with %v", questions[i], ids, got[i].StopReason, want)
		}
	}
}

func addedToken(id int, content string) string {
	return fmt.Sprintf(`{"id":%d,"content":%q,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}`, id, content)
}

// A token that the model does not know is refused where a text has it.
func TestTokenBeyondModel(t *testing.T) {
	tok := trainedOn(t, tokens.BPE)
	_, path := spread(t, "gpt2", tok)
	folder := filepath.Join(t.TempDir(), "folder")
	attnxRun(t, exitOK, "convert", path, "-o", folder)
	amend(t, filepath.Join(folder, "tokenizer.json"), fmt.Sprintf(`{"added_tokens": [%s]}`, addedToken(tok.VocabSize(), "[PAD]")))
	attnxRun(t, exitOK, "generate", folder, "--prompt", "the quick", "--max-tokens", "2")
	for _, args := range [][]string{{"generate", folder, "--prompt", "the [PAD]"}, {"attention", folder, "--text", "the [PAD]"}} {
		want := fmt.Sprintf(`%s: the token "[PAD]" has the id %d, but the model's ids are from 0 to %d: leave it out`, args[2], tok.VocabSize(), tok.VocabSize()-1)
		if got := attnxRun(t, exitUsage, args...); !strings.Contains(got, want) {
			t.Errorf("%v: %s", args, got)
		}
	}
}

// amend puts members into a JSON file, which need not be there.
func amend(t *testing.T, path, members string) {
	t.Helper()
	o := map[string]any{}
	if text, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(text, &o); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal([]byte(members), &o); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
}

// generated runs generate on a model and returns its report.
func generated(t *testing.T, path string, args ...string) (r texts.Report) {
	t.Helper()
	var stdout, stderr strings.Builder
	if code := run(append([]string{"generate", path, "--json"}, args...), strings.NewReader(""), &stdout, &stderr); code != exitOK {
		t.Fatalf("generate %s: exit code %d: %s", path, code, &stderr)
	}
	if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func generatedIDs(t *testing.T, path string, args ...string) []int64 {
	t.Helper()
	return generated(t, path, args...).Texts[0].IDs
}

// TestTransformersGolden continues ids with a GPT-2 that transformers wrote, as
// transformers did: with penalties and with ids that end a text.
func TestTransformersGolden(t *testing.T) {
	text, err := fixtures.FS.ReadFile("transformers_gpt2/generate.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		IDs, New []int64
		Options  struct {
			Tokens  int     `json:"max_new_tokens"`
			Penalty float64 `json:"repetition_penalty"`
			End     any     `json:"eos_token_id"`
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.CopyFS(folder, fixtures.FS); err != nil {
		t.Fatal(err)
	}
	c, _, err := huggingface.Read(filepath.Join(folder, "transformers_gpt2", "whole"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := gorgonia.NewForward(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, q := range all {
		var end []int64
		switch e := q.Options.End.(type) {
		case float64:
			end = []int64{int64(e)}
		case []any:
			for _, id := range e {
				end = append(end, int64(id.(float64)))
			}
		}
		if q.Options.Penalty == 0 {
			q.Options.Penalty = 1
		}
		pick := func(logits []float32, text []int64, _, step int) (int, error) {
			model.RepetitionPenalty(q.Options.Penalty).Apply(logits, text)
			return model.Sampler{}.Pick(logits, step)
		}
		out, err := decode.Generate(t.Context(), decode.Recompute(s, 1, c.Context()), [][]int64{q.IDs},
			decode.GenerateOptions{MaxTokens: q.Options.Tokens, Pick: pick, Stop: end})
		if err != nil {
			t.Fatal(err)
		}
		got := out[0].IDs
		if out[0].Reason == decode.StopToken {
			q.New = q.New[:len(q.New)-1] // transformers gives the id that ended the text
		}
		if !slices.Equal(got, q.New) {
			t.Errorf("%v %+v: continues with %v, want %v", q.IDs, q.Options, got, q.New)
		}
	}
}

// TestStopStrings ends texts at strings that the model is known to write: alone
// as they stream, in a batch, and as JSON.
func TestStopStrings(t *testing.T) {
	_, path := spread(t, "gpt2", trainedOn(t, tokens.Char))
	out := func(args ...string) string {
		var stdout, stderr strings.Builder
		args = append([]string{"generate", path, "--max-tokens", "12"}, args...)
		if code := run(args, strings.NewReader(""), &stdout, &stderr); code != exitOK {
			t.Fatalf("attnx %s: exit code %d: %s", strings.Join(args, " "), code, &stderr)
		}
		return stdout.String()
	}
	const prompt, other = "the quick", "brown"
	free, beside := strings.TrimSuffix(out("--prompt", prompt), "\n"), generated(t, path, "--max-tokens", "12", "--prompt", other).Texts[0].Text
	for from := 0; from < len(free); from += fixtures.Stride(3) {
		for to := from + 1; to <= min(len(free), from+4); to++ {
			stop := free[from:to]
			want := free[:strings.Index(free, stop)]
			if got := out("--prompt", prompt, "--stop", stop, "--stop", "never there"); got != want+"\n" {
				t.Fatalf("--stop %q: %q, want %q of %q", stop, got, want, free)
			}
		}
	}
	stop := free[3:5]
	want := free[:strings.Index(free, stop)]
	if cut, _, found := strings.Cut(beside, stop); found {
		beside = cut
	}
	if got, want := out("--prompt", prompt, "--prompt", other, "--stop", stop), fmt.Sprintf("%q continues:\n%s\n%q continues:\n%s\n", prompt, want, other, beside); got != want {
		t.Errorf("in a batch: %q, want %q", got, want)
	}
	r := generated(t, path, "--max-tokens", "12", "--prompt", prompt, "--stop", stop).Texts[0]
	if r.Text != want || r.StopReason != decode.StopString || r.NewTokens != len(want)+len(stop) || len(r.IDs) != r.NewTokens {
		t.Errorf("%+v, want the text %q", r, want)
	}
	// What could begin a string is held back, and shown where the text ends.
	if got := out("--prompt", prompt, "--stop", free[len(free)-2:]+"?"); got != free+"\n" {
		t.Errorf("%q, want %q", got, free)
	}
}
