package attnx_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
)

// talker returns a checkpoint with a chat template.
func talker(t *testing.T) string {
	t.Helper()
	c := must(model.Load(must(attnx.Train(t.Context(), attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "first"), Data: attnx.Corpus{Text: strings.Repeat("<user>hi;<assistant>abcdef;\n", 30)}, Engine: "gorgonia",
		Context: 64, Settings: oneStep(),
	})).Checkpoint))
	c.Train, c.ChatTemplate = nil, "{% for m in messages %}<{{ m.role }}>{{ m.content }};{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
	path := filepath.Join(t.TempDir(), "talker.safetensors")
	check(c.Save(path))
	return path
}

func oneStep() train.Options {
	o := train.DefaultOptions(1)
	o.Batch = 2
	return o
}

// file writes a file and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// A run of epochs over packed conversations, with data of its own for validation,
// resumes to the bit and finds both again. A token file of the conversations gives the
// same weights.
func TestTrainConversations(t *testing.T) {
	init := talker(t)
	const one = `{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "abc"}, {"role": "user", "content": "if"}, {"role": "assistant", "content": "de"}]}` + "\n"
	const other = `{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "fed"}]}` + "\n"
	data, val := file(t, "chats.jsonl", strings.Repeat(one+other, 9)+one), file(t, "val.jsonl", one+other)
	o := attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "whole"), Init: init, Data: attnx.Corpus{Files: []string{data}}, Val: attnx.Corpus{Files: []string{val}}, Engine: "gorgonia",
		Settings: train.DefaultOptions(1),
	}
	o.Settings.Steps, o.Settings.Warmup, o.Settings.EvalEvery, o.Settings.Epochs, o.Settings.Batch, o.Settings.Pack, o.Settings.Dropout = 0, 0, 0, 2, 2, true, 0.2
	whole := must(attnx.Train(t.Context(), o))
	// 10 conversations of 51 letters and 9 of 26 share rows of 65: 19 rows
	saved := must(train.Saved(whole.Model))
	if whole.Steps != 19 || saved.Epoch != 19 || saved.EvalEvery != 10 {
		t.Errorf("%d steps, %d examples in an epoch, an evaluation every %d", whole.Steps, saved.Epoch, saved.EvalEvery)
	}
	ctx, stop := context.WithCancel(t.Context())
	halted := o
	halted.Out += "2"
	halted.Events.Step = func(m attnx.Metric) {
		if m.Step == 7 {
			stop()
		}
	}
	if _, err := attnx.Train(ctx, halted); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	resumed := must(attnx.Resume(t.Context(), halted.Out, attnx.ResumeOptions{}))
	if !bytes.Equal(must(os.ReadFile(whole.Checkpoint)), must(os.ReadFile(resumed.Checkpoint))) {
		t.Error("the resumed run ended with other bytes")
	}
	ids := filepath.Join(t.TempDir(), "chats.safetensors")
	must(attnx.WriteTokens(t.Context(), attnx.TokensOptions{Out: ids, Data: o.Data, Tokenizer: init}))
	o.Out, o.Data.Files = o.Out+"3", []string{ids}
	if fromFile := must(attnx.Train(t.Context(), o)); fromFile.Model.Weights.Hash() != whole.Model.Weights.Hash() {
		t.Error("the token file gave other weights")
	}
	check(os.WriteFile(val, []byte(strings.ReplaceAll(one+other, "abc", "cba")), 0o600)) // as many bytes
	if _, err := attnx.Resume(t.Context(), halted.Out, attnx.ResumeOptions{Epochs: 3}); err == nil || !strings.Contains(err.Error(), attnx.GiveVal) {
		t.Errorf("changed data for validation: %v", err)
	}
}

func TestTrainConversationsRefuses(t *testing.T) {
	init := talker(t)
	for want, change := range map[string]func(*attnx.TrainOptions){
		"line 1: its messages have no answer of the assistant": func(o *attnx.TrainOptions) {
			o.Data.Files = []string{file(t, "a.jsonl", `{"messages": [{"role": "user", "content": "hi"}]}`)}
		},
		"line 1: its messages are no list": func(o *attnx.TrainOptions) {
			o.Data.Files = []string{file(t, "a.jsonl", `{"messages": [{"role": "user", "content": ["hi"]}]}`)}
		},
		"start from a model that has one": func(o *attnx.TrainOptions) {
			o.Init, o.Data.Files = "", []string{file(t, "a.jsonl", `{"messages": [{"role": "assistant", "content": "hi"}]}`)}
		},
		"the steps follow from the epochs": func(o *attnx.TrainOptions) { o.Settings.Epochs = 2 },
		"Val: ":                            func(o *attnx.TrainOptions) { o.Val.Files = []string{"nowhere.txt"} },
		"too short for context 64: it takes 65": func(o *attnx.TrainOptions) {
			o.Val.Files = []string{file(t, "short.txt", "hi")}
		},
	} {
		o := attnx.TrainOptions{Out: filepath.Join(t.TempDir(), "run"), Init: init, Data: attnx.Corpus{Files: []string{file(t, "t.txt", strings.Repeat("hi;", 300))}}, Settings: oneStep(), Engine: "gorgonia"}
		change(&o)
		if _, err := attnx.Train(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, expected %s", err, want)
		}
	}
}
