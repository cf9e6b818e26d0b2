// Package onnx is the ONNX file: its structures, an encoder that gives the same
// bytes every time, a decoder with bounds, a checker and a printer.
//
// It covers what this project writes and what it takes to look into files of
// others: one graph of tensors, without functions, sparse or quantized tensors
// and training information, which a decoder refuses as unsupported rather than
// drop. The specification is onnx/onnx.proto of ONNX 1.22 (IR version 13);
// field numbers stand beside the fields. Fields that it does not name are
// passed over, and so are those that change nothing in what a model computes.
//
// The structures are written by hand over protowire: generated ones would
// allocate what a hostile file declares, and protobuf's own encoder does not
// promise the same bytes twice.
//
// Two kinds of refusal: [FormatError] for a file that is not valid, and
// [UnsupportedError] for one that is but holds what this package does not
// read. Both say where.
package onnx
