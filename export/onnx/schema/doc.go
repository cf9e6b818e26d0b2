// Package schema has ONNX's definition of every version of every operator:
// inputs, outputs, attributes with their defaults, and the allowed types. It
// covers ONNX's own domains and com.microsoft, the operators of ONNX Runtime.
//
// schemas.tsv contains the data. fixtures/oracle/onnx_schemas.py generates it
// from the packages onnx and onnxruntime.
package schema
