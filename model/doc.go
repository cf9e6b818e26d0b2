// Package model holds a model: its graph, its weights, its tokenizer and,
// during training, the training state ([Checkpoint]). It reads and writes the
// checkpoint file. Loss and cache are passes over the graph ([WithLoss],
// [Cached]).
//
// Shapes in this project use these symbols:
//
//	B  batch: sequences computed together
//	T  tokens: positions of the current input
//	P  past: earlier positions, kept in a cache
//	S  P+T, the positions that attention looks at
//	C  width of an embedding
//	H  attention heads
//	D  width of a head, C/H
//	F  width inside the feed-forward network
//	V  vocabulary
//	L  layers
//
// Rows are tokens, as in PyTorch. A text that writes words as columns shows
// the transpose.
//
// The graph can come from any network (package nn). Package arch holds the
// networks that attnx ships. Start reading at network.go.
package model
