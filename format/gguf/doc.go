// Package gguf reads and writes GGUF, the files of llama.cpp: metadata, and
// tensors whose elements may be quantized in blocks. It knows no models.
//
// The bytes are those of the specification (ggml/docs/gguf.md), versions 2 and
// 3, little-endian:
//
//	4 bytes "GGUF", version uint32, number of tensors uint64, of metadata uint64
//	metadata: key, type uint32, value; an array is type, length uint64, elements
//	tensors: name, number of axes uint32, axes uint64, type uint32, offset uint64
//	zeros up to a multiple of the alignment
//	data: each tensor at its offset, a multiple of the alignment
//
// A string is its length, uint64, and its bytes. Axes are in the order of ggml,
// the fastest first; a Shape here is in the usual order, the slowest first.
//
// It trusts nothing that a file says: counts, lengths and offsets are compared
// with the bytes that are there before memory is taken for them.
package gguf
