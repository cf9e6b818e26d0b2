package role_test

import (
	"testing"

	"github.com/attnx/attnx/model/role"
)

// The names are those of transformers' forward methods and of optimum's ONNX
// exports (optimum/exporters/onnx/base.py).
func TestNames(t *testing.T) {
	for name, r := range map[string]role.Role{
		"":                                 {},
		"input_ids":                        role.Of(role.Tokens),
		"attention_mask":                   role.Of(role.AttentionMask),
		"position_ids":                     role.Of(role.Positions),
		"token_type_ids":                   role.Of(role.Segments),
		"past_key_values.0.key":            role.Layered(role.PastKey, 0),
		"past_key_values.11.value":         role.Layered(role.PastValue, 11),
		"present.3.key":                    role.Layered(role.PresentKey, 3),
		"present.3.value":                  role.Layered(role.PresentValue, 3),
		"past_key_values.2.decoder.key":    role.Layered(role.PastTargetKey, 2),
		"past_key_values.10.encoder.value": role.Layered(role.PastSourceValue, 10),
		"present.0.encoder.key":            role.Layered(role.PresentSourceKey, 0),
		"present.1.decoder.value":          role.Layered(role.PresentTargetValue, 1),
		"encoder_hidden_states":            role.Of(role.SourceStates),
		"labels":                           role.Of(role.Labels),
		"logits":                           role.Of(role.Logits),
		"last_hidden_state":                role.Of(role.Hidden),
		"pooler_output":                    role.Of(role.Pooled),
		"sentence_embedding":               role.Of(role.Sentence),
		"loss":                             role.Of(role.Loss),
		"grad.h.0.ln_1.weight":             role.GradientOf("h.0.ln_1.weight"),
	} {
		if got := r.Name(); got != name {
			t.Errorf("%v is called %q, want %q", r, got, name)
		}
		if got, ok := role.FromName(name); !ok || got != r {
			t.Errorf("%q is %+v, %t, want %+v", name, got, ok, r)
		}
		if got, err := role.Parse(r.String()); err != nil || got != r {
			t.Errorf("%q is read as %+v, %v, want %+v", r, got, err, r)
		}
	}
	for _, name := range []string{"x", "past_key_values.key", "past_key_values.-1.key", "past_key_values.01.key", "past_key_values.1.keys", "grad.", "present.3", "Tokens"} {
		if r, ok := role.FromName(name); ok {
			t.Errorf("%q has the role %s", name, r)
		}
		if r, err := role.Parse(name); err == nil {
			t.Errorf("%q is read as the role %s", name, r)
		}
	}
}

func TestNamesOfKinds(t *testing.T) {
	if got := role.Tokens.Name(); got != "input_ids" {
		t.Errorf("tokens are called %q", got)
	}
	if got := role.PresentValue.Pattern("%d"); got != "present.%d.value" {
		t.Errorf("the pattern of present values is %q", got)
	}
	if got := role.Kind(200).Name() + role.Kind(200).Pattern("%d"); got != "" {
		t.Errorf("a kind that is none is called %q", got)
	}
}
