// Package schema is what ONNX says of every operator and every version of it:
// inputs, outputs, attributes with their defaults, and the types that each may
// have. It knows ONNX's own domains and com.microsoft, the operators of ONNX
// Runtime.
//
// schemas.tsv holds the facts. fixtures/oracle/onnx_schemas.py makes it from the
// packages onnx and onnxruntime.
package schema
