// Package onnx reads and writes ONNX files: structures, a deterministic
// encoder, a decoder with limits, a checker and a printer.
//
// Decode accepts everything that ONNX allows, including functions, sparse
// tensors and training information, which is enough to inspect a file. Check
// reports whether attnx supports it: one graph of tensors with known
// operators. The specification is onnx/onnx.proto of ONNX 1.23 (IR version
// 14); the structures list its field numbers. Unknown fields are ignored.
// Where readers may disagree, for example on a duplicate field, Decode follows
// protobuf, and Check rejects the file.
//
// The structures are hand-written over protowire: generated code would
// allocate whatever a hostile file declares, and protobuf's encoder is not
// guaranteed to be deterministic.
//
// There are two kinds of errors: [FormatError] for an invalid file, and
// [UnsupportedError] for a valid file that attnx does not support. Both give
// the place.
package onnx
