// Package export writes a graph and its weights as an ONNX file.
//
// It knows graphs, not networks: everything it writes comes from the graph it
// is given. A [Profile] says what form the graph takes, and carries the options
// of that form; package emit has one case for each operator.
package export
