// Package format reads and writes checkpoints: files of named tensors that
// every safetensors tool opens, and of which every bit is covered by a
// checksum. This comment is the specification.
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
// Up to here this is safetensors. A sealed file is one with what follows.
//
// # Order and padding of a sealed file
//
// The header is canonical: "__metadata__" first, its names in the order of
// their UTF-8 bytes; then the tensors in the order of their data, each with
// dtype, shape and data_offsets in this order; no blanks between tokens;
// strings escape only what they must, as in RFC 8785; spaces until
// N = 4096·k - 8, with the smallest k. So the data begin on a page, the first
// byte of the file is 0xF8, with which no pickle, zip, HDF5, GGUF or ONNX file
// begins, and the same tensors and metadata give the same bytes.
//
// Tensors come in three sections: weights; those whose name begins with
// "optim."; those whose name begins with "attnx.blob.", which are bytes (U8) of
// another format. Within a section they are in the order of the UTF-8 bytes of
// their names. Where one does not end at a multiple of 256, a tensor
// "attnx.pad.i" follows (i counts from 0; U8, zeros) so that the next begins
// at one. Last of all is the seal, "attnx.seal".
//
// Three names in the metadata belong to the file form and not to the caller:
//
//	attnx.version    "1"; a reader that meets another refuses the file
//	attnx.requires   features that a reader must know, by commas, "seal" among
//	                 them; a reader that meets another refuses the file
//	attnx.optional   features that a reader may ignore; left out when empty
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
//	96     8    number of tensors n, padding and seal not counted
//	104         for each tensor, in the order of the data: the SHA-256 of its
//	            bytes, then for each chunk of 2^20 bytes of it, the last one
//	            shorter, the CRC-32C (Castagnoli) of the chunk, 4 bytes
//	S-64   8    "ATTNXEND"
//	S-56   8    length of the file
//	S-48   8    S
//	S-40   32   root: SHA-256 of the seal's first S-64 bytes
//	S-8    4    0
//	S-4    4    CRC-32C of the 60 bytes before
//
// The root stands for every byte of the file, the content id for what is in
// it, however that is laid out. It is the SHA-256 of these lines of text, each
// ended by a line feed: for each name of the metadata in the order of its
// UTF-8 bytes (not the three above) "M name value", name and value as JSON
// strings as in the header; then for each tensor (padding and seal are none), in
// the order of the UTF-8 bytes of its name, "T name dtype shape sha256", name
// and shape as in the header and the SHA-256 in small hexadecimal letters.
//
// The last 64 bytes tell a torn file without reading it. Checksums are no
// signature: who can write the file can write another seal. Sign the root.
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
//     [MaxName], or has a control character (NUL is one); two tensors whose
//     names differ in capitals only, and one whose name is __metadata__ so
//   - more than [MaxRank] axes; a shape whose bytes overflow, or are not what
//     the offsets span
//   - tensors that overlap, leave a hole, or do not end with the file
//
// With a [SealError]: a file with the seal's tensor, or the last 64 bytes of a
// seal, or "seal" among its required features, of which any of the above does
// not hold. Header and seal are checked when the file is opened; a tensor, with
// the padding after it, by its CRC-32C each time that it is read, by its
// SHA-256 when [Reader.Verify] is asked.
//
// With an [UnsupportedError], when nothing of the above is wrong: an element
// type of safetensors that is not in the table (C64, F8_E4M3, ...), a required
// feature or a version of the seal that is not known.
//
// # What is not promised
//
// NaN and infinities are stored as they are. A file without a seal is read as
// other tools write it (other order, blanks, escapes, another N) and nothing in
// its data is checked: [Reader.Seal] tells.
package format
