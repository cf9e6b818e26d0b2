package attnx

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/compare"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/runtime"
)

// addedTokens are the added tokens of a tokenizer.json and their ids.
type addedTokens map[string]int64

func addedIn(tokenizer []byte) addedTokens {
	var t struct {
		Added []struct {
			Content string
			ID      int64
		} `json:"added_tokens"`
	}
	if json.Unmarshal(tokenizer, &t) != nil {
		return nil
	}
	added := addedTokens{}
	for _, a := range t.Added {
		added[a.Content] = a.ID
	}
	return added
}

// changesIDs reports whether a field of tokenizer_config.json that the exporter
// does not write may change the ids of a text.
func changesIDs(field string) bool {
	return field == "add_prefix_space" || field == "added_tokens_decoder" || strings.HasPrefix(field, "added_tokens_decoder.") || strings.HasSuffix(field, "_special_tokens")
}

// same allows what transformers 4 and 5 add to tokenizer_config.json: the two
// class names for reading tokenizer.json, and fields that change no id, such as
// lists of tokens that tokenizer.json adds anyway.
func (added addedTokens) same(field string, have, want any) bool {
	one := func(v any) bool { return v == "PreTrainedTokenizerFast" || v == "TokenizersBackend" }
	switch {
	case want != nil:
		return field == "tokenizer_class" && one(have) && one(want)
	case have == nil || have == false:
		return true
	case field == "added_tokens_decoder":
		ids, _ := have.(map[string]any)
		for id, token := range ids {
			known, ok := added[contentOf(token)]
			if !ok || strconv.FormatInt(known, 10) != id {
				return false
			}
		}
		return ids != nil
	case strings.HasSuffix(field, "_special_tokens"):
		list, ok := have.([]any)
		if names, named := have.(map[string]any); named {
			ok = len(names) == 0
		}
		return ok && !slices.ContainsFunc(list, func(token any) bool {
			_, known := added[contentOf(token)]
			return !known
		})
	}
	return false
}

// contentOf returns the text of a token: a string, or the content of an object.
func contentOf(token any) string {
	if o, ok := token.(map[string]any); ok {
		token = o["content"]
	}
	text, _ := token.(string)
	return text
}

// compareTokenFiles compares the files in which older tools name tokens, if the
// folder has them. Their contents must agree with the files that the exporter
// writes.
func compareTokenFiles(folder string, texts []store.File, added addedTokens) ([]runtime.Check, error) {
	var config map[string]any
	for _, file := range texts {
		if file.Name == "tokenizer_config.json" {
			var text bytes.Buffer
			if err := file.Write(&text); err != nil {
				return nil, err
			}
			if err := json.Unmarshal(text.Bytes(), &config); err != nil {
				return nil, err
			}
		}
	}
	var checks []runtime.Check
	for name, same := range map[string]func(field string, have, want any) bool{
		"special_tokens_map.json": func(field string, have, _ any) bool {
			return contentOf(have) != "" && contentOf(have) == config[field] || added.same(field, have, nil)
		},
		"added_tokens.json": func(token string, have, _ any) bool {
			id, ok := added[token]
			return ok && have == json.Number(strconv.FormatInt(id, 10))
		},
	} {
		path := filepath.Join(folder, name)
		have, found, err := readPart(path)
		if err != nil {
			return nil, err
		}
		if found {
			departures := compare.JSON(have, []byte("{}"), compare.Fields{Same: same})
			checks = append(checks, checkOf(path, "contents", compare.Part{Compared: 1, Total: 1, Departures: departures}))
		}
	}
	return checks, nil
}
