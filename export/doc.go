// Package export writes a graph and its weights as an ONNX file.
//
// It depends on the graph only, not on the network. A [Profile] selects the
// form of the graph and carries the options of that form. Package emit has one
// case for each operator.
package export
