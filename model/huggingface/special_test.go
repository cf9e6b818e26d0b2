package huggingface_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// specialCase is a folder of testdata/special.json, which
// fixtures/oracle/special_golden.py made, and what transformers takes from it.
type specialCase struct {
	Config     map[string]json.RawMessage `json:"config"`
	Generation *string                    `json:"generation_config"`
	Tokenizer  *string                    `json:"tokenizer_config"`
	Map        *string                    `json:"special_tokens_map"`
	Want       struct {
		Refused string              `json:"refused"`
		End     []int64             `json:"eos"`
		Begin   *int64              `json:"bos"`
		Pad     *int64              `json:"pad"`
		Tokens  model.SpecialTokens `json:"tokens"`
	} `json:"want"`
}

// TestSpecial compares what is read of special ids and tokens with what
// transformers generates with.
func TestSpecial(t *testing.T) {
	tokenizer, err := os.ReadFile("../tokens/testdata/bpe.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/special.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []specialCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		name, _ := json.Marshal(c)
		folder := t.TempDir()
		config := map[string]json.RawMessage{"model_type": json.RawMessage(`"gpt2"`)}
		maps.Copy(config, c.Config)
		inConfig, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(filepath.Join(folder, "config.json"), inConfig, 0o666)
		for file, text := range map[string]*string{
			"generation_config.json": c.Generation, "tokenizer_config.json": c.Tokenizer, "special_tokens_map.json": c.Map,
		} {
			if text != nil {
				err = errors.Join(err, os.WriteFile(filepath.Join(folder, file), []byte(*text), 0o666))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := huggingface.ReadSpecial(folder, 400, tokenizer)
		switch {
		case err != nil && (strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), folder) || !strings.Contains(err.Error(), ".json: ")):
			t.Errorf("%s: %v, want one line that names the file", name, err)
		case c.stricter():
			if err == nil {
				t.Errorf("%s: read as %+v", name, got)
			}
		case (err != nil) != (c.Want.Refused != ""):
			t.Errorf("%s: %+v, %v", name, got, err)
		case err == nil:
			if want := (model.Special{End: c.Want.End, Begin: c.Want.Begin, Pad: c.Want.Pad, Tokens: c.Want.Tokens}); !slices.Equal(got.End, want.End) ||
				!reflect.DeepEqual(got.Begin, want.Begin) || !reflect.DeepEqual(got.Pad, want.Pad) || got.Tokens != want.Tokens {
				t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
			}
		}
	}
}

// stricter reports whether transformers takes a value for an id that is none:
// true for 1, and 198.7 for 198.
func (c specialCase) stricter() bool {
	return c.Generation != nil && (strings.Contains(*c.Generation, "true") || strings.Contains(*c.Generation, "198.7"))
}

// FuzzSpecial reads special ids from files of any content: what is accepted are
// ids of the model, and what is not is said in one line.
func FuzzSpecial(f *testing.F) {
	f.Add(`{"eos_token_id":[198,5,1e2]}`, `{"bos_token_id":[7.0,8],"pad_token_id":-1}`, `{"eos_token":{"content":"a"}}`, `{"unk_token":null}`)
	f.Add(`{}`, ``, `{"tokenizer_class":"GPT2Tokenizer","added_tokens_decoder":{}}`, `[`)
	const vocab = 200
	f.Fuzz(func(t *testing.T, config, generation, tokenizer, legacy string) {
		folder := t.TempDir()
		for name, text := range map[string]string{
			"config.json": config, "generation_config.json": generation, "tokenizer_config.json": tokenizer, "special_tokens_map.json": legacy,
		} {
			if text == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		s, err := huggingface.ReadSpecial(folder, vocab, []byte(`{}`))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			return
		}
		if err := s.Check(vocab); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	})
}
