// Package decode is the decode loop: tokens in, tokens out, for a batch of
// prompts. Generate asks a Model for logits: a Decoder, which keeps the keys and
// values of the tokens so far on a runtime.Device, or Recompute, which runs the
// whole text through a runtime.Session each time.
//
// Letters: B batch, T tokens of a sequence, V vocabulary.
package decode
