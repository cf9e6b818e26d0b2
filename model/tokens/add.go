package tokens

import (
	"encoding/json"
	"fmt"

	"github.com/attnx/attnx/internal/quote"
)

// Add returns the tokenizer.json with further tokens, which take the next ids.
// Each is found in a text as it is written, before anything else is, and is
// decoded like any other. It rejects one that the tokenizer has already.
func Add(tokenizer []byte, contents ...string) ([]byte, error) {
	t, err := Parse(tokenizer)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(tokenizer, &members); err != nil {
		return nil, err // Parse has read it
	}
	var added []json.RawMessage
	if err := json.Unmarshal(members["added_tokens"], &added); members["added_tokens"] != nil && err != nil {
		return nil, err
	}
	next := len(t.ids)
	for _, content := range contents {
		if id, known := t.ids[content]; known {
			return nil, fmt.Errorf("tokens: the tokenizer has the token %.130q already, its id is %d", quote.Line(content, 120), id)
		}
		token, err := json.Marshal(map[string]any{
			"id": next, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false,
		})
		if err != nil {
			return nil, err
		}
		added = append(added, token)
		next++
	}
	if members["added_tokens"], err = json.Marshal(added); err != nil {
		return nil, err
	}
	out, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	_, err = Parse(out)
	return out, err
}
