// Package foreign reads models from ONNX files of other tools, and checks that
// such a file computes with the weights that it names.
package foreign
