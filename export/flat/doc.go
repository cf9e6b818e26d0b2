// Package flat rewrites the forward pass of a network with matrices
// only, for runtimes such as onnx-go, which cannot multiply tensors of higher
// rank and have no Gather.
package flat
