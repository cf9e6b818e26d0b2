// Package format reads and writes checkpoints: files of named tensors that
// every safetensors tool opens, with a checksum for every bit. This comment is
// the specification.
//
// # Bytes
//
//	0     8 bytes      N, the length of the header: unsigned, little-endian
//	8     N bytes      header: one JSON object, which starts with '{', then
//	                   spaces (0x20) up to N
//	8+N   to the end   data: the bytes of the tensors, without gaps
//
// # Header
//
//	{"__metadata__":{"format":"pt"},
//	 "wte.weight":{"dtype":"F32","shape":[65,128],"data_offsets":[0,33280]}}
//
// Each member of the object is a tensor: its name, and an object of exactly
// three members, in any order:
//
//	dtype          the element type: F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32
//	               U16 U8 or BOOL
//	shape          the length of each axis, 0 or more; [] for a scalar
//	data_offsets   the first byte, and the first byte after the last, counted
//	               from 8+N
//
// The member "__metadata__" is an object of strings. It is optional.
//
// # Data
//
// A tensor is row-major. An element is little-endian: IEEE 754, two's
// complement, or 0 and 1 for BOOL. Sorted by data_offsets, the first tensor
// starts at 0, each further one at the end of the previous one, and the last
// ends with the file. A tensor without elements has offsets and no bytes.
//
// Up to here this is safetensors. A sealed file follows the rules below too.
//
// # Order and padding of a sealed file
//
// The header is canonical: "__metadata__" first, its names sorted by UTF-8
// bytes; then the tensors in the order of their data, each with dtype, shape
// and data_offsets in this order; no blanks between tokens; strings escape
// only what RFC 8785 requires; spaces until N = 4096·k - 8, with the smallest
// k. So the data start on a page, the same tensors and metadata give the same
// bytes, and the first byte of the file is 0xF8, which starts no pickle, zip,
// HDF5, GGUF or ONNX file.
//
// Tensors come in three sections: weights; names with the prefix "optim.";
// names with the prefix "attnx.blob.", which are bytes (U8) of another format.
// Within a section they are sorted by the UTF-8 bytes of their names. After a
// tensor that does not end at a multiple of 256 a tensor "attnx.pad.i" follows
// (i counts from 0; U8, zeros), so that the next starts at one. The seal,
// "attnx.seal", is last.
//
// Three metadata names belong to the format, not to the caller:
//
//	attnx.version    "1"; a reader rejects any other
//	attnx.requires   comma-separated features that a reader must support,
//	                 including "seal"; a reader rejects unknown ones
//	attnx.optional   features that a reader may ignore; omitted if empty
//
// # Seal
//
// A tensor U8 of S bytes. Integers are unsigned and little-endian.
//
//	0      8    "ATTNXSEA"
//	8      4    version of the seal, 1
//	12     4    log2 of the bytes in a chunk, 20
//	16     8    length of the file
//	24     8    N
//	32     32   SHA-256 of the file's first 8+N bytes
//	64     32   content id
//	96     8    number of tensors n, without padding and seal
//	104         for each tensor, in the order of the data: the SHA-256 of its
//	            bytes, then for each chunk of 2^20 bytes (the last may be
//	            shorter) the CRC-32C (Castagnoli) of the chunk, 4 bytes
//	S-64   8    "ATTNXEND"
//	S-56   8    length of the file
//	S-48   8    S
//	S-40   32   root: SHA-256 of the seal's first S-64 bytes
//	S-8    4    0
//	S-4    4    CRC-32C of the 60 bytes before
//
// The root identifies every byte of the file. The content id identifies the
// content, independent of its layout. It is the SHA-256 of the following lines
// of text, each ended by a line feed. For each metadata name except the three
// above, sorted by UTF-8 bytes: "M name value", name and value as JSON strings
// as in the header. Then for each tensor except padding and seal, sorted by
// the UTF-8 bytes of its name: "T name dtype shape sha256", name and shape as
// in the header and the SHA-256 in lower-case hexadecimal.
//
// The last 64 bytes reveal a truncated file without reading the rest.
// Checksums are not a signature: anyone who can write the file can write a new
// seal. To authenticate a file, sign its root.
//
// # What a reader rejects
//
// With a [FormatError], before it allocates memory for declared sizes:
//
//   - a file shorter than its length word; N larger than the file or than
//     [MaxHeader]
//   - a header that does not start with '{', or has anything but spaces after
//     its object
//   - JSON that is not strict: invalid UTF-8, a duplicate name, an unknown or
//     missing member, a value of the wrong kind; an integer that is negative,
//     not in plain decimal, or beyond 2^63-1
//   - a tensor or metadata name that is empty, longer than [MaxName], or has a
//     control character, including NUL; tensor names that differ only in case
//     from each other or from __metadata__
//   - more than [MaxRank] axes; a shape whose size overflows or differs from
//     the span of its offsets
//   - tensors that overlap, leave a hole, or do not end with the file
//
// With a [SealError]: a file that has a tensor "attnx.seal", the last 64 bytes
// of a seal, or "seal" among its required features, and breaks any of the
// rules above. Opening a file checks header and seal. Each read of a tensor
// checks its CRC-32C and the padding after it; [Reader.Verify] also checks its
// SHA-256.
//
// With an [UnsupportedError], if the file is valid otherwise: a safetensors
// element type missing from the table (C64, F8_E4M3, ...), an unknown required
// feature or an unknown version of the seal.
//
// # What is not promised
//
// NaN and infinities are stored unchanged. A file without a seal may have any
// order, blanks, escapes and N that safetensors allows, and its data are not
// checked; [Reader.Seal] is nil for it.
package format
