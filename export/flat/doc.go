// Package flat writes the forward pass of a language model with matrices only,
// for runtimes that multiply nothing of higher rank and have no Gather: onnx-go.
package flat
