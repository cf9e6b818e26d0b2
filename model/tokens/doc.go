// Package tokens turns text into ids and ids into text.
//
// Three kinds of tokenizer exist, each trained from text by [Train]:
//
//	Word  a token is a word or a run of punctuation; spaces are not kept
//	Char  a token is one character (Unicode code point)
//	BPE   a token is a run of bytes: byte-level byte-pair encoding, as in GPT-2
//
// A word or character that the vocabulary lacks becomes the token [Unknown];
// nothing is ever left out. BPE needs no unknown token, its vocabulary begins
// with the 256 bytes.
//
// # The file
//
// [Tokenizer.MarshalJSON] writes and [Parse] reads tokenizer.json, the file of
// Hugging Face's library "tokenizers", which gives the same ids for it. Of all
// that such a file can describe, these combinations are understood:
//
//	kind  model      pre_tokenizer                        decoder
//	Word  WordLevel  Whitespace                           WordPiece, or null
//	Char  WordLevel  Split by [\s\S] or (?m:.), Isolated  Fuse
//	BPE   BPE        ByteLevel (add_prefix_space false,   ByteLevel
//	                 use_regex true)
//
// with added_tokens, without normalizer, and with a post_processor that adds no
// tokens: null, ByteLevel, which moves offsets only, and a TemplateProcessing of
// the text alone. A Sequence of one part is that part. Stored truncation and
// padding are passed over, as by transformers. A file that asks for more is refused with an [UnsupportedError], a file that is not
// valid with a [FormatError]; both name the place as a path into the JSON.
// GPT-2's own file is read as it is, in its old form (merges as "a b", no model
// type) and its new one (merges as pairs).
//
// Texts agree too, but for added tokens with letters such as é: under ByteLevel
// the Python library garbles them, here they are decoded as they are written.
//
// # What is lost
//
// BPE: nothing; Decode(Encode(x)) is x for every valid UTF-8 text. Char:
// characters outside the vocabulary. Word: these too, and the white space.
// Decode puts one space between words and none before . ? ! and a comma, so
// that "I do  not,\n really." comes back as "I do not, really.", but "it's" as
// "it ' s".
//
// # Where text is split
//
// White space, letters and numbers are those of the Unicode version of the Go
// library (package unicode). The Python library knows a later version: the two
// differ on characters that are younger than [unicode.Version], and on no
// others; the test of the character classes goes through all of Unicode.
package tokens
