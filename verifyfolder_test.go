package attnx

import "testing"

// transformers 5 writes pairs where transformers 4 wrote texts.
func TestSameInTokenizer(t *testing.T) {
	pair := func(a, b string) any { return []any{a, b} }
	for _, c := range []struct {
		place      string
		have, want any
		same       bool
	}{
		{"model.merges[3]", pair("t", "e"), "t e", true},
		{"model.merges[3]", "t e", pair("t", "e"), true},
		{"model.merges[3]", pair("t", "f"), "t e", false},
		{"model.merges[3]", pair("a b", "c"), pair("a", "b c"), false},
		{"model.merges[3]", pair("a b", "c"), "a b c", false},
		{"model.vocab", pair("t", "e"), "t e", false},
		{"post_processor", map[string]any{"type": "TemplateProcessing", "single": []any{map[string]any{"Sequence": "A"}}}, nil, true},
		{"post_processor", map[string]any{"type": "TemplateProcessing", "single": []any{map[string]any{"SpecialToken": "A"}}}, nil, false},
		{"post_processor", map[string]any{"type": "ByteLevel"}, nil, false},
	} {
		if sameInTokenizer(c.place, c.have, c.want) != c.same {
			t.Errorf("%s: %v and %v: not %t", c.place, c.have, c.want, c.same)
		}
	}
}
