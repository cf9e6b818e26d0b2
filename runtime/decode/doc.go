// Package decode is the decode loop: it continues a batch of prompts token by
// token. Generate gets logits from a Model: a Decoder, which caches the keys and
// values of the tokens so far on a runtime.Device, or Recompute, which runs the
// whole text through a runtime.Session for every token.
//
// Dimensions: B batch, T tokens of a sequence, V vocabulary.
package decode
