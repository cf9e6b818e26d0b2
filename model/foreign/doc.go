// Package foreign reads models out of ONNX files that other tools wrote, and
// checks that such a file computes with the weights that it names.
package foreign
