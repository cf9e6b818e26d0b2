package huggingface

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

// oneLine checks the message of an error.
func oneLine(t *testing.T, err error) {
	if s := err.Error(); len(s) > 600 || strings.ContainsAny(s, "\n\x00\x1b") {
		t.Errorf("the message is not one short line: %q", s)
	}
}

// lenient parses JSON as the standard library does.
func lenient(t *testing.T, text []byte, into any) {
	if err := json.Unmarshal(text, into); err != nil {
		t.Errorf("%q was accepted: %v", text, err)
	}
}

// FuzzIndex parses indexes of any text. Nothing may panic; what is accepted
// must mean the same to a lenient parser, and name files of the folder only.
func FuzzIndex(f *testing.F) {
	text, err := fixtures.FS.ReadFile("transformers_gpt2/sharded/" + indexName)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, s := range []string{
		`{"weight_map":{"a":"b.safetensors"}}`, `{"metadata":{"total_size":1},"weight_map":{"a":"b.safetensors","\u0062":"\u0063.safetensors"}}`,
		`{"weight_map":{"a":"../b.safetensors"}}`, `{"weight_map":{"a":"b\u0000.safetensors"}}`, `{"weight_map":{"a":1}}`, `{"metadata":null,"weight_map":[]}`, `{`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := parseIndex(text)
		if err != nil {
			oneLine(t, err)
			return
		}
		// Maps, because a struct takes WEIGHT_MAP for weight_map.
		var members map[string]json.RawMessage
		lenient(t, text, &members)
		var place map[string]string
		lenient(t, members["weight_map"], &place)
		if !maps.Equal(x.place, place) {
			t.Errorf("%q: got %q", text, x.place)
		}
		if files := slices.Sorted(maps.Values(x.place)); !slices.Equal(slices.Compact(files), slices.Sorted(slices.Values(x.files))) {
			t.Errorf("%q: the files are %q", text, x.files)
		}
		for _, file := range x.files {
			if strings.ContainsAny(file, "/\\:\x00") || !strings.HasSuffix(file, ".safetensors") {
				t.Errorf("%q: the file %q", text, file)
			}
		}
	})
}

// FuzzConfig parses configurations of any text. Nothing may panic; what is
// accepted must be a network, with the sizes that a lenient parser reads, and
// must survive being written again.
func FuzzConfig(f *testing.F) {
	for _, folder := range []string{"whole", "half"} {
		text, err := fixtures.FS.ReadFile("transformers_gpt2/" + folder + "/" + configName)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{
		`{"model_type":"gpt2","vocab_size":61,"n_ctx":16,"n_embd":24,"n_layer":2,"n_head":3}`,
		`{"model_type":"simple","vocab_size":61,"n_positions":16,"n_embd":24,"n_layer":1,"n_head":3,"n_inner":5,"position_embeddings":false,"layer_norm_epsilon":0}`,
		`{"model_type":"llama","vocab_size":61,"hidden_size":24,"intermediate_size":5,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,` +
			`"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":16},"rope_theta":500000}`,
		`{"model_type":"qwen2","vocab_size":61,"hidden_size":24,"intermediate_size":5,"num_hidden_layers":2,"num_attention_heads":4,"use_sliding_window":true,"sliding_window":3,` +
			`"max_window_layers":1,"rope_parameters":{"rope_type":"yarn","rope_theta":100,"factor":2,"truncate":false}}`,
		`{"model_type":"qwen3","vocab_size":61,"hidden_size":24,"intermediate_size":5,"num_hidden_layers":2,"num_attention_heads":4,"layer_types":["full_attention","sliding_attention"],"sliding_window":3,"use_sliding_window":true}`,
		`{"model_type":"mistral","vocab_size":61,"hidden_size":24,"intermediate_size":5,"num_hidden_layers":2,"num_attention_heads":4,"sliding_window":3,"rope_scaling":{"type":"linear","factor":2}}`,
		`{"model_type":"gpt2","activation_function":"relu"}`, `{"a":{"b":[1,{}]}}`, `{`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := ParseConfig(text)
		if err != nil {
			oneLine(t, err)
			return
		}
		if err := n.(interface{ Check() error }).Check(); err != nil {
			t.Errorf("%q was accepted: %v", text, err)
		}
		read, err := parseConfig(text)
		if err != nil {
			t.Fatal(err)
		}
		own, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		var members, kept map[string]json.RawMessage
		lenient(t, text, &members)
		lenient(t, own, &kept)
		for _, name := range []string{"vocab_size", "n_embd", "n_layer", "n_head", "n_positions", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"} {
			if given, ok := members[name]; ok && kept[name] != nil && string(given) != "null" && string(given) != string(kept[name]) {
				t.Errorf("%q: %s is %s", text, name, kept[name])
			}
		}
		again, err := encodeConfig(read.family, n, format.Float32, &model.Special{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseConfig(again); err != nil || back != n {
			t.Errorf("%q: written as %s, read as %+v, %v", text, again, back, err)
		}
	})
}

// Names of a file's members are shown on one line.
func TestNamesOnOneLine(t *testing.T) {
	bad := "a\nb\x1b" + strings.Repeat("c", 1000)
	o := object{bad: []byte(`"x"`)}
	_, ids := addedIDs(o)
	_, setting := o.settle(nil)
	_, number := o.number(bad, 0)
	_, flag := o.flag(bad, false)
	for _, err := range []error{ids, setting, number, flag} {
		if err == nil {
			t.Fatal("no error")
		}
		oneLine(t, err)
	}
}
