// Package bundle makes the files next to an ONNX file: its weights, as ONNX
// external data or in another format, and the configurations of the tools that
// open the folder.
package bundle
