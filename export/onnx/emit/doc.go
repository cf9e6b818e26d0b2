// Package emit writes a graph as the nodes of an ONNX model, with one case for
// each operator. [Lower] prepares a graph for standard operators only, [Fuse]
// for ONNX Runtime's own.
package emit
