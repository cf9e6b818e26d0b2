package runtime

import (
	"testing"

	"github.com/attnx/attnx/format"
)

// The name of a case counts the inputs of layers, so that a reason behind it can be read.
func TestCaseName(t *testing.T) {
	given := func(name string, shape ...int) format.Tensor { return format.Tensor{Name: name, Shape: shape} }
	c := Case{Batch: 3, Length: 1, IDs: []int64{1, 2, 3}, Given: []format.Tensor{
		given("encoder_attention_mask", 3, 17), given("past_key_values.0.decoder.key", 3, 2, 7, 16), given("past_key_values.0.encoder.key", 3, 2, 17, 16),
		given("past_key_values.1.decoder.key", 3, 2, 7, 16), given("past_key_values.1.encoder.key", 3, 2, 17, 16),
	}}
	if got, want := c.String(), "batch 3, length 1, encoder_attention_mask [3 17], 4 past_key_values [3 2 7 16] [3 2 17 16]"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	one := Case{Batch: 1, Given: []format.Tensor{given("layer.0.bias", 4)}}
	if got, want := one.String(), "layer.0.bias [4]"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
}
