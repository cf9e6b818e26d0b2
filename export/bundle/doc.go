// Package bundle makes what lies beside an ONNX file: its weights, in a file of
// ONNX's own form or of another, and the configurations of the tools that open
// the folder.
package bundle
