package huggingface_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// generationCases are files with the settings of a generation, and what
// transformers 5.24 takes of them.
var generationCases = map[string]struct {
	generation string // generation_config.json; none if empty
	config     map[string]any
	want       string
}{
	"all": {`{"eos_token_id":3,"do_sample":true,"temperature":0.7,"top_k":5,"top_p":0.9,"repetition_penalty":1.2,"max_new_tokens":4,"a":null,"b":[1]}`, nil,
		`{"b":[1],"do_sample":true,"max_new_tokens":4,"repetition_penalty":1.2,"temperature":0.7,"top_k":5,"top_p":0.9}`},
	"of config.json": {"", map[string]any{"temperature": 0.7, "do_sample": true, "max_length": 7}, `{"do_sample":true,"max_length":7,"temperature":0.7}`},
	"not of both":    {`{"eos_token_id":3}`, map[string]any{"temperature": 0.7, "do_sample": true}, ""},
	"none":           {"", nil, ""},
	"defaults":       {`{"eos_token_id":3,"output_attentions":false,"output_hidden_states":false,"use_cache":true}`, nil, ""},
	"of export":      {`{"bos_token_id":null,"eos_token_id":null,"pad_token_id":null,"do_sample":false}`, nil, ""},
}

// Settings of a generation survive the way through a checkpoint.
func TestGeneration(t *testing.T) {
	var before, after []string
	for name, c := range generationCases {
		folder := unpacked(t, "whole")
		os.Remove(filepath.Join(folder, "generation_config.json"))
		if c.generation != "" {
			put(t, filepath.Join(folder, "generation_config.json"), []byte(c.generation))
		}
		edit(t, filepath.Join(folder, "config.json"), c.config)
		read, _ := mustRead(t, folder)
		path, out := filepath.Join(t.TempDir(), "c.safetensors"), filepath.Join(t.TempDir(), "out")
		if err := read.Save(path); err != nil {
			t.Fatal(err)
		}
		back, err := model.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(back.Special.Generation); got != c.want {
			t.Errorf("%s: the checkpoint has %s, want %s", name, got, c.want)
		}
		if _, err := huggingface.Write(out, back, format.Float32); err != nil {
			t.Fatal(err)
		}
		if again, _ := mustRead(t, out); string(again.Special.Generation) != c.want {
			t.Errorf("%s: the folder has %s, want %s", name, again.Special.Generation, c.want)
		}
		before, after = append(before, folder), append(after, out)
	}
	if python := os.Getenv("ATTNX_PYTHON"); python == "" || exec.Command(python, "-c", "import torch, transformers").Run() != nil {
		t.Skip("ATTNX_PYTHON does not name a Python with transformers: it is not asked")
	}
	all := generates(t, append(before, after...))
	for i, want := range all[:len(before)] {
		if got := all[len(before)+i]; !reflect.DeepEqual(got, want) {
			t.Errorf("transformers generates by %v, before by %v", got, want)
		}
	}
}

// generates returns the settings by which transformers generates with the models
// of folders.
func generates(t *testing.T, folders []string) (settings []map[string]any) {
	t.Helper()
	const script = "import sys, json, transformers\n" +
		"print(json.dumps([transformers.GPT2LMHeadModel.from_pretrained(f).generation_config.to_dict() for f in sys.argv[1:]]))\n"
	cmd := exec.Command(os.Getenv("ATTNX_PYTHON"), append([]string{"-B", "-c", script}, folders...)...)
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	if err := json.Unmarshal(out, &settings); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, s := range settings {
		for name, value := range s { // false is what transformers does where nothing is said
			if value == nil || value == false || name == "_from_model_config" || name == "use_cache" {
				delete(s, name)
			}
		}
	}
	return settings
}
