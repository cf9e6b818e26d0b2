// Package check says whether a file is ONNX: it gives the verdict of the ONNX
// project's own checker, without Python.
//
// [Basic] is onnx.checker.check_model: names, order, operators, attributes,
// tensors, functions. [Full] is the same with full_check=True: it infers the types
// and the shapes of all values as well, and refuses what contradicts.
//
// Both know ONNX's operators by export/onnx/schema. Operators of other domains may
// be anything, unless the model defines them itself.
//
// What attnx can run is another question: onnx.Check.
package check
