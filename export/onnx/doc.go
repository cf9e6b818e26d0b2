// Package onnx is the ONNX file: its structures, an encoder that gives the same
// bytes every time, a decoder with bounds, a checker and a printer.
//
// Decode reads whatever ONNX allows in a file, functions, sparse tensors and
// training information too: inspecting a file needs no more. Check says what of
// it attnx takes, which is less: one graph of tensors, of operators that it
// knows. The specification is onnx/onnx.proto of ONNX 1.23 (IR version 14);
// field numbers are beside the fields. Fields that it does not name are passed
// over. What readers may disagree about, such as a field that is there twice, is
// read as protobuf reads it, and Check refuses it.
//
// The structures are written by hand over protowire: generated ones would
// allocate what a hostile file declares, and protobuf's own encoder does not
// promise the same bytes twice.
//
// Two kinds of refusal: [FormatError] for a file that is not valid, and
// [UnsupportedError] for one that is but holds what attnx does not take. Both say
// where.
package onnx
