// Package role defines what an input or output of a model is for, and the name
// that conventions give it. Trainer, exporter, runtimes and verification
// connect to a model by role. Only this package spells names such as
// "input_ids".
package role

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is the purpose of an input or output.
type Kind uint8

// The kinds. B is the batch, T the new tokens, P the past tokens, S the tokens
// of a source text.
const (
	None               Kind = iota
	Tokens                  // ids of the text, int64 (B,T)
	AttentionMask           // which tokens count: 1, or 0 for padding, int64 (B,P+T)
	Positions               // position of each token in its text, int64 (B,T)
	Segments                // which of several texts each token belongs to, int64 (B,T)
	Features                // numbers instead of tokens, floating-point (B,...)
	SourceTokens            // ids of the text to translate, int64 (B,S)
	SourceMask              // which of its tokens count, int64 (B,S)
	SourceStates            // output of the encoder, (B,S,C)
	PastKey                 // keys of a layer for the past tokens, (B,H,P,D)
	PastValue               // values of a layer for the past tokens, (B,H,P,D)
	PresentKey              // PastKey for the next run, (B,H,P+T,D)
	PresentValue            // PastValue for the next run, (B,H,P+T,D)
	PastState               // state of a recurrent layer after the past tokens, (B,H)
	PastCell                // the cell of such a layer of an LSTM, (B,H)
	PresentState            // PastState for the next run, (B,H)
	PresentCell             // PastCell for the next run, (B,H)
	PastTargetKey           // PastKey of a decoder that also attends to a source
	PastTargetValue         // PastValue of such a decoder
	PastSourceKey           // keys that a layer of it has of the source, (B,H,S,D)
	PastSourceValue         // their values, (B,H,S,D)
	PresentTargetKey        // PastTargetKey for the next run
	PresentTargetValue      // PastTargetValue for the next run
	PresentSourceKey        // PastSourceKey for the next runs
	PresentSourceValue      // PastSourceValue for the next runs
	Labels                  // expected answers: int64 ids, or floating-point targets
	Logits                  // scores before softmax, (B,T,V) or (B,V)
	Hidden                  // the last hidden states, (B,T,C)
	Pooled                  // one vector for each text, (B,C): the first token's hidden state, projected
	Sentence                // the embedding of each text, (B,C)
	Prediction              // output of a regression, floating-point
	Loss                    // what training minimizes, a scalar
	Gradient                // derivative of the loss with respect to the weight Of, in its shape
	kinds
)

// Other is the first of the kinds that only batches of data know: Other+i is
// the i-th input of a graph, which has no role.
const Other Kind = 1 << 7

// words holds the text form of each kind, and its name in Hugging Face's
// models and optimum's exports. transformers.js, onnxruntime-genai and Triton
// repositories use the same names. # is the layer, * the weight.
var words = [kinds]struct{ word, name string }{
	None:               {"", ""},
	Tokens:             {"tokens", "input_ids"},
	AttentionMask:      {"attention_mask", "attention_mask"},
	Positions:          {"positions", "position_ids"},
	Segments:           {"segments", "token_type_ids"},
	Features:           {"features", "features"},
	SourceTokens:       {"source_tokens", "encoder_input_ids"},
	SourceMask:         {"source_mask", "encoder_attention_mask"},
	SourceStates:       {"source_states", "encoder_hidden_states"},
	PastKey:            {"past_key.#", "past_key_values.#.key"},
	PastValue:          {"past_value.#", "past_key_values.#.value"},
	PresentKey:         {"present_key.#", "present.#.key"},
	PresentValue:       {"present_value.#", "present.#.value"},
	PastState:          {"past_state.#", "past_states.#.hidden"},
	PastCell:           {"past_cell.#", "past_states.#.cell"},
	PresentState:       {"present_state.#", "present_states.#.hidden"},
	PresentCell:        {"present_cell.#", "present_states.#.cell"},
	PastTargetKey:      {"past_target_key.#", "past_key_values.#.decoder.key"},
	PastTargetValue:    {"past_target_value.#", "past_key_values.#.decoder.value"},
	PastSourceKey:      {"past_source_key.#", "past_key_values.#.encoder.key"},
	PastSourceValue:    {"past_source_value.#", "past_key_values.#.encoder.value"},
	PresentTargetKey:   {"present_target_key.#", "present.#.decoder.key"},
	PresentTargetValue: {"present_target_value.#", "present.#.decoder.value"},
	PresentSourceKey:   {"present_source_key.#", "present.#.encoder.key"},
	PresentSourceValue: {"present_source_value.#", "present.#.encoder.value"},
	Labels:             {"labels", "labels"},
	Logits:             {"logits", "logits"},
	Hidden:             {"hidden", "last_hidden_state"},
	Pooled:             {"pooled", "pooler_output"},
	Sentence:           {"sentence", "sentence_embedding"},
	Prediction:         {"prediction", "prediction"},
	Loss:               {"loss", "loss"},
	Gradient:           {"gradient.*", "grad.*"},
}

