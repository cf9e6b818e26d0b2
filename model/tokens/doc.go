// Package tokens converts text to ids and ids to text.
//
// [Train] trains three kinds of tokenizer from text:
//
//	Word  a token is a word or a run of punctuation; white space is lost
//	Char  a token is one character (Unicode code point)
//	BPE   a token is a run of bytes: byte-level byte-pair encoding, as in GPT-2
//
// A word or character outside the vocabulary becomes the token [Unknown];
// nothing is omitted. BPE needs no unknown token, because its vocabulary
// starts with the 256 bytes.
//
// # The file
//
// [Tokenizer.MarshalJSON] writes and [Parse] reads tokenizer.json, the file of
// Hugging Face's library "tokenizers", which gives the same ids for it. [Train]
// makes files with these parts:
//
//	kind  model      pre_tokenizer                        decoder
//	Word  WordLevel  Whitespace                           WordPiece, or null
//	Char  WordLevel  Split by [\s\S] or (?m:.), Isolated  Fuse
//	BPE   BPE        ByteLevel (add_prefix_space false,   ByteLevel
//	                 use_regex true)
//
// Parse reads those of the library:
//
//	models           BPE (byte_fallback, ignore_merges, prefix and suffix),
//	                 Unigram, WordLevel, WordPiece
//	normalizers      BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD,
//	                 Nmt, Precompiled, Prepend, Replace, Strip, StripAccents
//	pre-tokenizers   BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits,
//	                 Metaspace, Punctuation, Split, UnicodeScripts, Whitespace,
//	                 WhitespaceSplit
//	post-processors  BertProcessing, ByteLevel, RobertaProcessing,
//	                 TemplateProcessing; see [Tokenizer.AddSpecial]
//	decoders         BPEDecoder, ByteFallback, ByteLevel, CTC, Fuse, Metaspace,
//	                 Replace, Strip, WordPiece
//
// and Sequences of them. Not supported are dropout, which makes encoding
// random; regular expressions with lookaround, other than \s+(?!\S) before \s+
// at the end, with anchors, back references or possessive repetition; and
// normalizers that could make a text more than 512 times as long. Encode
// does not apply the file's truncation and padding, as transformers does not;
// [Tokenizer.Truncation] and [Tokenizer.Padding] return them. What is not supported
// gives an [UnsupportedError], an invalid file a [FormatError]; both name the
// place as a path in the JSON. Parse reads GPT-2's own file, in its old form
// (merges as "a b", no model type) and its new one (merges as pairs).
//
// Decoded texts agree with the Python library too, except for added tokens
// with characters such as é: under ByteLevel the Python library garbles them,
// while this package decodes them unchanged.
//
// [T5Files] and [MarianFiles] read tokenizers that SentencePiece trained (Unigram). T5's
// becomes a tokenizer.json. Marian's becomes a file with a model of the type "SentencePiecePair",
// which the Python library does not have: it holds the files of both sides, and
// [MarianFilesOf] returns them.
//
// # What is lost
//
// BPE: nothing; Decode(Encode(x)) is x for every valid UTF-8 text. Char:
// characters outside the vocabulary. Word: words outside the vocabulary, and
// the white space. Decode puts one space between words and none before . ? !
// and a comma, so that "I do  not,\n really." becomes "I do not, really.", but
// "it's" becomes "it ' s".
//
// # Where text is split
//
// White space, letters and numbers follow the Unicode version of the Go
// library (package unicode). The Python library uses a later version, so the
// two differ only on characters newer than [unicode.Version]; a test compares
// the character classes for all of Unicode. Its punctuation and accents are
// of Unicode 8 and 9, and so are those here; its normalization forms too, which
// differ on characters newer than that.
package tokens
