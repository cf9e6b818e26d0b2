// Package format reads and writes checkpoints: files of named tensors that
// every safetensors tool opens. This comment is the specification.
//
// # Bytes
//
//	0     8 bytes      N, the length of the header: unsigned, little-endian
//	8     N bytes      header: one JSON object from its '{' on, then spaces
//	                   (0x20) up to N
//	8+N   to the end   data: the bytes of the tensors, one after the other
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
//	shape          the length of each axis, from 0 on; [] for a scalar
//	data_offsets   the place of the first byte and of the byte after the last,
//	               counted from 8+N
//
// The member "__metadata__", which may be missing, is an object of strings.
//
// # Data
//
// A tensor is row-major. An element is little-endian: IEEE 754, two's
// complement, or 0 and 1 for BOOL. Sorted by their place, the first tensor
// begins at 0, each further one where the one before it ends, and the last ends
// with the file. A tensor without elements has a place and no bytes.
//
// # What a reader refuses
//
// With a [FormatError], before memory is taken for what was declared:
//
//   - a file shorter than its length word; N larger than the file or than
//     [MaxHeader]
//   - a header that does not begin with '{', or goes on with anything but
//     spaces after its object
//   - JSON that is not strict: invalid UTF-8, a name used twice, a member
//     unknown or missing, a value of another kind than above; an integer that is
//     negative, or written other than in plain decimal, or beyond 2^63-1
//   - a name, of a tensor or in the metadata, that is empty, longer than
//     [MaxName], or has a control character (NUL is one)
//   - more than [MaxRank] axes; a shape whose bytes overflow, or are not what
//     the offsets span
//   - tensors that overlap, leave a hole, or do not end with the file
//
// With an [UnsupportedError], when nothing of the above is wrong: an element
// type of safetensors that is not in the table (C64, F8_E4M3, ...).
//
// # What a writer promises
//
// The header has "__metadata__" first (left out when empty), its names in the
// order of their UTF-8 bytes; then the tensors in the order the caller gave,
// which is the order of their data, each with dtype, shape and data_offsets in
// this order. No blanks between tokens; strings escape only what they must, as
// in RFC 8785. Spaces follow until N = 4096·k - 8.
//
// So the data begin on a page; the first byte of the file is 0xF8, with which
// no pickle, zip, HDF5, GGUF or ONNX file begins; and the same tensors and
// metadata give the same bytes. A file is written front to back without
// seeking.
//
// # What is not promised
//
// This first form has no checksums: a flipped bit in the data is not noticed.
// Tensors are not aligned within the data. NaN and infinities are stored as
// they are. What a reader accepts beyond this page (other order of members,
// blanks, other escapes, another N) is for files that other tools wrote.
package format
