// Package model holds a model: its graph, its weights, its tokenizer and, while
// it is trained, the training state ([Checkpoint]), and how they are kept in a
// file. The loss and the cache are passes over the graph ([WithLoss], [Cached]).
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
// The graph may come from any network (package nn); package arch has those that
// attnx ships. Start reading at network.go.
package model
