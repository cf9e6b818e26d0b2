package huggingface

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/attnx/attnx/model"
)

// notSettings are the members of a generation_config.json that say nothing of how
// texts are generated: the ids, which model.Special has, and who wrote the file.
var notSettings = []string{beginID, endID, padID, "transformers_version", "_from_model_config", "_commit_hash"}

// inConfig are the settings of a generation that transformers takes from a
// config.json where the folder has no generation_config.json.
var inConfig = strings.Fields("max_length max_new_tokens min_length min_new_tokens early_stopping do_sample num_beams num_return_sequences " +
	"temperature top_k top_p min_p typical_p epsilon_cutoff eta_cutoff repetition_penalty encoder_repetition_penalty length_penalty " +
	"no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids renormalize_logits remove_invalid_values " +
	"forced_bos_token_id forced_eos_token_id suppress_tokens begin_suppress_tokens exponential_decay_length_penalty")

// sample is the setting that makes a generation draw.
const sample = "do_sample"

// defaults are values that set nothing: transformers has them where a folder has
// none. Version 5 writes some of them, version 4 others.
var defaults = map[string]string{
	sample: "false", "use_cache": "true", "return_dict_in_generate": "false",
	"output_attentions": "false", "output_hidden_states": "false", "output_scores": "false", "output_logits": "false",
}

// settings returns the members that set something for a generation as one JSON
// object, by name; nil if there are none. Neither a null nor a default sets
// anything, so a folder that was written from a model without settings is read as
// one.
func (o object) settings(kept func(name string) bool) (json.RawMessage, error) {
	var out membersWriter
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if o.null(name) || !kept(name) || string(o[name]) == defaults[name] {
			continue
		}
		if err := out.add(name, json.RawMessage(o[name])); err != nil {
			return nil, err
		}
	}
	if out.text.Len() == 0 {
		return nil, nil
	}
	if out.text.Len() > maxSettings {
		return nil, fmt.Errorf("the settings of a generation have %d bytes, at most %d are read", out.text.Len(), maxSettings)
	}
	return json.RawMessage("{" + out.text.String() + "}"), nil
}

// maxSettings bounds the settings of a generation, in bytes: usual are a hundred.
const maxSettings = 32 << 10

// isSetting reports whether a member of a generation_config.json is a setting.
func isSetting(name string) bool { return !slices.Contains(notSettings, name) }

// encodeGeneration returns the generation_config.json of a model: its ids, and
// the settings that it came with. Without any, the likeliest token is taken.
func encodeGeneration(s *model.Special) ([]byte, error) {
	settings := object{}
	if len(s.Generation) > 0 {
		var err error
		if settings, err = parseObject(s.Generation); err != nil {
			return nil, fmt.Errorf("huggingface: the settings of a generation: %w", err)
		}
	}
	if settings.absent(sample) {
		settings[sample] = []byte("false")
	}
	ids := idsOf(s)
	var out membersWriter
	for _, m := range []struct {
		name  string
		value any
	}{{beginID, ids.Begin}, {endID, ids.End}, {padID, ids.Pad}, {sample, json.RawMessage(settings[sample])}} {
		if err := out.add(m.name, m.value); err != nil {
			return nil, err
		}
	}
	if s.Start != nil {
		if err := out.add(startID, s.Start); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name == sample || !isSetting(name) {
			continue
		}
		if err := out.add(name, json.RawMessage(settings[name])); err != nil {
			return nil, err
		}
	}
	return out.encode()
}
