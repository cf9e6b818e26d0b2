// Package model holds the networks: what they are made of ([Config]), the one
// definition of each ([Build], with a past [BuildCached]), their weights, and
// how a trained model is kept in a file ([Checkpoint]).
//
// Shapes in this project are written with these letters:
//
//	B  batch: sequences computed side by side
//	T  tokens: positions of the sequence given now
//	P  past: positions given before, kept in a cache
//	S  P+T, the positions that attention looks at
//	C  width of an embedding
//	H  attention heads
//	D  width of a head, C/H
//	F  width inside the feed-forward network
//	V  vocabulary
//	L  layers
//
// Rows are tokens, as in PyTorch; a text that writes words as columns shows
// the transpose.
//
// Two architectures exist: "gpt2" is exactly GPT-2 (Radford et al. 2019) with
// Hugging Face's names for its weights; "simple" is self-attention as it is
// first taught, one layer without residuals or normalization.
//
// Start reading at forward.go.
package model
