// Package check reports whether a file is valid ONNX: it gives the verdict of the
// ONNX project's own checker, without Python.
//
// [Basic] is onnx.checker.check_model: names, order, operators, attributes,
// tensors, functions. [Full] is the same with full_check=True: it also infers the
// types and shapes of all values, and refuses contradictions.
//
// Both take ONNX's operators from export/onnx/schema. Operators of other domains
// may be anything, unless the model defines them itself.
//
// Whether attnx can run the file is a different question: see onnx.Check.
package check