// Role is the purpose of one input or output.
type Role struct {
	Kind  Kind
	Layer int    // of keys and values, past and present; starts at 0
	Of    string // of Gradient: the name of the weight
}

// Of returns the role of a kind that needs neither layer nor weight.
func Of(k Kind) Role { return Role{Kind: k} }

// Name returns the name of an input or output of a kind that needs neither
// layer nor weight: "input_ids".
func (k Kind) Name() string { return Of(k).Name() }

// Pattern returns the name of an input or output of a per-layer kind, with
// text in place of the layer's number: "past_key_values.%d.key".
func (k Kind) Pattern(text string) string {
	return strings.Replace(words[Of(k).kind()].name, "#", text, 1)
}

// Layered returns the role of a per-layer kind.
func Layered(k Kind, layer int) Role { return Role{Kind: k, Layer: layer} }

// GradientOf returns the role of the derivative with respect to a weight.
func GradientOf(weight string) Role { return Role{Kind: Gradient, Of: weight} }

// String returns r as "tokens", "past_key.3" or "gradient.wte.weight", and ""
// for no role. Parse is its inverse.
func (r Role) String() string { return r.fill(words[r.kind()].word) }

// Name returns the name of an input or output of this role: "input_ids",
// "past_key_values.3.key", "grad.wte.weight", and "" for no role.
func (r Role) Name() string { return r.fill(words[r.kind()].name) }

func (r Role) kind() Kind {
	if r.Kind >= kinds {
		return None
	}
	return r.Kind
}

func (r Role) fill(pattern string) string {
	if before, after, ok := strings.Cut(pattern, "#"); ok {
		return before + strconv.Itoa(r.Layer) + after
	}
	if before, ok := strings.CutSuffix(pattern, "*"); ok {
		return before + r.Of
	}
	return pattern
}

// Parse reads the text that String returns.
func Parse(text string) (Role, error) {
	if r, ok := match(text, func(k Kind) string { return words[k].word }); ok {
		return r, nil
	}
	return Role{}, fmt.Errorf("role: unknown role %.80q", text)
}

// FromName returns the role with the given conventional name; ok is false if
// no role has it.
func FromName(name string) (r Role, ok bool) {
	return match(name, func(k Kind) string { return words[k].name })
}

func match(text string, pattern func(Kind) string) (Role, bool) {
	for k := None; k < kinds; k++ {
		p := pattern(k)
		if before, after, ok := strings.Cut(p, "#"); ok {
			number, ok := strings.CutPrefix(text, before)
			if ok {
				number, ok = strings.CutSuffix(number, after)
			}
			n, err := strconv.Atoi(number)
			if ok && err == nil && n >= 0 && strconv.Itoa(n) == number {
				return Layered(k, n), true
			}
			continue
		}
		if before, ok := strings.CutSuffix(p, "*"); ok {
			if weight, ok := strings.CutPrefix(text, before); ok && weight != "" {
				return Role{Kind: k, Of: weight}, true
			}
			continue
		}
		if p == text {
			return Of(k), true
		}
	}
	return Role{}, false
}
