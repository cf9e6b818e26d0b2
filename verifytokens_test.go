package attnx

import (
	"encoding/json"
	"testing"
)

// What transformers 4.57 and 5.24 write when they save a tokenizer again changes
// no id of a GPT-2; the other fields do, in both.
func TestSameTokens(t *testing.T) {
	added := addedIn([]byte(`{"added_tokens": [{"id": 5, "content": "<|endoftext|>"}]}`))
	for _, c := range []struct {
		field, have string
		same        bool
	}{
		{"added_tokens_decoder", `{"5": {"content": "<|endoftext|>", "special": true}}`, true},
		{"added_tokens_decoder", `{"4": {"content": "<|endoftext|>"}}`, false},
		{"added_tokens_decoder", `{"3": {"content": "e"}}`, false},
		{"extra_special_tokens", `{}`, true},
		{"extra_special_tokens", `["<|endoftext|>"]`, true},
		{"additional_special_tokens", `[{"content": "re"}]`, false},
		{"extra_special_tokens", `{"image": "e"}`, false},
		{"add_prefix_space", `false`, true},
		{"add_prefix_space", `true`, false},
		{"eos_token", `null`, true},
		{"eos_token", `"e"`, false},
	} {
		var have any
		if err := json.Unmarshal([]byte(c.have), &have); err != nil {
			t.Fatal(err)
		}
		allowed := namesNoToken(c.field) && !changesIDs(c.field) || added.same(c.field, have, nil)
		if allowed != c.same {
			t.Errorf("%s: %s: not %t", c.field, c.have, c.same)
		}
	}
}
