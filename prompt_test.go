package attnx_test

import (
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// A prompt that the tokenizer removes is not called empty.
func TestVanishedPrompt(t *testing.T) {
	tok := must(tokens.Parse([]byte(`{"normalizer":{"type":"Replace","pattern":{"Regex":"[a-c]"},"content":""},"model":{"type":"WordLevel","vocab":{"u":0,"d":1},"unk_token":"u"}}`)))
	text := attnx.Text{Model: &attnx.Model{Checkpoint: must(model.New(smallLlama(23), 3))}, Tokenizer: tok}
	for prompt, want := range map[string]string{
		"":    "--prompt is empty",
		"abc": "--prompt has no token: the model's tokenizer removes all its characters",
	} {
		if ids, err := text.Encode("--prompt", prompt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: ids %d, error %v, want %q", prompt, ids, err, want)
		}
	}
}
